//! The table: for each kind what its controller writes, and what that means.
#![expect(
    clippy::too_many_lines,
    clippy::needless_pass_by_value,
    reason = "tables of json!() literals"
)]

mod delivery;
mod services;

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
