//! The table: for each kind what its controller writes, and what that means.
#![expect(
    clippy::too_many_lines,
    clippy::needless_pass_by_value,
    reason = "tables of json!() literals"
)]

use serde_json::{Value, json};

use super::{
    super::{
        Code::{self, Degraded, Healthy, Missing, Progressing, Suspended, Unknown},
        table,
    },
    health,
};

/// A status with conditions, each as `Type=Status`, `Type=Status/Reason` or `Type=Status/Reason/message`.
pub(super) fn conditions(list: &[&str]) -> Value {
    let list: Vec<Value> = list
        .iter()
        .map(|text| {
            let (type_, rest) = text.split_once('=').expect("Type=Status");
            let mut parts = rest.splitn(3, '/');
            let mut condition = json!({"type": type_, "status": parts.next()});
            if let Some(reason) = parts.next() {
                condition["reason"] = reason.into();
            }
            if let Some(message) = parts.next() {
                condition["message"] = message.into();
            }
            condition
        })
        .collect();
    json!({"status": {"conditions": list}})
}

pub(super) fn status(status: Value) -> Value {
    json!({ "status": status })
}

pub(super) fn check(kind: &str, body: &Value, code: Code, message: &str) {
    assert_eq!(
        health(kind, body),
        Some((code, message.to_owned())),
        "{kind} {body}"
    );
}

#[test]
fn the_table_is_broad_and_names_no_kind_twice() {
    let mut rows: Vec<_> = table().collect();
    let all = rows.len();
    assert!(all >= 60, "{all} kinds");
    rows.sort_unstable();
    rows.dedup();
    assert_eq!(rows.len(), all);
    let written_in_code = ["Deployment", "Rollout", "Workflow", "Application"];
    assert!(
        rows.iter()
            .all(|(group, kind)| *group != "argoproj.io" || !written_in_code.contains(kind))
    );
}

#[test]
fn certificates() {
    let certificate = "cert-manager.io/v1/Certificate";
    check(
        certificate,
        &json!({}),
        Progressing,
        "Waiting for certificate",
    );
    check(
        certificate,
        &conditions(&[
            "Ready=False/DoesNotExist/no secret",
            "Issuing=True/DoesNotExist/issuing",
        ]),
        Progressing,
        "issuing",
    );
    check(
        certificate,
        &conditions(&["Ready=False/Failed/denied"]),
        Degraded,
        "denied",
    );
    check(
        certificate,
        &conditions(&["Ready=True/Ready/up to date"]),
        Healthy,
        "up to date",
    );
    check(
        "cert-manager.io/v1/ClusterIssuer",
        &json!({}),
        Progressing,
        "Initializing ClusterIssuer",
    );
    let request = "cert-manager.io/v1/CertificateRequest";
    check(
        request,
        &conditions(&["Ready=False/Pending/waiting"]),
        Progressing,
        "waiting",
    );
    check(
        request,
        &conditions(&["Ready=False/Denied/no", "Denied=True/Policy/not allowed"]),
        Degraded,
        "not allowed",
    );
    check(
        "acme.cert-manager.io/v1/Order",
        &status(json!({"state": "errored", "reason": "rate limit"})),
        Degraded,
        "rate limit",
    );
    check(
        "acme.cert-manager.io/v1/Challenge",
        &status(json!({"state": "valid"})),
        Healthy,
        "Challenge is valid",
    );
}

#[test]
fn the_argo_family() {
    let run = "argoproj.io/v1alpha1/AnalysisRun";
    check(
        run,
        &status(json!({"phase": "Pending"})),
        Progressing,
        "Analysis run is running",
    );
    check(
        run,
        &status(json!({"phase": "Failed", "message": "p99"})),
        Degraded,
        "p99",
    );
    check(
        run,
        &status(json!({"phase": "Error"})),
        Degraded,
        "Analysis run had an error",
    );
    check(
        run,
        &status(json!({"phase": "Inconclusive"})),
        Unknown,
        "Analysis run was inconclusive",
    );
    check(
        run,
        &json!({}),
        Progressing,
        "Waiting for analysis run to finish: status has not been reconciled.",
    );
    let experiment = "argoproj.io/v1alpha1/Experiment";
    check(
        experiment,
        &status(json!({"phase": "Successful"})),
        Healthy,
        "Experiment is successful",
    );
    let set = "argoproj.io/v1alpha1/ApplicationSet";
    check(
        set,
        &conditions(&[
            "ResourcesUpToDate=True//same",
            "ErrorOccurred=True//bad generator",
        ]),
        Degraded,
        "bad generator",
    );
    check(
        set,
        &conditions(&[
            "ResourcesUpToDate=True//same",
            "RolloutProgressing=True//step 2",
        ]),
        Progressing,
        "step 2",
    );
    check(
        set,
        &json!({}),
        Progressing,
        "Waiting for the status to be reported",
    );
    check(
        "argoproj.io/v1alpha1/EventBus",
        &conditions(&["Deployed=False/NoPods"]),
        Degraded,
        "NoPods",
    );
    let source = "argoproj.io/v1alpha1/EventSource";
    check(
        source,
        &conditions(&["SourcesProvided=True", "Deployed=True"]),
        Healthy,
        "Deployed",
    );
    check(
        "argoproj.io/v1alpha1/Sensor",
        &conditions(&["Deployed=True", "TriggersProvided=False/Bad/no url"]),
        Degraded,
        "no url",
    );
    check(
        "argoproj.io/v1alpha1/CronWorkflow",
        &json!({}),
        Healthy,
        "CronWorkflow is healthy.",
    );
    assert_eq!(health("argoproj.io/v1alpha1/Application", &json!({})), None);
}

