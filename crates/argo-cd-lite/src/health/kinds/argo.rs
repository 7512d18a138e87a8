//! The Argo family. Workflow and Rollout have rules in code; an Application has none on purpose, as upstream.

use crate::health::{
    Code::{Degraded, Healthy, Progressing, Suspended, Unknown},
    Health, Subject,
    rule::{Rule, absent, behind, field, no, on, rule, run, when, yes},
};

const NOT_RECONCILED: &str = "Waiting for analysis run to finish: status has not been reconciled.";
/// What an object gets whose status says nothing that the rule knows.
const INVALID: &str = "Lua returned an invalid health status";

pub(super) const RULES: &[Rule] = &[
    rule("argoproj.io", "AnalysisRun", &[
        absent("status", Progressing, NOT_RECONCILED),
        field("status.phase", &[
            ("Pending|Running", Progressing, "Analysis run is running"),
            ("Successful", Healthy, "{status.message|Analysis run completed successfully}"),
            ("Failed", Degraded, "{status.message|Analysis run failed}"),
            ("Error", Degraded, "{status.message|Analysis run had an error}"),
            ("Inconclusive", Unknown, "{status.message|Analysis run was inconclusive}"),
        ]),
    ])
    .otherwise(Unknown, INVALID),
    rule("argoproj.io", "Experiment", &[
        absent(
            "status",
            Progressing,
            "Waiting for experiment to finish: status has not been reconciled.",
        ),
        field("status.phase", &[
            ("Pending", Progressing, "Experiment is pending"),
            ("Running", Progressing, "Experiment is running"),
            ("Successful", Healthy, "Experiment is successful"),
            ("Failed", Degraded, "Experiment has failed"),
            ("Error", Degraded, "Experiment had an error"),
        ]),
    ])
    .otherwise(Unknown, INVALID),
    rule("argoproj.io", "ApplicationSet", &[
        when(&[yes("ErrorOccurred", Degraded)]),
        when(&[no("ResourcesUpToDate", Degraded)]),
        when(&[yes("RolloutProgressing", Progressing)]),
        when(&[yes("ResourcesUpToDate", Healthy)]),
    ])
    .waiting("Waiting for the status to be reported"),
    rule("argoproj.io", "CronWorkflow", &[when(&[
        yes("SpecError|SubmissionError", Degraded),
        yes("Completed", Healthy),
    ])])
    .otherwise(Healthy, "CronWorkflow is healthy."),
    rule("argoproj.io", "EventBus", &[when(&[
        no("Deployed", Degraded).say("{message|reason}"),
        yes("Deployed", Healthy).say("{message|reason}"),
    ])])
    .waiting("Waiting for initialization"),
    rule("argoproj.io", "EventSource|Sensor", &[
        behind(Progressing, "Waiting for the latest spec to be observed"),
        when(&[no("*", Degraded).say("{message|reason}")]),
        when(&[on("*", "!True", Progressing).say("{message|reason}")]),
        when(&[yes("Deployed", Healthy).say("{message|Deployed}")]),
    ])
    .waiting("Waiting for initialization"),
    rule("argoproj.io", "WorkflowTaskSet", &[]).otherwise(Healthy, ""),
    rule("promoter.argoproj.io", "PullRequest", &[
        when(&[no("Ready", Degraded).because("ReconciliationError")]),
        field("status.state", &[
            ("merged", Healthy, "Pull request is merged"),
            ("open", Progressing, "Pull request is open"),
            ("closed", Degraded, "Pull request is closed"),
        ]),
    ])
    .waiting("Waiting for the status to be reported"),
    rule(
        "promoter.argoproj.io",
        "ArgoCDCommitStatus|ChangeTransferPolicy|ClusterScmProvider|CommitStatus|GitCommitStatus|GitRepository|ScmProvider|TimedCommitStatus",
        &[when(&[
            no("Ready", Degraded).because("ReconciliationError"),
            yes("Ready", Healthy),
        ])],
    )
    .waiting("Waiting for the status to be reported"),
    rule("numaflow.numaproj.io", "Pipeline|MonoVertex", &[
        behind(Progressing, "Waiting for {kind} status"),
        run(failed_upgrade),
        field("status.phase", &[("Failed", Degraded, "{status.message}")]),
        when(&[no("*", Degraded).say("Subresources are unhealthy")]),
        field("status.phase", &[
            ("Paused|Pausing", Healthy, "{kind} is paused"),
            ("Running", Healthy, "{kind} is healthy"),
        ]),
    ])
    .waiting("Waiting for {kind} status"),
    rule("numaflow.numaproj.io", "InterStepBufferService|Vertex", &[
        behind(Progressing, "Waiting for {kind} status"),
        field("status.phase", &[("Failed", Degraded, "{status.message}")]),
        when(&[no("*", Degraded).say("Subresources are unhealthy")]),
        field("status.phase", &[("Running", Healthy, "{kind} is healthy")]),
    ])
    .waiting("Waiting for {kind} status"),
    rule("argocd-image-updater.argoproj.io", "ImageUpdater", &[
        when(&[yes("Error", Degraded), no("Ready", Degraded)]),
        when(&[yes("Reconciling", Progressing)]),
        when(&[yes("Ready", Healthy)]),
    ])
    .waiting("Waiting for the status to be reported"),
    rule("argoproj.io", "ArgoCD", &[field("status.phase", &[
        ("Available", Healthy, "Argo CD is available"),
        ("Failed|Unknown", Degraded, "Argo CD is {value}"),
        ("*", Progressing, "Argo CD is {value}"),
    ])])
    .waiting("Waiting for the status to be reported"),
    rule("argoproj.io", "RolloutManager", &[field("status.phase", &[
        ("Available", Healthy, ""),
        ("Failure", Degraded, ""),
        ("*", Progressing, ""),
    ])])
    .waiting("Waiting for the status to be reported"),
    rule("flagger.app", "Canary", &[
        absent("status", Unknown, "No status"),
        run(canary),
    ]),
    rule("keda.sh", "ScaledObject", &[
        when(&[no("Ready", Degraded), yes("Fallback", Degraded)]),
        run(scaled),
    ])
    .waiting("Creating HorizontalPodAutoscaler Object"),
    rule("keda.sh", "ScaledJob", &[
        when(&[on("Ready", "False|Unknown", Degraded)]),
        run(scaled),
    ])
    .waiting("Waiting for ScaledJob"),
    rule("keda.sh", "TriggerAuthentication|ClusterTriggerAuthentication", &[])
        .otherwise(Healthy, ""),
    rule("kargo.akuity.io", "Stage", &[
        behind(Progressing, "Waiting for the latest spec to be observed"),
        field("status.health.status", &[
            ("Healthy", Healthy, ""),
            ("Unhealthy", Degraded, "{status.message}"),
            ("Unknown", Unknown, "{status.message}"),
            ("*", Progressing, "{status.message}"),
        ]),
        when(&[no("Ready", Progressing), yes("Ready", Healthy)]),
    ])
    .waiting("Waiting for the status to be reported"),
    rule("kargo.akuity.io", "Promotion", &[field("status.phase", &[
        ("Succeeded", Healthy, "{status.message}"),
        ("Failed|Errored", Degraded, "{status.message}"),
        ("Aborted", Suspended, "{status.message}"),
        ("*", Progressing, "{status.message}"),
    ])])
    .waiting("Waiting for the status to be reported"),
];

