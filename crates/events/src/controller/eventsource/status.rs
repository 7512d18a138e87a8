//! What an EventSource is told.

use jiff::Timestamp;
use reconcile_core::{
    conditions::Condition,
    reconcile::{Plan, Report},
};
use serde_json::Value;

use super::{Action, Observed, validate::CheckedSpec};
use crate::{bus::BusState, controller::conditions, worker::SourceHealth};

const SOURCES: &str = "SourcesProvided";
const DEPLOYED: &str = "Deployed";

/// The report of a pass; `failure` is what went wrong in it.
pub fn report(
    observed: &Observed,
    plan: &Plan<Action>,
    health: Option<&SourceHealth>,
    failure: Option<&str>,
    now: Timestamp,
) -> Report {
    let mut report = Report::default();
    if plan.actions.contains(&Action::RemoveFinalizer) {
        // The object may be gone.
        return report;
    }
    let mut wanted = match &observed.spec {
        Err(error) => vec![
            conditions::fails(SOURCES, "InvalidSpec", error.to_string()),
            conditions::fails(DEPLOYED, "InvalidSpec", "the spec cannot be used"),
        ],
        Ok(spec) => vec![sources(spec), deployed(observed, spec, health, failure)],
    };
    wanted.extend(conditions::unsupported(&observed.findings));
    let owned = [SOURCES, DEPLOYED];
    let status = conditions::status(
        &observed.status,
        wanted,
        &owned,
        observed.marks.generation,
        now,
    );
    report.status(&observed.status, &Value::Object(status));
    report
}

fn sources(spec: &CheckedSpec) -> Condition {
    let mut parts = spec.problems.clone();
    if !spec.unsupported.is_empty() {
        parts.push(format!(
            "not supported yet: {}; the other events are served",
            spec.unsupported.join(", ")
        ));
    }
    if parts.is_empty() {
        return conditions::holds(SOURCES);
    }
    let reason = if spec.problems.is_empty() {
        "NotSupportedYet"
    } else {
        "InvalidEventSource"
    };
    conditions::fails(SOURCES, reason, parts.join("; "))
}

fn deployed(
    observed: &Observed,
    spec: &CheckedSpec,
    health: Option<&SourceHealth>,
    failure: Option<&str>,
) -> Condition {
    match &observed.bus {
        None => {
            let message = format!("EventBus {} does not exist or is not configured", spec.bus);
            return conditions::fails(DEPLOYED, "NoEventBus", message);
        }
        Some(BusState::Away(reason)) => {
            let message = format!("EventBus {}: {reason}", spec.bus);
            return conditions::fails(DEPLOYED, "EventBusNotReady", message);
        }
        Some(BusState::Ready { .. }) => {}
    }
    if !observed.missing.is_empty() {
        return conditions::fails(DEPLOYED, "SecretMissing", observed.missing.join("; "));
    }
    if let Some(failure) = failure {
        return conditions::fails(DEPLOYED, "Failed", failure);
    }
    let refused = health
        .map(|health| health.refused.as_slice())
        .unwrap_or_default();
    if !refused.is_empty() {
        let parts: Vec<String> = refused
            .iter()
            .map(|refused| format!("{}: {}", refused.event, refused.reason))
            .collect();
        return conditions::fails(DEPLOYED, "NotServed", parts.join("; "));
    }
    if spec.webhooks.is_empty() && spec.calendars.is_empty() {
        return conditions::fails(
            DEPLOYED,
            "NothingToServe",
            "no event of this object can be served",
        );
    }
    let mut condition = conditions::holds(DEPLOYED);
    if observed.unreachable {
        condition.message.push_str(
            "the Service leads nowhere: the controller has no address that pods can reach (POD_IP or \
             --advertise-address)",
        );
    }
    condition
}