#[test]
fn schedules_budgets_and_definitions() {
    let cron = "batch/v1/CronJob";
    check(
        cron,
        &json!({"spec": {"suspend": true}}),
        Suspended,
        "CronJob is Suspended",
    );
    check(
        cron,
        &json!({"spec": {}}),
        Progressing,
        "Waiting for CronJob",
    );
    check(
        cron,
        &status(json!({})),
        Healthy,
        "CronJob has not been scheduled yet",
    );
    let times = |scheduled: &str, succeeded: &str| {
        status(json!({"lastScheduleTime": scheduled, "lastSuccessfulTime": succeeded}))
    };
    check(
        cron,
        &times("2026-01-02T00:00:00Z", "2026-01-01T00:00:00Z"),
        Degraded,
        "CronJob has not completed its last execution successfully",
    );
    check(
        cron,
        &times("2026-01-01T00:00:00Z", "2026-01-01T00:00:09Z"),
        Healthy,
        "CronJob has completed its last execution successfully",
    );
    let budget = "policy/v1/PodDisruptionBudget";
    check(
        budget,
        &conditions(&["DisruptionAllowed=False/InsufficientPods"]),
        Healthy,
        "PodDisruptionBudget has InsufficientPods",
    );
    check(
        budget,
        &conditions(&["DisruptionAllowed=False/SyncFailed"]),
        Degraded,
        "PodDisruptionBudget has SyncFailed",
    );
    let definition = "apiextensions.k8s.io/v1/CustomResourceDefinition";
    check(
        definition,
        &json!({}),
        Progressing,
        "Status conditions not found",
    );
    check(
        definition,
        &conditions(&["NamesAccepted=True"]),
        Degraded,
        "CRD is not established",
    );
    check(
        definition,
        &conditions(&["Established=True", "NamesAccepted=True"]),
        Healthy,
        "CRD is healthy",
    );
    check(
        definition,
        &conditions(&["Established=True", "NonStructuralSchema=True//spec.x"]),
        Degraded,
        "Schema violations found: spec.x",
    );
}

#[test]
fn cloud_resources_by_wildcard() {
    let bucket = "s3.aws.crossplane.io/v1/Bucket";
    check(bucket, &json!({}), Healthy, "Resource is up-to-date.");
    check(
        bucket,
        &status(json!({"x": 1})),
        Progressing,
        "Provisioning ...",
    );
    check(
        bucket,
        &conditions(&["Synced=False//no right", "Ready=True"]),
        Degraded,
        "no right",
    );
    check(
        bucket,
        &conditions(&["Ready=True", "Synced=False//late"]),
        Healthy,
        "Resource is up-to-date.",
    );
    check(
        "s3.aws.upbound.io/v1/Bucket",
        &conditions(&["Ready=True", "Synced=False//late"]),
        Degraded,
        "late",
    );
    check(
        "kubernetes.crossplane.io/v1/ProviderConfig",
        &status(json!({"users": 3})),
        Healthy,
        "Resource is in use.",
    );
    check(
        "rds.services.k8s.aws/v1/DBInstance",
        &conditions(&["ACK.Terminal=True//bad class"]),
        Degraded,
        "bad class",
    );
    check(
        "rds.services.k8s.aws/v1/DBInstance",
        &conditions(&["ACK.ResourceSynced=True"]),
        Healthy,
        "",
    );
    let google = "sql.cnrm.cloud.google.com/v1/SQLInstance";
    check(
        google,
        &conditions(&["Ready=True/UpToDate/same"]),
        Healthy,
        "same",
    );
    check(
        google,
        &conditions(&["Ready=False/UpdateFailed/quota"]),
        Degraded,
        "quota",
    );
    check(
        google,
        &conditions(&["Ready=False/DependencyNotReady/network"]),
        Suspended,
        "network",
    );
    check(
        "core.cnrm.cloud.google.com/v1/ConfigConnector",
        &status(json!({"healthy": false})),
        Degraded,
        "ConfigConnector is not healthy",
    );
}

