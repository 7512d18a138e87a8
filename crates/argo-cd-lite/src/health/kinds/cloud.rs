//! Controllers of cloud resources, whose kinds are too many to name: rules for whole domains.

use crate::health::{
    Code::{Degraded, Healthy, Progressing, Suspended},
    Health, Subject,
    rule::{Rule, behind, no, on, rule, run, when, yes},
};

const UP_TO_DATE: &str = "Resource is up-to-date.";
const PROVISIONING: &str = "Provisioning ...";

pub(super) const RULES: &[Rule] = &[
    rule(
        "*.crossplane.io",
        "*",
        &[
            run(crossplane_without_conditions),
            when(&[
                no("LastAsyncOperation|Synced", Degraded),
                yes(
                    "Ready|Healthy|Offered|Established|ValidPipeline|RevisionHealthy",
                    Healthy,
                )
                .say(UP_TO_DATE),
            ]),
        ],
    )
    .waiting(PROVISIONING),
    rule(
        "*.upbound.io",
        "*",
        &[
            run(crossplane_without_conditions),
            when(&[no("LastAsyncOperation|Synced", Degraded)]),
            when(&[yes("Ready", Healthy).say(UP_TO_DATE)]),
        ],
    )
    .waiting(PROVISIONING),
    rule(
        "*.services.k8s.aws",
        "*",
        &[
            when(&[yes("ACK.Terminal", Degraded)]),
            when(&[
                no("Ready", Progressing),
                yes("Ready", Healthy).say(""),
                // Controllers of before `Ready` was introduced.
                no("ACK.ResourceSynced", Progressing),
                yes("ACK.ResourceSynced", Healthy).say(""),
            ]),
        ],
    )
    .waiting("Waiting for resource to be ready"),
    rule(
        "*.cnrm.cloud.google.com",
        "*",
        &[
            behind(Progressing, "Update in progress"),
            run(config_connector),
            when(&[
                on("*", "True", Healthy).because("UpToDate"),
                on("*", "*", Degraded).because("UpdateFailed|DependencyNotFound"),
                on("*", "*", Suspended).because("DependencyNotReady"),
            ]),
        ],
    )
    .waiting("Update in progress"),
    rule(
        "*.azure.com",
        "*",
        &[when(&[
            yes("Ready", Healthy),
            // Azure Service Operator puts the severity beside the reason.
            no("Ready", Progressing).because("Reconciling|WaitingForOwner|ReferenceNotFound"),
            no("Ready", Degraded),
        ])],
    )
    .waiting("Waiting for resource to be ready"),
    rule(
        "*.infra.contrib.fluxcd.io",
        "*",
        &[when(&[no("Ready", Degraded), yes("Ready", Healthy)])],
    )
    .waiting("Waiting for resource to be ready"),
];

/// Kinds that never have a status.
const WITHOUT_STATUS: &[&str] = &[
    "Composition",
    "CompositionRevision",
    "DeploymentRuntimeConfig",
    "ClusterProviderConfig",
    "ProviderConfig",
    "ProviderConfigUsage",
    "ControllerConfig",
];

fn crossplane_without_conditions(subject: &Subject<'_>) -> Option<Health> {
    let status = subject.at("status");
    let empty = status.as_object().is_some_and(serde_json::Map::is_empty);
    if status.is_null() || (empty && WITHOUT_STATUS.contains(&subject.kind)) {
        return Some(Health::new(Healthy, UP_TO_DATE));
    }
    let in_use = status["conditions"].is_null()
        && matches!(subject.kind, "ProviderConfig" | "ClusterProviderConfig")
        && !status["users"].is_null();
    in_use.then(|| Health::new(Healthy, "Resource is in use."))
}

/// The operator's own configuration says healthy or not.
fn config_connector(subject: &Subject<'_>) -> Option<Health> {
    if !matches!(subject.kind, "ConfigConnector" | "ConfigConnectorContext") {
        return None;
    }
    let healthy = subject.at("status.healthy").as_bool()?;
    let kind = subject.kind;
    Some(if healthy {
        Health::new(Healthy, format!("{kind} is healthy"))
    } else {
        Health::new(Degraded, format!("{kind} is not healthy"))
    })
}
