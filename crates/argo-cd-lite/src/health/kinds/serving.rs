//! Knative, KServe and their operators.

use std::fmt::Write;

use serde_json::Value;

use crate::health::{
    Code::{Degraded, Healthy, Progressing},
    Health, Subject,
    rule::{Rule, no, on, rule, run, when, yes},
    value::text,
};

const WAITING: &str = "Waiting for status update.";

pub(super) const RULES: &[Rule] = &[
    rule("serving.knative.dev", "Service", &[run(knative_service)]).waiting(WAITING),
    rule(
        "serving.knative.dev",
        "Configuration|Route|Revision|DomainMapping",
        READY,
    )
    .waiting(WAITING),
    rule("eventing.knative.dev", "Broker|Trigger|EventType", READY).waiting(WAITING),
    rule(
        "messaging.knative.dev",
        "Channel|InMemoryChannel|Subscription",
        READY,
    )
    .waiting(WAITING),
    rule(
        "sources.knative.dev",
        "ApiServerSource|PingSource|SinkBinding|ContainerSource|KafkaSource",
        READY,
    )
    .waiting(WAITING),
    rule(
        "operator.knative.dev",
        "KnativeServing|KnativeEventing",
        &[run(knative_operator)],
    )
    .waiting("Waiting for {kind}"),
    rule(
        "serving.kserve.io",
        "InferenceService",
        &[run(inference_service)],
    )
    .waiting(WAITING),
    rule(
        "serving.kubeflow.org",
        "InferenceService",
        &[run(inference_service)],
    )
    .waiting(WAITING),
    rule(
        "leaderworkerset.x-k8s.io",
        "LeaderWorkerSet",
        &[when(&[
            yes("Progressing|UpdateInProgress", Progressing),
            yes("Available", Healthy),
        ])],
    )
    .waiting("Waiting for LeaderWorkerSet"),
    rule(
        "kueue.x-k8s.io",
        "ClusterQueue|LocalQueue|AdmissionCheck",
        &[when(&[no("Active", Degraded), yes("Active", Healthy)])],
    )
    .waiting("Waiting for {kind}"),
];

const READY: &[crate::health::rule::Step] = &[when(&[
    no("Ready", Degraded).say("{message|reason}"),
    on("Ready", "Unknown", Progressing).say("{message|reason}"),
    yes("Ready", Healthy).say("{message}"),
])];

/// True conditions of the given types, and a line for each that is not true.
fn tally(conditions: &[Value], counted: &[&str]) -> (usize, bool, String) {
    let (mut met, mut failed, mut message) = (0, false, String::new());
    for condition in conditions {
        let type_ = text(condition, &["type"]);
        let status = text(condition, &["status"]);
        if status == "True" {
            met += usize::from(counted.contains(&type_));
            continue;
        }
        failed |= status == "False";
        _ = write!(message, "{type_} is {status}");
        let reason = text(condition, &["reason"]);
        if !reason.is_empty() {
            _ = write!(message, ", since {reason}.");
        }
        let said = text(condition, &["message"]);
        if !said.is_empty() {
            _ = write!(message, " {said}");
        }
        message.push('\n');
    }
    (met, failed, message)
}

fn all_met(subject: &Subject<'_>, counted: &[&str], healthy: &str) -> Option<Health> {
    subject.at("status.conditions").as_array()?;
    let (met, failed, message) = tally(subject.conditions(), counted);
    Some(if failed {
        Health::new(Degraded, message)
    } else if met == 3 && message.is_empty() {
        Health::new(Healthy, healthy)
    } else {
        Health::new(Progressing, message)
    })
}

fn knative_service(subject: &Subject<'_>) -> Option<Health> {
    all_met(
        subject,
        &["ConfigurationsReady", "RoutesReady", "Ready"],
        "Knative Service is healthy.",
    )
}

fn inference_service(subject: &Subject<'_>) -> Option<Health> {
    subject.at("status.conditions").as_array()?;
    let (met, failed, message) = tally(
        subject.conditions(),
        &[
            "IngressReady",
            "PredictorConfigurationReady",
            "PredictorReady",
            "PredictorRouteReady",
            "Ready",
        ],
    );
    Some(if failed {
        Health::new(Degraded, message)
    } else if met >= 3 && message.is_empty() {
        Health::new(Healthy, "Inference Service is healthy.")
    } else {
        Health::new(Progressing, message)
    })
}

/// Four conditions make an installation; one that is unknown means that it is under way.
fn knative_operator(subject: &Subject<'_>) -> Option<Health> {
    subject.at("status.conditions").as_array()?;
    let (mut met, mut under_way, mut message) = (0, false, String::new());
    for (index, condition) in subject.conditions().iter().enumerate() {
        let type_ = text(condition, &["type"]);
        let status = text(condition, &["status"]);
        _ = writeln!(message, "{}: {type_} | {status}", index + 1);
        match (type_, status) {
            (
                "Ready" | "InstallSucceeded" | "DependenciesInstalled" | "DeploymentsAvailable",
                "True",
            ) => {
                met += 1;
            }
            ("DeploymentsAvailable", "False") | (_, "Unknown") => under_way = true,
            _ => {}
        }
    }
    Some(if under_way {
        Health::new(Progressing, message)
    } else if met == 4 {
        Health::new(Healthy, format!("{} is healthy.", subject.kind))
    } else {
        Health::new(Degraded, message)
    })
}
