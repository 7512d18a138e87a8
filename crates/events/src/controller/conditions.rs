//! Conditions of the three kinds.

use reconcile_core::{
    conditions::{Condition, ConditionStatus},
    fields::{Finding, message},
    reconcile::Done,
};

use super::ReconcileError;
use crate::bus::BusState;

/// Present, and true, when a manifest sets fields that have no effect here.
pub const UNSUPPORTED: &str = "UnsupportedFields";

/// Present when an object has a pod of its own, and true while that is available.
pub const DEDICATED_POD: &str = "DedicatedPod";

/// A condition that holds.
pub fn holds(kind: &str) -> Condition {
    Condition::new(kind, true, "", "")
}

/// A condition that does not hold, and why.
pub fn fails(kind: &str, reason: &str, message: impl Into<String>) -> Condition {
    Condition::new(kind, false, reason, message)
}

/// A condition that is not known yet.
pub fn unknown(kind: &str, reason: &str, message: impl Into<String>) -> Condition {
    Condition::new(kind, ConditionStatus::Unknown, reason, message)
}

/// The condition about fields without effect; none when there are no such fields.
pub(super) fn unsupported(findings: &[Finding]) -> Option<Condition> {
    (!findings.is_empty())
        .then(|| Condition::new(UNSUPPORTED, true, "NotSupportedYet", message(findings)))
}

/// Why the bus cannot be used; `state` is `None` when there is no such EventBus.
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

/// The condition of an object that is left to a pod of its own; `missing` says that none is available.
pub fn dedicated_pod(missing: Option<&str>) -> Condition {
    match missing {
        Some(missing) => fails(DEDICATED_POD, "NotAvailable", missing),
        None => holds(DEDICATED_POD),
    }
}

/// The first failure of a pass, in words.
pub fn failure<R>(done: &[Done<R, ReconcileError>]) -> Option<String> {
    done.iter()
        .find_map(|done| done.result.as_ref().err())
        .map(ToString::to_string)
}
