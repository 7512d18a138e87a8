//! Databases, brokers, secrets and policies.

use super::*;

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
