//! The report on an Application that is being deleted.

use jiff::Timestamp;
use reconcile_core::{
    event::EventNote,
    reconcile::{Report, RootPatch, Target},
};
use serde_json::json;

use super::{Effects, conditions::conditions};
use crate::{
    api::ANNOTATION_DELETION_APPROVED,
    app::{
        Observed, Problem,
        apply::Applied,
        plan::deletion::{Remains, is_hook_finalizer, is_resources_finalizer},
    },
    clusters::ResourceId,
};

/// Condition that says why the objects do not go.
const FAILED: &str = "DeletionError";

/// The report of a pass over an application that is being deleted: its finalizer goes when nothing is left.
pub(super) fn report(
    observed: &Observed,
    remains: &Remains,
    outcome: &Effects<'_>,
    now: Timestamp,
) -> Report {
    let mut report = Report::default();
    if let Some(failure) = outcome.failure {
        set_condition(observed, failure, now, &mut report);
    }
    match remains {
        Remains::Finalizers(gone) => {
            let left: Vec<&String> = observed
                .finalizers
                .iter()
                .filter(|name| !gone.contains(name))
                .collect();
            let ends = !left
                .iter()
                .any(|name| is_resources_finalizer(name) || is_hook_finalizer(name));
            report.patches.push(RootPatch {
                target: Target::Main,
                body: json!({ "metadata": { "finalizers": left } }),
                guarded: true,
            });
            report.again = !ends;
            if ends {
                report.event(EventNote::normal(
                    "ResourceDeleted",
                    "the objects of the application are gone",
                ));
            }
        }
        Remains::Wave(left) => {
            // Objects without finalizers are gone at once; then the next wave need not wait for news.
            report.again = outcome.failure.is_none() && gone(outcome) >= left.len();
        }
        Remains::Hooks(stage) => {
            if !stage.problems.is_empty() && outcome.failure.is_none() {
                set_condition(observed, &stage.problems.join("; "), now, &mut report);
            }
            let created = stage.stale.is_empty() && !stage.missing.is_empty();
            report.again = outcome.failure.is_none() && (created || gone(outcome) > 0);
        }
        Remains::Cleanup(hooks) => {
            report.again = outcome.failure.is_none() && gone(outcome) >= hooks.len();
        }
        Remains::Unconfirmed(objects) => {
            set_condition(observed, &unconfirmed(objects), now, &mut report);
        }
        Remains::NotOurs => {}
    }
    report
}

/// Objects that are gone since this pass.
fn gone(outcome: &Effects<'_>) -> usize {
    let objects = outcome.applied.iter().filter_map(|applied| match applied {
        Applied::Objects(objects) => Some(objects),
        _ => None,
    });
    objects.flatten().filter(|(_, live)| live.is_none()).count()
}

/// What to do about objects that wait for a confirmation.
fn unconfirmed(objects: &[ResourceId]) -> String {
    const FEW: usize = 5;
    let names: Vec<String> = objects.iter().take(FEW).map(ToString::to_string).collect();
    let more = match objects.len().saturating_sub(FEW) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    format!(
        "nothing is deleted before a confirmation, which {}{more} ask for: set the annotation {ANNOTATION_DELETION_APPROVED} of the Application to the present time, as 2006-01-02T15:04:05Z",
        names.join(", ")
    )
}

/// Notes the failure beside the other conditions.
fn set_condition(observed: &Observed, failure: &str, now: Timestamp, report: &mut Report) {
    let old = &observed.status.conditions;
    let problem = Problem::remark(FAILED, failure);
    let mut new = conditions(old, &[problem], now);
    new.extend(old.iter().filter(|known| known.type_ != FAILED).cloned());
    report.status_at(
        Target::Main,
        &json!({ "conditions": old }),
        &json!({ "conditions": new }),
    );
}
