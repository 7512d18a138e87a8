//! The conventions that most controllers follow, for kinds that have no rule of their own.
//!
//! Switched on by the setting `resource.health.standardConditions`. A kind whose status follows none of the
//! conventions still has no health.

use super::{
    Code::{Degraded, Healthy, Progressing},
    Health, Subject,
    rule::{Rule, behind, no, on, rule, when, yes},
    value::text,
};

/// Parts of reasons that distinguish a failure from work in progress.
const FAILURES: &[&str] = &[
    "Fail",
    "Error",
    "Invalid",
    "Denied",
    "Forbidden",
    "Rejected",
];

const POSITIVE: &str = "Ready|Available|Healthy|Succeeded|Complete|Completed|Synced|Accepted";

const STANDARD: Rule = rule(
    "",
    "*",
    &[
        behind(Progressing, "Waiting for the latest spec to be observed"),
        when(&[
            yes("Stalled|Failed|Degraded", Degraded).say("{message|reason}"),
            yes("Reconciling", Progressing).say("{message|reason}"),
        ]),
        super::rule::run(failed),
        when(&[
            no(POSITIVE, Progressing).say("{message|reason}"),
            on(POSITIVE, "Unknown", Progressing).say("{message|reason}"),
        ]),
        when(&[yes(POSITIVE, Healthy).say("{message|reason}")]),
    ],
);

/// Health by convention.
pub(super) fn assess(subject: &Subject<'_>) -> Option<Health> {
    STANDARD.assess(subject)
}

/// A condition is false and its reason speaks of a failure.
fn failed(subject: &Subject<'_>) -> Option<Health> {
    subject.conditions().iter().find_map(|condition| {
        let reason = text(condition, &["reason"]);
        let broken = POSITIVE
            .split('|')
            .any(|word| word == text(condition, &["type"]))
            && text(condition, &["status"]) == "False"
            && FAILURES.iter().any(|part| reason.contains(part));
        broken.then(|| {
            let message = text(condition, &["message"]);
            Health::new(Degraded, if message.is_empty() { reason } else { message })
        })
    })
}
