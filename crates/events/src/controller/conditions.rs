//! `status.conditions` of the three kinds: sorted by type, as upstream writes them.

use jiff::Timestamp;
use reconcile_core::{
    conditions::{Condition, Times, merge},
    fields::{Finding, message},
};
use serde_json::{Map, Value, json};

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
    Condition::new(
        kind,
        reconcile_core::conditions::ConditionStatus::Unknown,
        reason,
        message,
    )
}

/// The condition about fields without effect; none when there are no such fields.
pub fn unsupported(findings: &[Finding]) -> Option<Condition> {
    (!findings.is_empty())
        .then(|| Condition::new(UNSUPPORTED, true, "NotSupportedYet", message(findings)))
}

/// The status that follows from `old` when these are the conditions. Conditions of others, and other
/// members, stay.
pub fn status(
    old: &Value,
    wanted: Vec<Condition>,
    owned: &[&str],
    generation: i64,
    now: Timestamp,
) -> Map<String, Value> {
    let mut status = old.as_object().cloned().unwrap_or_default();
    let mut conditions: Vec<Condition> = status
        .get("conditions")
        .and_then(Value::as_array)
        .map(|all| {
            all.iter()
                .filter_map(|one| serde_json::from_value(one.clone()).ok())
                .collect()
        })
        .unwrap_or_default();
    let owned: Vec<&str> = owned.iter().copied().chain([UNSUPPORTED]).collect();
    merge(&mut conditions, &owned, wanted, Times::Transition, now);
    conditions.sort_by(|a, b| a.kind.cmp(&b.kind));
    status.insert("conditions".to_owned(), json!(conditions));
    status.insert("observedGeneration".to_owned(), json!(generation));
    status
}