#[test]
fn flux() {
    let kustomization = "kustomize.toolkit.fluxcd.io/v1/Kustomization";
    check(
        kustomization,
        &json!({"spec": {"suspend": true}}),
        Suspended,
        "Kustomization is suspended",
    );
    check(kustomization, &json!({}), Progressing, "Status unknown");
    check(
        kustomization,
        &conditions(&["Ready=True/Applied"]),
        Healthy,
        "Applied",
    );
    check(
        kustomization,
        &conditions(&["Reconciling=True/Progressing", "Ready=Unknown/Progressing"]),
        Progressing,
        "Progressing",
    );
    check(
        kustomization,
        &conditions(&["Ready=False/BuildFailed"]),
        Degraded,
        "BuildFailed",
    );
    let release = "helm.toolkit.fluxcd.io/v2/HelmRelease";
    check(
        release,
        &conditions(&["Ready=True/UpgradeSucceeded", "Released=True"]),
        Healthy,
        "UpgradeSucceeded",
    );
    check(
        release,
        &conditions(&["Ready=True/UpgradeSucceeded"]),
        Degraded,
        "UpgradeSucceeded",
    );
    let repository = "source.toolkit.fluxcd.io/v1/GitRepository";
    check(
        repository,
        &conditions(&["Ready=True/Succeeded", "ArtifactInStorage=True"]),
        Healthy,
        "Succeeded",
    );
    check(
        "image.toolkit.fluxcd.io/v1/ImageRepository",
        &conditions(&["Ready=False/x", "Reconciling=True/Scanning"]),
        Progressing,
        "x",
    );
}

#[test]
fn gateways_and_meshes() {
    let gateway = "gateway.networking.k8s.io/v1/Gateway";
    check(
        gateway,
        &json!({}),
        Progressing,
        "Waiting for Gateway status",
    );
    check(
        gateway,
        &conditions(&["Accepted=True", "Programmed=True"]),
        Healthy,
        "Gateway is healthy",
    );
    check(
        gateway,
        &conditions(&["Accepted=False/x/no class"]),
        Degraded,
        "no class",
    );
    let listener = json!({"status": {"listeners": [{"conditions": [{"type": "ResolvedRefs", "status": "False", "message": "no secret"}]}]}});
    check(gateway, &listener, Degraded, "Listener: no secret");
    let route = "gateway.networking.k8s.io/v1/HTTPRoute";
    let parent = |generation: u64, status: &str| {
        json!({"metadata": {"generation": 2}, "status": {"parents": [{"parentRef": {"name": "web"}, "conditions": [
            {"type": "Accepted", "status": status, "message": "m", "observedGeneration": generation}]}]}})
    };
    check(
        route,
        &parent(1, "True"),
        Progressing,
        "Waiting for HTTPRoute status",
    );
    check(route, &parent(2, "True"), Healthy, "HTTPRoute is healthy");
    check(route, &parent(2, "False"), Degraded, "Parent web: m");
    check(
        "gateway.networking.k8s.io/v1/GatewayClass",
        &conditions(&["Accepted=True"]),
        Healthy,
        "GatewayClass is accepted",
    );
    check(
        "install.istio.io/v1alpha1/IstioOperator",
        &status(json!({"status": "HEALTHY"})),
        Healthy,
        "Component is healthy.",
    );
    check(
        "networking.istio.io/v1/VirtualService",
        &json!({}),
        Healthy,
        "",
    );
    check("metallb.io/v1beta1/IPAddressPool", &json!({}), Healthy, "");
    check(
        "projectcontour.io/v1/HTTPProxy",
        &status(json!({"currentStatus": "invalid", "description": "d"})),
        Degraded,
        "d",
    );
}

