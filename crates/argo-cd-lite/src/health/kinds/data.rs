//! Databases, search, streams and batch engines.

use crate::health::{
    Code::{Degraded, Healthy, Missing, Progressing, Suspended, Unknown},
    Health, Subject,
    rule::{Rule, Step, field, no, on, rule, run, when, yes},
};

const ELASTIC_UNKNOWN: &str = "Elasticsearch Cluster status is unknown. Ensure your ArgoCD is current and then check for/file a bug report: https://github.com/argoproj/argo-cd/issues";

/// Percona's operators share one field.
const PERCONA: Step = field(
    "status.state",
    &[
        ("ready", Healthy, ""),
        ("paused|stopping", Suspended, "{value}"),
        ("error", Degraded, "{status.message|value}"),
        ("*", Progressing, "{value}"),
    ],
);

pub(super) const RULES: &[Rule] = &[
    rule("elasticsearch.k8s.elastic.co", "Elasticsearch", &[run(elasticsearch)])
        .otherwise(Unknown, ELASTIC_UNKNOWN),
    rule("beat.k8s.elastic.co", "Beat", &[field("status.health", ELASTIC_COLOURS)])
        .waiting("Elastic Beat phase is progressing"),
    rule("kibana.k8s.elastic.co", "Kibana", &[field("status.health", ELASTIC_COLOURS)])
        .waiting("Waiting for Kibana"),
    rule("apm.k8s.elastic.co", "ApmServer", &[field("status.health", ELASTIC_COLOURS)])
        .waiting("Waiting for ApmServer"),
    rule("agent.k8s.elastic.co", "Agent", &[field("status.health", ELASTIC_COLOURS)])
        .waiting("Waiting for Agent"),
    rule("logstash.k8s.elastic.co", "Logstash", &[field("status.health", ELASTIC_COLOURS)])
        .waiting("Waiting for Logstash"),
    rule("opensearch.opster.io", "OpenSearchCluster", &[
        field("status.health", &[("red", Degraded, "OpenSearch health is red")]),
        field("status.phase", &[
            ("RUNNING", Healthy, ""),
            ("*", Progressing, "OpenSearch phase is {value}"),
        ]),
    ])
    .waiting("Waiting for OpenSearchCluster"),
    rule("databases.spotahome.com", "RedisFailover", &[field("status.state", &[
        ("Healthy|NoError", Healthy, ""),
        ("NotHealthy|Error", Degraded, "{status.message}"),
    ])])
    .otherwise(Healthy, ""),
    rule("redis.redis.opstreelabs.in", "RedisCluster", &[field("status.state", &[
        ("Ready", Healthy, "{status.reason}"),
        ("Failed", Degraded, "{status.reason}"),
        ("*", Progressing, "{status.reason}"),
    ])])
    .waiting("Waiting for RedisCluster"),
    rule("mongodbcommunity.mongodb.com", "MongoDBCommunity", &[field("status.phase", &[
        ("Running", Healthy, "{status.message}"),
        ("Failed", Degraded, "{status.message}"),
        ("*", Progressing, "{status.message}"),
    ])])
    .waiting("Waiting for MongoDBCommunity"),
    rule("psmdb.percona.com", "PerconaServerMongoDB", &[PERCONA]).waiting("Waiting for the cluster status"),
    rule("pxc.percona.com", "PerconaXtraDBCluster", &[PERCONA]).waiting("Waiting for the cluster status"),
    rule("ps.percona.com", "PerconaServerMySQL", &[PERCONA]).waiting("Waiting for the cluster status"),
    rule("k8s.mariadb.com", "MariaDB|Database|User|Grant|Backup|Restore|Connection|MaxScale", &[when(&[
        no("Ready|Complete", Degraded).because("Failed*|Error*"),
        no("Ready|Complete", Progressing),
        yes("Ready|Complete", Healthy),
    ])])
    .waiting("Waiting for {kind}"),
    rule("mysql.oracle.com", "InnoDBCluster", &[field("status.cluster.status", &[
        ("ONLINE", Healthy, ""),
        ("ONLINE_PARTIAL|ONLINE_UNCERTAIN", Degraded, "Cluster is {value}"),
        ("OFFLINE|NO_QUORUM|SPLIT_BRAIN|INVALID|UNKNOWN", Degraded, "Cluster is {value}"),
        ("*", Progressing, "Cluster is {value}"),
    ])])
    .waiting("Waiting for InnoDBCluster"),
    rule("clickhouse.altinity.com", "ClickHouseInstallation", &[field("status.status", &[
        ("Completed", Healthy, "{value}"),
        ("InProgress", Progressing, "{value}"),
        ("Aborted", Degraded, "{value}"),
        ("Terminating", Progressing, "{value}"),
    ])])
    .waiting("Waiting for ClickHouseInstallation"),
    rule("cassandra.datastax.com", "CassandraDatacenter", &[
        when(&[yes("Stopped", Suspended).say("Datacenter is stopped")]),
        field("status.cassandraOperatorProgress", &[("Updating", Progressing, "{value}")]),
        when(&[yes("Ready", Healthy), no("Valid", Degraded)]),
    ])
    .waiting("Waiting for CassandraDatacenter"),
    rule("minio.min.io", "Tenant", &[field("status.currentState", &[
        ("Initialized", Healthy, "{value}"),
        ("Provisioning*|Waiting*|Updating*|Restarting*", Progressing, "{value}"),
        (
            "Statefulset not controlled by operator|Another MinIO Tenant already exists in the namespace|Different versions across MinIO Pools",
            Degraded,
            "{value}",
        ),
        ("*", Unknown, "{value}"),
    ])])
    .otherwise(Missing, "No status info available"),
    rule("db.atlasgo.io", "AtlasSchema|AtlasMigration", &[when(&[
        no("Ready", Degraded).because("!Reconciling"),
        no("Ready", Progressing),
        yes("Ready", Healthy),
    ])])
    .waiting("Waiting for reconciliation"),
    rule("sparkoperator.k8s.io", "SparkApplication", &[
        run(spark_executors),
        field("status.applicationState.state", &[
            ("SUBMITTED", Progressing, "SparkApplication was submitted successfully"),
            ("COMPLETED", Healthy, "SparkApplication was Completed"),
            (
                "FAILED|SUBMISSION_FAILED|FAILING",
                Degraded,
                "{status.applicationState.errorMessage}",
            ),
            ("PENDING_RERUN", Progressing, "SparkApplication is Pending Rerun"),
            ("INVALIDATING", Missing, "SparkApplication is in InvalidatingState"),
            ("SUCCEEDING", Progressing, "Waiting for the executor pods to end"),
            ("UNKNOWN", Progressing, "The state of the driver or of an executor is unknown"),
        ]),
    ])
    .waiting("Waiting for Executor pods"),
    rule("flink.apache.org", "FlinkDeployment|FlinkSessionJob", &[
        field("status.lifecycleState", &[
            ("FAILED", Degraded, "{status.error}"),
            ("SUSPENDED", Suspended, ""),
            ("STABLE", Healthy, ""),
            ("ROLLED_BACK", Degraded, "{status.error|rolled back}"),
            ("*", Progressing, "{value}"),
        ]),
    ])
    .waiting("Waiting for {kind}"),
    rule("ray.io", "RayCluster", &[
        field("spec.suspend", &[("true", Suspended, "RayCluster is suspended")]),
        field("status.state", &[
            ("ready", Healthy, ""),
            ("failed", Degraded, "{status.reason}"),
            ("suspended", Suspended, ""),
        ]),
        when(&[no("HeadPodReady", Progressing), yes("RayClusterProvisioned", Healthy)]),
    ])
    .waiting("Waiting for RayCluster"),
    rule("ray.io", "RayJob", &[
        field("status.jobDeploymentStatus", &[
            ("Failed", Degraded, "{status.message}"),
            ("Complete", Healthy, "{status.message}"),
            ("Suspended", Suspended, "{status.message}"),
            ("*", Progressing, "{status.message}"),
        ]),
    ])
    .waiting("Waiting for RayJob"),
    rule("ray.io", "RayService", &[
        when(&[yes("Ready", Healthy), on("Ready", "!True", Progressing)]),
        field("status.serviceStatus", &[
            ("Running", Healthy, ""),
            ("FailedTo*", Degraded, "{value}"),
            ("*", Progressing, "{value}"),
        ]),
    ])
    .waiting("Waiting for RayService"),
];

