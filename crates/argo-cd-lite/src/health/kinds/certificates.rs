//! cert-manager and managed certificates.

use crate::health::{
    Code::{Degraded, Healthy, Progressing},
    Health, Subject,
    rule::{Rule, field, no, rule, run, when, yes},
};

const READY: crate::health::rule::Step = when(&[no("Ready", Degraded), yes("Ready", Healthy)]);

pub(super) const RULES: &[Rule] = &[
    // A certificate that is being issued is under way, whatever `Ready` says.
    rule(
        "cert-manager.io",
        "Certificate",
        &[when(&[yes("Issuing", Progressing)]), READY],
    )
    .waiting("Waiting for certificate"),
    rule("certmanager.k8s.io", "Certificate", &[READY]).waiting("Waiting for certificate"),
    rule("cert-manager.io", "Issuer", &[READY]).waiting("Initializing issuer"),
    rule("certmanager.k8s.io", "Issuer", &[READY]).waiting("Initializing issuer"),
    rule("cert-manager.io", "ClusterIssuer", &[READY]).waiting("Initializing ClusterIssuer"),
    rule(
        "cert-manager.io",
        "CertificateRequest",
        &[
            when(&[yes("Denied|InvalidRequest", Degraded)]),
            when(&[
                yes("Ready", Healthy),
                no("Ready", Progressing).because("Pending"),
                no("Ready", Degraded),
            ]),
        ],
    )
    .waiting("Waiting for certificate request"),
    rule(
        "acme.cert-manager.io",
        "Order|Challenge",
        &[field(
            "status.state",
            &[
                ("valid", Healthy, "{kind} is valid"),
                ("invalid|expired|errored", Degraded, "{status.reason|value}"),
                ("*", Progressing, "{status.reason|value}"),
            ],
        )],
    )
    .waiting("Waiting for {kind}"),
    rule(
        "trust.cert-manager.io",
        "Bundle",
        &[when(&[no("Synced", Degraded), yes("Synced", Healthy)])],
    )
    .waiting("Waiting for the bundle to be synced"),
    rule(
        "networking.gke.io",
        "ManagedCertificate",
        &[
            run(domain_failed),
            field(
                "status.certificateStatus",
                &[("Active", Healthy, "All certificates are active")],
            ),
        ],
    )
    .waiting("At least one certificate is still being provisioned"),
];

fn domain_failed(subject: &Subject<'_>) -> Option<Health> {
    let failed = subject
        .list("status.domainStatus")
        .iter()
        .any(|domain| domain["status"] == "FailedNotVisible");
    failed.then(|| {
        Health::new(
            Degraded,
            "At least one certificate has failed to be provisioned",
        )
    })
}
