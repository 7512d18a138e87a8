//! What an EventSource is told.

use jiff::Timestamp;
use reconcile_core::{
    conditions::Condition,
    reconcile::{Plan, Report},
};
use serde_json::Map;

use super::{Action, Observed, validate::CheckedSpec};
use crate::{controller::conditions, worker::SourceHealth};

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
    if plan.actions.contains(&Action::RemoveFinalizer) {
        // The object may be gone.
        return Report::default();
    }
    let wanted = match &observed.spec {
        Err(error) => vec![
            conditions::fails(SOURCES, "InvalidSpec", error.to_string()),
            conditions::fails(DEPLOYED, "InvalidSpec", "the spec cannot be used"),
        ],
        Ok(spec) => vec![sources(spec), deployed(observed, spec, health, failure)],
    };
    observed
        .about
        .report(&[SOURCES, DEPLOYED], wanted, Map::new(), now)
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
    if let Some(trouble) = conditions::bus_trouble(DEPLOYED, &spec.bus, observed.bus.as_ref()) {
        return trouble;
    }
    if !observed.missing.is_empty() {
        return conditions::fails(DEPLOYED, "SecretMissing", observed.missing.join("; "));
    }
    if let Some(failure) = failure {
        return conditions::fails(DEPLOYED, "Failed", failure);
    }
    let mut parts = Vec::new();
    if let Some(health) = health {
        let refused = health.refused.iter();
        parts.extend(refused.map(|refused| format!("{}: {}", refused.event, refused.reason)));
        let interrupted = health.interrupted.iter();
        parts.extend(interrupted.map(|(event, reason)| format!("{event}: {reason}")));
    }
    if !parts.is_empty() {
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
