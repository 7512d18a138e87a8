//! The status of a Sensor.

use jiff::Timestamp;
use reconcile_core::{
    conditions::Condition,
    reconcile::{Plan, Report},
};
use serde_json::{Map, Value, json};

use super::{Action, Observed};
use crate::{
    controller::{conditions, dedicated::Elsewhere},
    sensor::CheckedSensor,
    worker::{CONNECTING, SensorHealth},
};

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
    if plan.actions.contains(&Action::RemoveFinalizer) {
        // The object may be gone.
        return Report::default();
    }
    match &observed.elsewhere {
        // Who acts for it tells the rest.
        Some(Elsewhere::Pod | Elsewhere::PodMissing(_)) => {
            return observed.object.report(&[], Vec::new(), Map::new(), now);
        }
        Some(Elsewhere::Shared) => return Report::default(),
        None => {}
    }
    let wanted = match &observed.spec {
        Err(error) => {
            let text = error.to_string();
            [DEPENDENCIES, TRIGGERS, DEPLOYED]
                .map(|kind| conditions::fails(kind, "InvalidSpec", text.clone()))
                .to_vec()
        }
        Ok((sensor, problems)) => vec![
            provided(DEPENDENCIES, "InvalidDependencies", &problems.dependencies),
            provided(TRIGGERS, "InvalidTriggers", &problems.triggers),
            deployed(observed, sensor, health, failure),
        ],
    };
    let mut members = Map::new();
    if let (Ok((sensor, _)), Some(health)) = (&observed.spec, health) {
        let known = &observed.object.status["triggers"];
        members.insert("triggers".to_owned(), triggers(sensor, health, known));
    }
    observed
        .object
        .report(&[DEPENDENCIES, TRIGGERS, DEPLOYED], wanted, members, now)
}

/// What each trigger did lately. What this process has not seen stays as `known`, from an earlier one.
fn triggers(sensor: &CheckedSensor, health: &SensorHealth, known: &Value) -> Value {
    let one = |name: &String| {
        let known = known.as_array().into_iter().flatten();
        let mut shown = known
            .filter(|known| known["name"] == name.as_str())
            .find_map(|known| known.as_object().cloned())
            .unwrap_or_default();
        shown.insert("name".to_owned(), json!(name));
        let activity = health.activity.get(name).cloned().unwrap_or_default();
        if let Some(last) = activity.last_event {
            let last = json!({
                "id": last.id, "source": last.source, "outcome": last.outcome, "time": last.time,
            });
            shown.insert("lastEvent".to_owned(), last);
        }
        if let Some(last) = activity.last_error {
            let last = json!({ "message": last.message, "time": last.time });
            shown.insert("lastError".to_owned(), last);
        }
        if !activity.pending.is_empty() {
            let pending: u64 = activity.pending.values().sum();
            shown.insert("pending".to_owned(), json!(pending));
        }
        Value::Object(shown)
    };
    sensor.named.iter().map(one).collect()
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
    if let Some(trouble) = conditions::bus_trouble(DEPLOYED, bus, observed.bus.as_ref()) {
        return trouble;
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
            if detached.values().all(|reason| reason == CONNECTING) {
                // As after every change of a trigger, which is no failure.
                return conditions::unknown(DEPLOYED, "Connecting", parts.join("; "));
            }
            conditions::fails(DEPLOYED, "NoEvents", parts.join("; "))
        }
    }
}
