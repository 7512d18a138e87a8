//! Strimzi, RabbitMQ and other brokers.

use crate::health::{
    Code::{Degraded, Healthy, Progressing, Suspended, Unknown},
    Health, Subject,
    rule::{Rule, Step, field, no, on, rule, run, when, yes},
};

/// Strimzi reports `NotReady` and `Ready` as conditions of their own.
const STRIMZI: Step = when(&[yes("NotReady", Degraded), yes("Ready", Healthy).say("")]);

pub(super) const RULES: &[Rule] = &[
    rule(
        "kafka.strimzi.io",
        "Kafka",
        &[when(&[
            yes("NotReady", Degraded).because("!Creating"),
            yes("Ready", Healthy).say(""),
        ])],
    )
    .waiting("Waiting for Kafka Cluster"),
    rule("kafka.strimzi.io", "KafkaConnect", &[STRIMZI]).waiting("Waiting for Kafka Connect"),
    rule("kafka.strimzi.io", "KafkaConnector", &[STRIMZI]).waiting("Waiting for Kafka Connector"),
    rule("kafka.strimzi.io", "KafkaBridge", &[STRIMZI]).waiting("Waiting for Kafka Bridge"),
    rule("kafka.strimzi.io", "KafkaTopic", &[STRIMZI]).waiting("Waiting for Kafka Topic"),
    rule("kafka.strimzi.io", "KafkaUser", &[STRIMZI]).waiting("Waiting for Kafka User"),
    rule(
        "kafka.strimzi.io",
        "KafkaMirrorMaker2|KafkaRebalance|KafkaNodePool",
        &[
            STRIMZI,
            when(&[yes("ProposalReady", Suspended).say("Waiting for approval")]),
            run(node_pool),
        ],
    )
    .waiting("Waiting for {kind}"),
    rule(
        "rabbitmq.com",
        "RabbitmqCluster",
        &[
            when(&[no("ReconcileSuccess", Degraded)]),
            when(&[
                on("ClusterAvailable|AllReplicasReady", "Unknown", Progressing)
                    .say("Waiting for RabbitMQ cluster readiness (conditions unknown)"),
            ]),
            when(&[
                no("ClusterAvailable", Progressing).say("Waiting for RabbitMQ cluster formation")
            ]),
            when(
                &[no("AllReplicasReady", Progressing).say("Waiting for RabbitMQ instances ready")],
            ),
            run(rabbitmq),
        ],
    )
    .waiting("Waiting for RabbitMQ Operator"),
    rule(
        "rabbitmq.com",
        "Binding|Exchange|Permission|Policy|Queue|Shovel|User|Vhost|Federation|SchemaReplication|TopicPermission",
        &[run(rabbitmq_topology)],
    ),
    rule(
        "jetstream.nats.io",
        "Stream|Consumer|KeyValue|ObjectStore|Account",
        &[when(&[no("Ready", Degraded), yes("Ready", Healthy)])],
    )
    .waiting("Waiting for {kind}"),
    rule(
        "cluster.redpanda.com",
        "Redpanda|Topic|User|Schema",
        &[when(&[
            no("Ready", Degraded),
            on("Ready", "Unknown", Progressing),
            yes("Ready", Healthy),
        ])],
    )
    .waiting("Waiting for {kind}"),
    rule(
        "platform.confluent.io",
        "Kafka|Zookeeper|Connect|SchemaRegistry|KsqlDB|KRaftController",
        &[field(
            "status.phase",
            &[
                ("RUNNING", Healthy, ""),
                ("FAILED", Degraded, "{value}"),
                ("*", Progressing, "{value}"),
            ],
        )],
    )
    .waiting("Waiting for {kind}"),
];

fn node_pool(subject: &Subject<'_>) -> Option<Health> {
    let assigned = subject.kind == "KafkaNodePool" && !subject.list("status.nodeIds").is_empty();
    (assigned && !subject.is_behind()).then(|| Health::of(Healthy))
}

fn rabbitmq(subject: &Subject<'_>) -> Option<Health> {
    let is_true = |type_: &str| {
        let mut conditions = subject.conditions().iter();
        conditions.any(|condition| condition["type"] == type_ && condition["status"] == "True")
    };
    let ready = is_true("ClusterAvailable") && is_true("AllReplicasReady");
    ready.then(|| Health::new(Healthy, "RabbitMQ cluster ready"))
}

/// Queues and their like; messages have the name of the kind in lower case.
fn rabbitmq_topology(subject: &Subject<'_>) -> Option<Health> {
    let kind = subject.kind.to_ascii_lowercase();
    for condition in subject.conditions() {
        if condition["type"] != "Ready" {
            continue;
        }
        match (condition["status"].as_str(), condition["reason"].as_str()) {
            (Some("True"), Some("SuccessfulCreateOrUpdate")) => {
                return Some(Health::new(Healthy, format!("RabbitMQ {kind} ready")));
            }
            (Some("False"), Some("FailedCreateOrUpdate")) => {
                let message = format!("RabbitMQ {kind} failed to be created or updated");
                return Some(Health::new(Degraded, message));
            }
            _ => {}
        }
    }
    Some(Health::new(
        Unknown,
        format!("RabbitMQ {kind} status is unknown"),
    ))
}
