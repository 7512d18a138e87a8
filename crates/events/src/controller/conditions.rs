//! `status.conditions` of the three kinds: sorted by type, as upstream writes them.

use jiff::Timestamp;
use reconcile_core::{
    conditions::{Condition, ConditionStatus, Times, merge},
    fields::{Finding, message},
    reconcile::{Done, Report},
};
use serde_json::{Map, Value, json};

use super::{ReconcileError, shared::Marks};
use crate::bus::BusState;

/// Present, and true, when a manifest sets fields that have no effect here.
pub const UNSUPPORTED: &str = "UnsupportedFields";

/// A condition that holds.
pub fn holds(kind: &str) -> Condition {
    Condition::new(kind, true, "", "")
}

/// A condition that does not hold, and why.
pub fn fails(kind: &str, reason: &str, message: impl Into<String>) -> Condition {
    Condition::new(kind, false, reason, message)
}

/// A condition that nobody can tell yet.
pub fn unknown(kind: &str, reason: &str, message: impl Into<String>) -> Condition {
    Condition::new(kind, ConditionStatus::Unknown, reason, message)
}

/// The condition about fields without effect; none when there are no such fields.
fn unsupported(findings: &[Finding]) -> Option<Condition> {
    (!findings.is_empty())
        .then(|| Condition::new(UNSUPPORTED, true, "NotSupportedYet", message(findings)))
}

/// What stands in the way on the side of the bus; `state` is `None` when there is no such EventBus.
pub fn bus_trouble(kind: &str, name: &str, state: Option<&BusState>) -> Option<Condition> {
    match state {
        None => {
            let message = format!("EventBus {name} does not exist or is not configured");
            Some(fails(kind, "EventBusNotFound", message))
        }
        Some(BusState::Away(reason)) => {
            let message = format!("EventBus {name}: {reason}");
            Some(fails(kind, "EventBusNotReady", message))
        }
        Some(BusState::Ready { .. }) => None,
    }
}

/// The first failure of a pass, in words.
pub fn failure<A, R>(done: &[Done<A, R, ReconcileError>]) -> Option<String> {
    done.iter()
        .find_map(|done| done.result.as_ref().err())
        .map(ToString::to_string)
}

/// An object that is told something.
pub struct Subject<'s> {
    /// Its metadata.
    pub marks: &'s Marks,
    /// Its status as it stands.
    pub status: &'s Value,
    /// Fields without effect.
    pub findings: &'s [Finding],
    /// The conditions that are ours; those of others stay.
    pub owned: &'s [&'s str],
}

impl Subject<'_> {
    /// The report that tells it these conditions, sorted by type, and `members` of the status.
    pub fn report(
        &self,
        mut wanted: Vec<Condition>,
        members: Map<String, Value>,
        now: Timestamp,
    ) -> Report {
        wanted.extend(unsupported(self.findings));
        let mut status = self.status.as_object().cloned().unwrap_or_default();
        let mut conditions: Vec<Condition> = status
            .get("conditions")
            .and_then(Value::as_array)
            .map(|all| {
                all.iter()
                    .filter_map(|one| serde_json::from_value(one.clone()).ok())
                    .collect()
            })
            .unwrap_or_default();
        let owned: Vec<&str> = self.owned.iter().copied().chain([UNSUPPORTED]).collect();
        merge(&mut conditions, &owned, wanted, Times::Transition, now);
        conditions.sort_by(|a, b| a.kind.cmp(&b.kind));
        status.insert("conditions".to_owned(), json!(conditions));
        status.insert(
            "observedGeneration".to_owned(),
            json!(self.marks.generation),
        );
        status.extend(members);
        let mut report = Report::default();
        report.status(self.status, &Value::Object(status));
        report
    }
}
