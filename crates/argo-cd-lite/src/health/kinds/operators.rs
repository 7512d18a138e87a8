//! Operator Lifecycle Manager, OpenShift and other operators of operators.

use std::fmt::Write;

use crate::health::{
    Code::{Degraded, Healthy, Progressing},
    Health, Subject,
    rule::{Rule, field, on, rule, run, when, yes},
};

const PENDING: &str = "An install plan for a subscription is pending installation";

pub(super) const RULES: &[Rule] = &[
    rule("operators.coreos.com", "Subscription", &[run(subscription)]).waiting(PENDING),
    rule(
        "operators.coreos.com",
        "ClusterServiceVersion",
        &[field(
            "status.phase",
            &[
                ("Succeeded", Healthy, "{status.message}"),
                ("Failed", Degraded, "{status.message}"),
                ("*", Progressing, "{status.message}"),
            ],
        )],
    )
    .waiting("Waiting for the operator to be installed"),
    rule(
        "operators.coreos.com",
        "InstallPlan",
        &[field(
            "status.phase",
            &[
                ("Complete", Healthy, ""),
                ("Failed", Degraded, "{status.message}"),
                ("*", Progressing, "Install plan is {value}"),
            ],
        )],
    )
    .waiting("Waiting for the install plan"),
    rule(
        "operators.coreos.com",
        "CatalogSource",
        &[field(
            "status.connectionState.lastObservedState",
            &[
                ("READY", Healthy, ""),
                ("TRANSIENT_FAILURE", Degraded, "Catalog cannot be reached"),
                ("*", Progressing, "Catalog is {value}"),
            ],
        )],
    )
    .waiting("Waiting for the catalog"),
    rule("operators.coreos.com", "OperatorGroup", &[]).otherwise(Healthy, ""),
    rule(
        "olm.operatorframework.io",
        "ClusterExtension|ClusterCatalog",
        &[
            when(&[
                on("Progressing", "True", Progressing).because("Retrying"),
                on("Progressing", "False", Degraded).because("Blocked"),
            ]),
            when(&[yes("Installed|Serving", Healthy)]),
        ],
    )
    .waiting("Waiting for {kind}"),
    rule(
        "apps.openshift.io",
        "DeploymentConfig",
        &[run(deployment_config)],
    )
    .waiting("replication controller is waiting for pods to run"),
    rule(
        "config.openshift.io",
        "ClusterOperator",
        &[
            when(&[yes("Degraded", Degraded)]),
            when(&[on("Available", "False", Degraded)]),
            when(&[yes("Progressing", Progressing)]),
            when(&[yes("Available", Healthy)]),
        ],
    )
    .waiting("Waiting for the operator"),
    rule(
        "machineconfiguration.openshift.io",
        "MachineConfigPool",
        &[
            when(&[yes("Degraded|NodeDegraded|RenderDegraded", Degraded)]),
            when(&[yes("Updating", Progressing)]),
            when(&[yes("Updated", Healthy)]),
        ],
    )
    .waiting("Waiting for the machines"),
    rule(
        "k8s.keycloak.org",
        "Keycloak|KeycloakRealmImport",
        &[
            when(&[yes("HasErrors", Degraded)]),
            when(&[yes("Ready|Done", Healthy).say("")]),
        ],
    )
    .waiting("Waiting for {kind}"),
    rule(
        "camel.apache.org",
        "Integration",
        &[field(
            "status.phase",
            &[
                ("Running", Healthy, "Integration is running"),
                ("Error", Degraded, "Integration is in error"),
                ("*", Progressing, "Integration is {value}"),
            ],
        )],
    )
    .waiting("Waiting for Integration"),
    rule(
        "core.spinkube.dev",
        "SpinApp",
        &[when(&[
            on("Available", "False", Degraded),
            on("Progressing", "False", Degraded),
            yes("Available", Healthy),
        ])],
    )
    .waiting("Waiting for SpinApp"),
];

/// The message of a subscription lists every condition, counted from 1.
fn subscription(subject: &Subject<'_>) -> Option<Health> {
    subject.at("status.conditions").as_array()?;
    let (mut broken, mut pending) = (false, false);
    let mut message = String::new();
    for (index, condition) in subject.conditions().iter().enumerate() {
        let member = |name: &str| condition[name].as_str().unwrap_or_default();
        let (type_, status) = (member("type"), member("status"));
        _ = writeln!(message, "{}: {type_} | {status}", index + 1);
        match type_ {
            "InstallPlanPending" => pending |= status == "True",
            "InstallPlanMissing" => broken |= member("reason") != "ReferencedInstallPlanNotFound",
            "CatalogSourcesUnhealthy" | "InstallPlanFailed" | "ResolutionFailed" => {
                broken |= status == "True";
            }
            _ => {}
        }
    }
    Some(match (broken, pending) {
        (true, _) => Health::new(Degraded, message),
        (false, true) => Health::new(Progressing, PENDING),
        (false, false) => Health::new(Healthy, message),
    })
}

fn deployment_config(subject: &Subject<'_>) -> Option<Health> {
    subject.at("status.conditions").as_array()?;
    let conditions = subject.conditions().iter();
    let met = conditions
        .filter(|condition| {
            condition["status"] == "True"
                && matches!(
                    condition["type"].as_str(),
                    Some("Available" | "Progressing")
                )
        })
        .count();
    Some(match met {
        2 => Health::new(Healthy, "replication controller successfully rolled out"),
        1 => Health::new(
            Progressing,
            "replication controller is waiting for pods to run",
        ),
        _ => Health::new(Degraded, "Deployment config is degraded"),
    })
}
