//! Policies: Kyverno, Gatekeeper, Kubewarden.

use serde_json::Value;

use crate::health::{
    Code::{Degraded, Healthy, Progressing},
    Health, Subject,
    rule::{Rule, field, no, on, rule, run, when, yes},
};

pub(super) const RULES: &[Rule] = &[
    rule(
        "kyverno.io",
        "ClusterPolicy",
        &[when(&[
            yes("Ready", Healthy),
            on("Ready", "!True", Degraded),
        ])],
    )
    .waiting("Waiting for ClusterPolicy to become ready"),
    rule(
        "kyverno.io",
        "Policy",
        &[when(&[yes("Ready", Healthy)
            .because("Succeeded")
            .say("Policy is ready")])],
    )
    .waiting("Waiting for Policy to be ready"),
    rule(
        "kyverno.io",
        "CleanupPolicy|ClusterCleanupPolicy|PolicyException|GlobalContextEntry",
        &[when(&[no("Ready", Degraded)])],
    )
    .otherwise(Healthy, ""),
    rule(
        "policies.kyverno.io",
        "ValidatingPolicy|MutatingPolicy|GeneratingPolicy|ImageValidatingPolicy|DeletingPolicy",
        &[
            when(&[no("*", Degraded)]),
            field(
                "status.conditionStatus.ready",
                &[
                    ("true", Healthy, ""),
                    ("false", Degraded, "{status.conditionStatus.message}"),
                ],
            ),
        ],
    )
    .waiting("Waiting for {kind} to be ready"),
    rule(
        "templates.gatekeeper.sh",
        "ConstraintTemplate",
        &[
            run(gatekeeper_errors),
            field("status.created", &[("true", Healthy, "")]),
        ],
    )
    .waiting("Waiting for the template to be compiled"),
    rule(
        "policies.kubewarden.io",
        "ClusterAdmissionPolicy|AdmissionPolicy|PolicyServer",
        &[
            field(
                "status.policyStatus",
                &[
                    ("active", Healthy, ""),
                    ("*", Progressing, "Policy is {value}"),
                ],
            ),
            when(&[no("*", Progressing)]),
            when(&[yes("*", Healthy)]),
        ],
    )
    .waiting("Waiting for {kind}"),
    rule(
        "capsule.clastix.io",
        "Tenant",
        &[field(
            "status.state",
            &[
                ("Active", Healthy, ""),
                (
                    "Cordoned",
                    crate::health::Code::Suspended,
                    "Tenant is cordoned",
                ),
            ],
        )],
    )
    .waiting("Waiting for Tenant"),
];

fn gatekeeper_errors(subject: &Subject<'_>) -> Option<Health> {
    let pods = subject.list("status.byPod").iter();
    let error = pods
        .filter_map(|pod| pod["errors"].as_array())
        .flatten()
        .find_map(|error| {
            error["message"]
                .as_str()
                .map(str::to_owned)
                .or_else(|| code(error))
        })?;
    Some(Health::new(Degraded, error))
}

fn code(error: &Value) -> Option<String> {
    error["code"].as_str().map(str::to_owned)
}