#[test]
fn databases() {
    let cluster = "postgresql.cnpg.io/v1/Cluster";
    let phase =
        |phase: &str| status(json!({"conditions": [], "phase": phase, "phaseReason": "because"}));
    check(
        cluster,
        &phase("Cluster in healthy state"),
        Healthy,
        "because",
    );
    check(
        cluster,
        &phase("Setting up primary"),
        Progressing,
        "because",
    );
    check(cluster, &phase("Failing over"), Degraded, "because");
    check(cluster, &phase("Something new"), Unknown, "because");
    let off = json!({"metadata": {"annotations": {"cnpg.io/reconciliationLoop": "disabled"}}});
    check(
        cluster,
        &off,
        Suspended,
        "Cluster reconciliation is suspended",
    );
    check(
        "acid.zalan.do/v1/postgresql",
        &status(json!({"PostgresClusterStatus": "SyncFailed"})),
        Degraded,
        "SyncFailed",
    );
    check(
        "acid.zalan.do/v1/postgresql",
        &json!({}),
        Progressing,
        "Waiting for postgres cluster status...",
    );
    let crunchy = "postgres-operator.crunchydata.com/v1beta1/PostgresCluster";
    let set = |ready: u64| {
        status(
            json!({"instances": [{"name": "00", "replicas": 2, "readyReplicas": ready, "updatedReplicas": 2}]}),
        )
    };
    check(crunchy, &set(2), Healthy, "All instances are ready");
    check(
        crunchy,
        &set(1),
        Progressing,
        "Waiting for instance set \"00\": 1 of 2 instances are ready",
    );
    let elastic = "elasticsearch.k8s.elastic.co/v1/Elasticsearch";
    let nodes = |available: u64, colour: &str| json!({"spec": {"nodeSets": [{"count": 1}, {"count": 2}]}, "status": {"availableNodes": available, "health": colour, "phase": "Ready"}});
    check(
        elastic,
        &nodes(3, "green"),
        Healthy,
        "Elasticsearch Cluster status is Green",
    );
    check(
        elastic,
        &nodes(2, "green"),
        Progressing,
        "The desired amount of nodes is 3 but the amount of availableNodes is 2",
    );
    check(
        "minio.min.io/v2/Tenant",
        &json!({}),
        Missing,
        "No status info available",
    );
    check(
        "minio.min.io/v2/Tenant",
        &status(json!({"currentState": "Provisioning Headless Service"})),
        Progressing,
        "Provisioning Headless Service",
    );
}

#[test]
fn brokers() {
    let kafka = "kafka.strimzi.io/v1beta2/Kafka";
    check(
        kafka,
        &conditions(&["NotReady=True/Creating"]),
        Progressing,
        "Waiting for Kafka Cluster",
    );
    check(
        kafka,
        &conditions(&["NotReady=True/Fatal/no disk"]),
        Degraded,
        "no disk",
    );
    check(kafka, &conditions(&["Ready=True//x"]), Healthy, "");
    check(
        "kafka.strimzi.io/v1beta2/KafkaTopic",
        &json!({}),
        Progressing,
        "Waiting for Kafka Topic",
    );
    let rabbit = "rabbitmq.com/v1beta1/RabbitmqCluster";
    check(
        rabbit,
        &conditions(&["ClusterAvailable=True", "AllReplicasReady=True"]),
        Healthy,
        "RabbitMQ cluster ready",
    );
    check(
        rabbit,
        &conditions(&["ClusterAvailable=True", "AllReplicasReady=False"]),
        Progressing,
        "Waiting for RabbitMQ instances ready",
    );
    check(
        "rabbitmq.com/v1beta1/Queue",
        &conditions(&["Ready=False/FailedCreateOrUpdate"]),
        Degraded,
        "RabbitMQ queue failed to be created or updated",
    );
}

#[test]
fn secrets_policies_and_scaling() {
    let external = "external-secrets.io/v1/ExternalSecret";
    check(
        external,
        &conditions(&["Ready=False/SecretSyncedError/no key"]),
        Degraded,
        "no key",
    );
    check(
        external,
        &json!({}),
        Progressing,
        "Waiting for ExternalSecret",
    );
    check(
        "bitnami.com/v1alpha1/SealedSecret",
        &conditions(&["Synced=True"]),
        Healthy,
        "",
    );
    let all = "external-secrets.io/v1/ClusterExternalSecret";
    check(
        all,
        &conditions(&["Ready=True//old", "PartiallyReady=True//one failed"]),
        Degraded,
        "one failed",
    );
    check(
        "kyverno.io/v1/ClusterPolicy",
        &conditions(&["Ready=False/Failed/bad rule"]),
        Degraded,
        "bad rule",
    );
    let scaled = "keda.sh/v1alpha1/ScaledObject";
    check(
        scaled,
        &conditions(&["Ready=True//ok", "Paused=True//paused"]),
        Suspended,
        "paused",
    );
    check(
        scaled,
        &conditions(&["Ready=True//ok", "Fallback=True//metrics"]),
        Degraded,
        "metrics",
    );
    check(
        scaled,
        &conditions(&["Ready=True//ok", "Paused=False"]),
        Healthy,
        "ok",
    );
    check(
        scaled,
        &json!({}),
        Progressing,
        "Creating HorizontalPodAutoscaler Object",
    );
}
