//! What a Sensor is told.

use jiff::Timestamp;
use reconcile_core::{
    conditions::Condition,
    reconcile::{Plan, Report},
};
use serde_json::Value;

use super::{Action, Observed};
use crate::{bus::BusState, controller::conditions, sensor::CheckedSensor, worker::SensorHealth};

const DEPENDENCIES: &str = "DependenciesProvided";
const TRIGGERS: &str = "TriggersProvided";
const DEPLOYED: &str = "Deployed";

/// The report of a pass; `failure` is what went wrong in it.
pub fn report(
    observed: &Observed,
    plan: &Plan<Action>,
    health: Option<&SensorHealth>,
    failure: Option<&str>,
    now: Timestamp,
) -> Report {
    let mut report = Report::default();
    if plan.actions.contains(&Action::RemoveFinalizer) {
        // The object may be gone.
        return report;
    }
    let mut wanted = match &observed.spec {
        Err(error) => {
            let text = error.to_string();
            [DEPENDENCIES, TRIGGERS, DEPLOYED]
                .map(|kind| conditions::fails(kind, "InvalidSpec", text.clone()))
                .to_vec()
        }
        Ok((sensor, problems)) => vec![
            provided(DEPENDENCIES, "InvalidDependency", &problems.dependencies),
            provided(TRIGGERS, "InvalidTrigger", &problems.triggers),
            deployed(observed, sensor, health, failure),
        ],
    };
    wanted.extend(conditions::unsupported(&observed.findings));
    let owned = [DEPENDENCIES, TRIGGERS, DEPLOYED];
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

fn provided(kind: &str, reason: &str, problems: &[String]) -> Condition {
    if problems.is_empty() {
        return conditions::holds(kind);
    }
    let unsupported = problems
        .iter()
        .all(|problem| problem.contains("not supported yet"));
    conditions::fails(
        kind,
        if unsupported {
            "NotSupportedYet"
        } else {
            reason
        },
        problems.join("; "),
    )
}

fn deployed(
    observed: &Observed,
    sensor: &CheckedSensor,
    health: Option<&SensorHealth>,
    failure: Option<&str>,
) -> Condition {
    let bus = &observed.bus_key.name;
    match &observed.bus {
        None => {
            let message = format!("EventBus {bus} does not exist or is not configured");
            return conditions::fails(DEPLOYED, "NoEventBus", message);
        }
        Some(BusState::Away(reason)) => {
            return conditions::fails(
                DEPLOYED,
                "EventBusNotReady",
                format!("EventBus {bus}: {reason}"),
            );
        }
        Some(BusState::Ready { .. }) => {}
    }
    if let Some(failure) = failure {
        return conditions::fails(DEPLOYED, "Failed", failure);
    }
    if sensor.triggers.is_empty() {
        return conditions::fails(
            DEPLOYED,
            "NothingToRun",
            "no trigger of this object can run",
        );
    }
    let detached = health
        .map(|health| &health.detached)
        .filter(|detached| !detached.is_empty());
    match detached {
        None => conditions::holds(DEPLOYED),
        Some(detached) => {
            let parts: Vec<String> = detached
                .iter()
                .map(|(place, reason)| format!("{place}: {reason}"))
                .collect();
            conditions::fails(DEPLOYED, "NoEvents", parts.join("; "))
        }
    }
}
