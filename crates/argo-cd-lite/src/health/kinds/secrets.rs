//! External Secrets, Sealed Secrets, Vault.

use crate::health::{
    Code::{Degraded, Healthy, Progressing},
    Health, Subject,
    rule::{Rule, Step, behind, field, no, on, rule, run, when, yes},
};

const READY: Step = when(&[no("Ready", Degraded), yes("Ready", Healthy)]);

pub(super) const RULES: &[Rule] = &[
    rule("external-secrets.io", "ExternalSecret", &[run(external_secret)])
        .waiting("Waiting for ExternalSecret"),
    rule("external-secrets.io", "SecretStore", &[READY]).waiting("Waiting for SecretStore"),
    rule("external-secrets.io", "ClusterSecretStore", &[READY])
        .waiting("Waiting for ClusterSecretStore"),
    rule("external-secrets.io", "PushSecret|ClusterPushSecret", &[READY])
        .waiting("Waiting for {kind}"),
    rule("external-secrets.io", "ClusterExternalSecret", &[run(last_condition)])
        .waiting("Waiting for ClusterExternalSecret"),
    rule("bitnami.com", "SealedSecret", &[when(&[
        no("Synced", Degraded),
        yes("Synced", Healthy),
    ])])
    .waiting("Waiting for Sealed Secret to be decrypted"),
    rule("isindir.github.com", "SopsSecret", &[field("status.message", &[
        ("Healthy", Healthy, ""),
        ("*", Degraded, "{value}"),
    ])])
    .waiting("Waiting for SopsSecret"),
    rule("addons.projectcapsule.dev", "SopsSecret|GlobalSopsSecret|SopsProvider", &[
        behind(Progressing, "Waiting for the latest spec to be observed"),
        READY,
        field("status.condition.status", &[
            ("True", Healthy, "{status.condition.message}"),
            ("False", Degraded, "{status.condition.message}"),
        ]),
    ])
    .waiting("Waiting for {kind}"),
    rule(
        "secrets.hashicorp.com",
        "VaultStaticSecret|VaultDynamicSecret|VaultPKISecret|VaultAuth|VaultConnection|HCPVaultSecretsApp",
        &[
            field("status.valid", &[
                ("true", Healthy, ""),
                ("false", Degraded, "{status.error}"),
            ]),
            when(&[
                no("SecretSynced|Ready|Healthy", Degraded),
                on("SecretSynced|Ready|Healthy", "Unknown", Progressing),
                yes("SecretSynced|Ready|Healthy", Healthy),
            ]),
            field("status.secretMAC", &[("*", Healthy, "")]),
        ],
    )
    .waiting("Waiting for {kind}"),
    rule("onepassword.com", "OnePasswordItem", &[READY]).waiting("Waiting for OnePasswordItem"),
];

/// With `refreshPolicy: OnChange` a condition of before the last refresh is not believed.
fn external_secret(subject: &Subject<'_>) -> Option<Health> {
    let on_change = subject.text("spec.refreshPolicy") == "OnChange";
    let refreshed = subject.text("status.refreshTime");
    let ready = subject.conditions().iter().find(|condition| {
        let since = condition["lastTransitionTime"].as_str().unwrap_or_default();
        condition["type"] == "Ready" && (!on_change || since >= refreshed)
    })?;
    let message = ready["message"].as_str().unwrap_or_default();
    match ready["status"].as_str() {
        Some("False") => Some(Health::new(Degraded, message)),
        Some("True") => Some(Health::new(Healthy, message)),
        _ => None,
    }
}

/// New conditions are appended, so that only the last one counts.
fn last_condition(subject: &Subject<'_>) -> Option<Health> {
    let last = subject.conditions().last()?;
    if last["status"] != "True" {
        return None;
    }
    let message = last["message"].as_str().unwrap_or_default();
    match last["type"].as_str() {
        Some("Ready") => Some(Health::new(Healthy, message)),
        Some("PartiallyReady" | "NotReady") => Some(Health::new(Degraded, message)),
        _ => None,
    }
}
