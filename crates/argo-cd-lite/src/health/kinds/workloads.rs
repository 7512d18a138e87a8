//! Workloads of OpenKruise and others.

use crate::health::{
    Code::{Degraded, Healthy, Progressing, Suspended},
    Health, Subject,
    rule::{Rule, absent, behind, field, on, rule, run, when, yes},
};

const INITIALIZING: &str = "Waiting for initialization";

pub(super) const RULES: &[Rule] = &[
    rule("apps.kruise.io", "CloneSet", &[run(clone_set)]).waiting(INITIALIZING),
    rule("apps.kruise.io", "StatefulSet", &[run(stateful_set)]).waiting(INITIALIZING),
    rule("apps.kruise.io", "DaemonSet", &[run(daemon_set)]).waiting(INITIALIZING),
    rule(
        "apps.kruise.io",
        "BroadcastJob",
        &[
            field("status.desired", &[("0", Suspended, "No eligible nodes")]),
            when(&[
                yes("Failed", Degraded).say("{message|BroadcastJob failed}"),
                yes("Complete", Healthy).say("BroadcastJob is completed successfully"),
            ]),
            field(
                "spec.paused",
                &[("true", Suspended, "BroadcastJob is Paused")],
            ),
        ],
    )
    .waiting(INITIALIZING),
    rule(
        "apps.kruise.io",
        "AdvancedCronJob",
        &[
            field(
                "spec.paused",
                &[("true", Suspended, "AdvancedCronJob is Paused")],
            ),
            absent("status", Progressing, "AdvancedCronJobs has no status"),
            field(
                "status.lastScheduleTime",
                &[("*", Healthy, "AdvancedCronJob is healthy")],
            ),
        ],
    )
    .waiting("AdvancedCronJob has not been scheduled yet"),
    rule(
        "jobset.x-k8s.io",
        "JobSet",
        &[
            field(
                "spec.suspend",
                &[("true", Suspended, "JobSet is suspended")],
            ),
            when(&[
                yes("Failed", Degraded),
                yes("Completed", Healthy),
                yes("Suspended", Suspended),
            ]),
        ],
    )
    .waiting("JobSet is running"),
    rule(
        "kubeflow.org",
        "PyTorchJob|TFJob|MPIJob|XGBoostJob|PaddleJob",
        &[when(&[
            yes("Failed", Degraded),
            yes("Succeeded", Healthy),
            yes("Suspended", Suspended),
        ])],
    )
    .waiting("{kind} is running"),
    rule(
        "work.karmada.io",
        "ResourceBinding|ClusterResourceBinding",
        &[
            behind(Progressing, "Waiting for the latest spec to be observed"),
            when(&[on("Scheduled", "False", Degraded)]),
            when(&[
                yes("FullyApplied", Healthy),
                on("FullyApplied", "False", Progressing),
            ]),
        ],
    )
    .waiting("Waiting for {kind}"),
    rule(
        "core.oam.dev",
        "Application",
        &[field(
            "status.status",
            &[
                ("running", Healthy, ""),
                ("workflowSuspending", Suspended, "{value}"),
                (
                    "workflowFailed|workflowTerminated|unhealthy",
                    Degraded,
                    "{value}",
                ),
                ("*", Progressing, "{value}"),
            ],
        )],
    )
    .waiting(INITIALIZING),
];

fn is_current(subject: &Subject<'_>) -> bool {
    let observed = subject.at("status.observedGeneration").as_i64();
    observed.is_some() && observed == subject.metadata.generation
}

fn clone_set(subject: &Subject<'_>) -> Option<Health> {
    if !is_current(subject) {
        return None;
    }
    let available = subject.at("status.updatedAvailableReplicas").as_i64();
    let strategy = subject.at("spec.updateStrategy");
    if strategy["paused"].as_bool() == Some(true) || available.is_none() {
        return Some(Health::new(Suspended, "Cloneset is paused"));
    }
    let partitioned = strategy["partition"]
        .as_i64()
        .is_some_and(|count| count != 0);
    if partitioned && subject.metadata.generation > Some(1) {
        let waits =
            subject.int("status.updatedReplicas") >= subject.int("status.expectedUpdatedReplicas");
        return waits.then(|| Health::new(Suspended, "Cloneset needs manual intervention"));
    }
    Some(if available == subject.at("status.replicas").as_i64() {
        Health::new(Healthy, "All Cloneset workloads are ready and updated")
    } else {
        Health::new(Degraded, "Some replicas are not ready or available")
    })
}

fn stateful_set(subject: &Subject<'_>) -> Option<Health> {
    if !is_current(subject) {
        return None;
    }
    let rolling = subject.at("spec.updateStrategy.rollingUpdate");
    if rolling["paused"].as_bool() == Some(true) {
        return Some(Health::new(Suspended, "Statefulset is paused"));
    }
    let updated = subject.int("status.updatedAvailableReplicas");
    let partitioned = rolling["partition"]
        .as_i64()
        .is_some_and(|count| count != 0);
    if partitioned && subject.metadata.generation > Some(1) {
        let wanted = subject.int("status.replicas") - rolling["partition"].as_i64().unwrap_or(0);
        let waits = subject.int("status.updatedReplicas") >= wanted;
        return waits.then(|| Health::new(Suspended, "Statefulset needs manual intervention"));
    }
    Some(if updated == subject.int("status.replicas") {
        Health::new(Healthy, "All Statefulset workloads are ready and updated")
    } else {
        Health::new(Degraded, "Some replicas are not ready or available")
    })
}

fn daemon_set(subject: &Subject<'_>) -> Option<Health> {
    if !is_current(subject) {
        return None;
    }
    let rolling = subject.at("spec.updateStrategy.rollingUpdate");
    if rolling["paused"].as_bool() == Some(true) {
        return Some(Health::new(Suspended, "Daemonset is paused"));
    }
    let partitioned = rolling["partition"]
        .as_i64()
        .is_some_and(|count| count != 0);
    if partitioned && subject.metadata.generation > Some(1) {
        return Some(Health::new(
            Suspended,
            "Daemonset needs manual intervention",
        ));
    }
    let wanted = subject.int("status.desiredNumberScheduled");
    let done = subject.int("status.updatedNumberScheduled") == wanted
        && subject.int("status.numberAvailable") == wanted;
    Some(if done {
        Health::new(Healthy, "All Daemonset workloads are ready and updated")
    } else {
        Health::new(Degraded, "Some pods are not ready or available")
    })
}
