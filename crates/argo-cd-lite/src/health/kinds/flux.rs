//! Flux. Its objects count as done when `Ready` and, where there is one, a second condition are true.

use crate::health::{
    Code::{Degraded, Healthy, Progressing, Suspended},
    Health, Subject,
    rule::{Rule, Step, field, rule, run},
    value::text,
};

const SUSPENDED: Step = field(
    "spec.suspend",
    &[("true", Suspended, "{kind} is suspended")],
);
const UNKNOWN: &str = "Status unknown";

pub(super) const RULES: &[Rule] = &[
    rule(
        "kustomize.toolkit.fluxcd.io",
        "Kustomization",
        &[SUSPENDED, run(ready)],
    )
    .waiting(UNKNOWN),
    rule(
        "helm.toolkit.fluxcd.io",
        "HelmRelease",
        &[SUSPENDED, run(released)],
    )
    .waiting(UNKNOWN),
    rule(
        "source.toolkit.fluxcd.io",
        "GitRepository|Bucket|HelmChart|OCIRepository",
        &[SUSPENDED, run(stored)],
    )
    .waiting(UNKNOWN),
    rule(
        "source.toolkit.fluxcd.io",
        "HelmRepository",
        &[
            SUSPENDED,
            field(
                "spec.type",
                &[(
                    "oci",
                    Healthy,
                    "Helm repositories of type 'oci' do not contain any information in the status.",
                )],
            ),
            run(stored),
        ],
    )
    .waiting(UNKNOWN),
    rule(
        "image.toolkit.fluxcd.io",
        "ImageRepository",
        &[SUSPENDED, run(scanned)],
    )
    .waiting(UNKNOWN),
    rule("image.toolkit.fluxcd.io", "ImagePolicy", &[run(applied)]).waiting(UNKNOWN),
    rule(
        "image.toolkit.fluxcd.io",
        "ImageUpdateAutomation",
        &[SUSPENDED, run(ready)],
    )
    .waiting(UNKNOWN),
    rule(
        "notification.toolkit.fluxcd.io",
        "Receiver",
        &[SUSPENDED, run(received)],
    )
    .waiting(UNKNOWN),
    rule(
        "notification.toolkit.fluxcd.io",
        "Alert|Provider",
        &[SUSPENDED],
    )
    .otherwise(Healthy, ""),
    rule(
        "fluxcd.controlplane.io",
        "FluxInstance|ResourceSet|FluxReport",
        &[run(ready)],
    )
    .waiting(UNKNOWN),
];

/// How conditions are counted.
struct Counting {
    /// Status of `Ready` that, together with `Reconciling`, means work in progress.
    pending: &'static str,
    /// Reasons of `Reconciling` that mean work in progress; empty means any.
    reconciling: &'static [&'static str],
    /// Conditions that count beside `Ready`.
    also: &'static [&'static str],
    /// How many have to be true.
    needed: usize,
}

const PLAIN: Counting = Counting {
    pending: "Unknown",
    reconciling: &[],
    also: &[],
    needed: 1,
};

fn ready(subject: &Subject<'_>) -> Option<Health> {
    PLAIN.assess(subject)
}

fn released(subject: &Subject<'_>) -> Option<Health> {
    let counting = Counting {
        also: &["Released", "TestSuccess"],
        needed: 2,
        ..PLAIN
    };
    counting.assess(subject)
}

fn stored(subject: &Subject<'_>) -> Option<Health> {
    let counting = Counting {
        also: &["ArtifactInStorage"],
        needed: 2,
        ..PLAIN
    };
    counting.assess(subject)
}

fn scanned(subject: &Subject<'_>) -> Option<Health> {
    let counting = Counting {
        pending: "False",
        reconciling: &["NewGeneration", "Scanning"],
        ..PLAIN
    };
    counting.assess(subject)
}

fn applied(subject: &Subject<'_>) -> Option<Health> {
    let counting = Counting {
        pending: "False",
        reconciling: &["NewGeneration", "AccessingRepository", "ApplyingPolicy"],
        ..PLAIN
    };
    counting.assess(subject)
}

/// A receiver has nothing to work on: it is ready or broken.
fn received(subject: &Subject<'_>) -> Option<Health> {
    let health = PLAIN.assess(subject)?;
    let code = if health.code == Healthy {
        Healthy
    } else {
        Degraded
    };
    Some(Health { code, ..health })
}

impl Counting {
    fn assess(&self, subject: &Subject<'_>) -> Option<Health> {
        if subject.at("status.conditions").is_null() {
            return None;
        }
        let (mut pending, mut done) = (0, 0);
        let mut message = String::new();
        for condition in subject.conditions() {
            let status = text(condition, &["status"]);
            let reason = text(condition, &["reason"]);
            match text(condition, &["type"]) {
                "Ready" => {
                    done += usize::from(status == "True");
                    pending += usize::from(status == self.pending);
                    reason.clone_into(&mut message);
                }
                "Reconciling" if status == "True" => {
                    let counts = self.reconciling.is_empty() || self.reconciling.contains(&reason);
                    pending += usize::from(counts);
                }
                "ArtifactOutdated" if status == "True" && !self.also.is_empty() => {
                    message = format!("{message} {reason}");
                }
                other if self.also.contains(&other) => done += usize::from(status == "True"),
                _ => {}
            }
        }
        let code = if pending == 2 {
            Progressing
        } else if done == self.needed {
            Healthy
        } else {
            Degraded
        };
        Some(Health::new(code, message))
    }
}
