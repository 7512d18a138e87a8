//! The report on an Application that is being deleted.

use jiff::Timestamp;
use reconcile_core::{
    event::EventNote,
    reconcile::{Report, RootPatch, Target},
};
use serde_json::json;

use super::{Effects, conditions::conditions};
use crate::app::{
    Observed, Problem,
    apply::Applied,
    plan::deletion::{Remains, is_resources_finalizer},
};

/// Condition that says why the objects do not go.
const FAILED: &str = "DeletionError";

/// What an application says whose deletion waits for hooks.
const HOOKS: &str = "nothing is deleted: PreDelete and PostDelete hooks are not supported yet. Remove them from Git and refresh, or remove the finalizer resources-finalizer.argocd.argoproj.io to keep the objects";

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
        Remains::Nothing => {
            let left: Vec<&String> = observed
                .finalizers
                .iter()
                .filter(|name| !is_resources_finalizer(name))
                .collect();
            report.patches.push(RootPatch {
                target: Target::Main,
                body: json!({ "metadata": { "finalizers": left } }),
                guarded: true,
            });
            report.event(EventNote::normal(
                "ResourceDeleted",
                "the objects of the application are gone",
            ));
        }
        Remains::Wave(left) => {
            // Objects without finalizers are gone at once; then the next wave need not wait for news.
            let gone = outcome
                .applied
                .iter()
                .filter_map(|applied| match applied {
                    Applied::Objects(objects) => Some(objects),
                    _ => None,
                })
                .flatten()
                .filter(|(_, live)| live.is_none())
                .count();
            report.again = outcome.failure.is_none() && gone >= left.len();
        }
        Remains::Hooks => set_condition(observed, HOOKS, now, &mut report),
        Remains::NotOurs => {}
    }
    report
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
