//! Tekton.

use crate::health::{
    Code::{Degraded, Healthy, Progressing},
    rule::{Rule, no, on, rule, when, yes},
};

pub(super) const RULES: &[Rule] = &[
    rule("tekton.dev", "PipelineRun|TaskRun|CustomRun|Run", &[when(&[
        yes("Succeeded", Healthy).say("{message|reason}"),
        no("Succeeded", Degraded).say("{message|reason}"),
        on("Succeeded", "Unknown", Progressing).say("{message|reason}"),
    ])])
    .waiting("Waiting for run to start"),
    rule("triggers.tekton.dev", "EventListener", &[when(&[
        no("Ready|Available", Degraded),
        yes("Ready|Available", Healthy),
    ])])
    .waiting("Waiting for EventListener"),
    rule(
        "operator.tekton.dev",
        "TektonConfig|TektonPipeline|TektonTrigger|TektonDashboard|TektonChain|TektonResult|TektonAddon",
        &[when(&[
            no("Ready", Degraded),
            on("Ready", "Unknown", Progressing),
            yes("Ready", Healthy),
        ])],
    )
    .waiting("Waiting for {kind}"),
];
