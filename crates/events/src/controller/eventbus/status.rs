//! What an EventBus is told.

use jiff::Timestamp;
use reconcile_core::reconcile::{Plan, Report};
use serde_json::{Value, json};

use super::{Action, Observed};
use crate::{bus::BusState, controller::conditions};

const CONFIGURED: &str = "Configured";
const DEPLOYED: &str = "Deployed";

/// The report of a pass; `failure` is what went wrong in it.
pub fn report(
    observed: &Observed,
    plan: &Plan<Action>,
    failure: Option<&str>,
    now: Timestamp,
) -> Report {
    let mut report = Report::default();
    let finalized = plan.actions.contains(&Action::RemoveFinalizer) && failure.is_none();
    if finalized {
        // The object may be gone.
        return report;
    }
    let mut wanted = match (&observed.spec, &observed.credentials) {
        (Err(error), _) => {
            let reason = if error.message.contains("not supported") {
                "NotSupportedYet"
            } else {
                "InvalidSpec"
            };
            vec![
                conditions::fails(CONFIGURED, reason, error.to_string()),
                conditions::fails(DEPLOYED, reason, "the spec cannot be used"),
            ]
        }
        (Ok(_), Some(Err(error))) => vec![
            conditions::fails(CONFIGURED, "SecretMissing", error.clone()),
            conditions::fails(DEPLOYED, "SecretMissing", "there are no credentials"),
        ],
        (Ok(_), _) => vec![conditions::holds(CONFIGURED), deployed(observed, failure)],
    };
    if observed.marks.deleting && !observed.users.is_empty() {
        let message = format!("deletion waits: used by {}", observed.users.join(", "));
        wanted.retain(|condition| condition.kind != DEPLOYED);
        wanted.push(conditions::fails(DEPLOYED, "InUse", message));
    }
    wanted.extend(conditions::unsupported(&observed.findings));
    let owned = [CONFIGURED, DEPLOYED];
    let mut status = conditions::status(
        &observed.status,
        wanted,
        &owned,
        observed.marks.generation,
        now,
    );
    if let Ok(spec) = &observed.spec {
        status.insert("config".to_owned(), json!({ "jetstream": spec.raw }));
    }
    report.status(&observed.status, &Value::Object(status));
    report
}

fn deployed(observed: &Observed, failure: Option<&str>) -> reconcile_core::conditions::Condition {
    if let Some(failure) = failure {
        return conditions::fails(DEPLOYED, "ConnectFailed", failure);
    }
    match &observed.connection {
        Some((_, BusState::Ready { .. })) => conditions::holds(DEPLOYED),
        Some((_, BusState::Away(reason))) => {
            conditions::fails(DEPLOYED, "NotConnected", reason.clone())
        }
        None => conditions::unknown(DEPLOYED, "Connecting", "connecting"),
    }
}
