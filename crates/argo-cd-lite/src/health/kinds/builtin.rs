//! Kinds of Kubernetes itself whose rule is a table.

use crate::health::{
    Code::{Degraded, Healthy, Progressing, Suspended},
    Health, Subject,
    rule::{Rule, absent, field, no, on, rule, run, when, yes},
};

pub(super) const RULES: &[Rule] = &[
    rule(
        "batch",
        "CronJob",
        &[
            field(
                "spec.suspend",
                &[("true", Suspended, "CronJob is Suspended")],
            ),
            absent("status", Progressing, "Waiting for CronJob"),
            run(last_schedule),
        ],
    ),
    rule(
        "policy",
        "PodDisruptionBudget",
        &[
            when(&[no("*", Degraded)
                .because("!InsufficientPods")
                .say("PodDisruptionBudget has {reason}")]),
            run(last_reason),
        ],
    )
    .waiting("Waiting for status"),
    rule(
        "apiextensions.k8s.io",
        "CustomResourceDefinition",
        &[
            run(without_conditions),
            when(&[yes("Terminating", Progressing).say("CRD is terminating: {message}")]),
            when(&[
                no("NamesAccepted", Degraded).say("CRD names have not been accepted: {message}")
            ]),
            run(not_established),
            when(&[yes("NonStructuralSchema", Degraded).say("Schema violations found: {message}")]),
        ],
    )
    .otherwise(Healthy, "CRD is healthy"),
    rule(
        "autoscaling.k8s.io",
        "VerticalPodAutoscaler",
        &[
            when(&[
                yes("NoPodsMatched", Degraded).say("{message|reason|No pods match the selector}")
            ]),
            when(&[yes("RecommendationProvided", Healthy).say("Recommendation provided")]),
        ],
    )
    .waiting("Waiting for a recommendation"),
    rule(
        "snapshot.storage.k8s.io",
        "VolumeSnapshot",
        &[
            field("status.readyToUse", &[("true", Healthy, "Ready to use")]),
            field("status.error.message", &[("*", Degraded, "{value}")]),
        ],
    )
    .waiting("Waiting for status"),
    rule(
        "certificates.k8s.io",
        "CertificateSigningRequest",
        &[
            when(&[on("Denied|Failed", "True", Degraded).say("{message|reason}")]),
            field(
                "status.certificate",
                &[("*", Healthy, "Certificate was issued")],
            ),
            when(&[yes("Approved", Progressing).say("Approved, waiting for the certificate")]),
        ],
    )
    .waiting("Waiting for approval"),
];

/// Times are compared as text: all of them are UTC in the same form. A running Job says nothing about the last one.
fn last_schedule(subject: &Subject<'_>) -> Option<Health> {
    let scheduled = subject.text("status.lastScheduleTime");
    let succeeded = subject.text("status.lastSuccessfulTime");
    let (code, message) = if scheduled.is_empty() {
        (Healthy, "CronJob has not been scheduled yet")
    } else if succeeded.is_empty() {
        (
            Healthy,
            "The Cronjob never completed succesfully. It may not be healthy",
        )
    } else if !subject.list("status.active").is_empty() {
        (
            Healthy,
            "The job is running. Its last execution may not have been successful",
        )
    } else if succeeded < scheduled {
        (
            Degraded,
            "CronJob has not completed its last execution successfully",
        )
    } else {
        (
            Healthy,
            "CronJob has completed its last execution successfully",
        )
    };
    Some(Health::new(code, message))
}

/// Whatever is not broken is healthy; the last condition gives the message.
fn last_reason(subject: &Subject<'_>) -> Option<Health> {
    let last = subject.conditions().last()?;
    let reason = last["reason"].as_str().unwrap_or_default();
    Some(Health::new(
        Healthy,
        format!("PodDisruptionBudget has {reason}"),
    ))
}

fn without_conditions(subject: &Subject<'_>) -> Option<Health> {
    let none = subject.conditions().is_empty();
    none.then(|| Health::new(Progressing, "Status conditions not found"))
}

fn not_established(subject: &Subject<'_>) -> Option<Health> {
    let established = subject
        .conditions()
        .iter()
        .any(|condition| condition["type"] == "Established" && condition["status"] == "True");
    (!established).then(|| Health::new(Degraded, "CRD is not established"))
}