fn failed_upgrade(subject: &Subject<'_>) -> Option<Health> {
    let state = subject.label("numaplane.numaproj.io/progressive-result-state");
    (state == Some("failed")).then(|| Health::new(Degraded, "Failed progressive upgrade"))
}

/// The message joins the weight and every condition.
fn canary(subject: &Subject<'_>) -> Option<Health> {
    let phase = subject.text("status.phase");
    let code = match phase {
        "Failed" => Degraded,
        "Progressing" | "Finalising" | "Promoting" => Progressing,
        "Succeeded" | "Initialized" => Healthy,
        _ => Unknown,
    };
    let mut parts = Vec::new();
    let weight = subject.int("status.canaryWeight");
    if weight > 0 {
        parts.push(format!("Canary Weight: {weight} %"));
    }
    let messages = subject.conditions().iter();
    parts.extend(messages.filter_map(|condition| Some(condition["message"].as_str()?.to_owned())));
    Some(Health::new(
        code,
        format!("{phase} --- {}", parts.join(" --- ")),
    ))
}

/// Ready, and perhaps paused; the last of the two conditions gives the message.
fn scaled(subject: &Subject<'_>) -> Option<Health> {
    let (mut ready, mut paused, mut message) = (false, false, "");
    for condition in subject.conditions() {
        if condition["status"] != "True" {
            continue;
        }
        match condition["type"].as_str() {
            Some("Ready") => ready = true,
            Some("Paused") => paused = true,
            _ => continue,
        }
        message = condition["message"].as_str().unwrap_or_default();
    }
    match (ready, paused) {
        (false, _) => None,
        (true, false) => Some(Health::new(Healthy, message)),
        (true, true) => Some(Health::new(Suspended, message)),
    }
}