const ELASTIC_COLOURS: &[(&str, crate::health::Code, &str)] = &[
    ("green", Healthy, "{kind} status is Green"),
    ("yellow", Progressing, "{kind} status is Yellow"),
    ("red", Degraded, "{kind} status is Red"),
    ("*", Unknown, "{kind} status is {value}"),
];

/// The number of nodes comes before the colour.
fn elasticsearch(subject: &Subject<'_>) -> Option<Health> {
    let available = subject.at("status.availableNodes").as_i64()?;
    let sets = subject.list("spec.nodeSets").iter();
    let wanted: i64 = sets.filter_map(|set| set["count"].as_i64()).sum();
    if available < wanted {
        return Some(Health::new(
            Progressing,
            format!(
                "The desired amount of nodes is {wanted} but the amount of availableNodes is {available}"
            ),
        ));
    }
    if available > wanted || subject.at("status.health").is_null() {
        return None;
    }
    let phase = subject.text("status.phase");
    let (code, message) = match (phase, subject.text("status.health")) {
        ("Ready", "green") => (Healthy, "Elasticsearch Cluster status is Green"),
        ("Ready", "yellow") => (
            Degraded,
            "Elasticsearch Cluster status is Yellow. Check the status of indices, replicas and shards",
        ),
        ("Ready", "red") => (
            Degraded,
            "Elasticsearch Cluster status is Red. Check the status of indices, replicas and shards",
        ),
        ("ApplyingChanges", _) => (Progressing, "Elasticsearch phase is ApplyingChanges"),
        ("MigratingData", _) => (Progressing, "Elasticsearch phase is MigratingData"),
        ("Invalid", _) => (Degraded, "Elasticsearch phase is Invalid"),
        _ => return None,
    };
    Some(Health::new(code, message))
}

/// A running application is healthy when all executors run.
fn spark_executors(subject: &Subject<'_>) -> Option<Health> {
    if subject.text("status.applicationState.state") != "RUNNING" {
        return None;
    }
    let executors = subject.at("status.executorState").as_object()?;
    let running = executors
        .values()
        .filter(|state| *state == "RUNNING")
        .count();
    let wanted = subject.at("spec.executor.instances").as_u64()?;
    (usize::try_from(wanted) == Ok(running))
        .then(|| Health::new(Healthy, "SparkApplication is Running"))
}
