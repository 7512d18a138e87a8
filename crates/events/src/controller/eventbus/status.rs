//! The status of an EventBus.

use jiff::Timestamp;
use reconcile_core::{
    conditions::Condition,
    reconcile::{Plan, Report},
};
use serde_json::{Map, json};

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
    if plan.actions.contains(&Action::RemoveFinalizer) && failure.is_none() {
        // The object may be gone.
        return Report::default();
    }
    let mut wanted = match (&observed.spec, &observed.credentials) {
        (Err(error), _) => {
            let reason = if error.message.starts_with("not supported") {
                "NotSupported"
            } else {
                "InvalidSpec"
            };
            vec![
                conditions::fails(CONFIGURED, reason, error.to_string()),
                conditions::fails(DEPLOYED, reason, "the spec cannot be used"),
            ]
        }
        (Ok(spec), Some(Err(_))) if spec.deployment.is_some() => {
            let creating =
                || conditions::unknown(DEPLOYED, "Deploying", "credentials are being created");
            let deployed = not_deployed(observed, failure).unwrap_or_else(creating);
            vec![conditions::holds(CONFIGURED), deployed]
        }
        (Ok(_), Some(Err(error))) => vec![
            conditions::fails(CONFIGURED, "SecretMissing", error.to_string()),
            conditions::fails(DEPLOYED, "SecretMissing", "there are no credentials"),
        ],
        (Ok(_), _) => {
            let configured = match &observed.settings_problem {
                None => conditions::holds(CONFIGURED),
                Some(problem) => conditions::fails(CONFIGURED, "StreamConfigRefused", problem),
            };
            vec![configured, deployed(observed, failure)]
        }
    };
    if observed.object.meta.deleting && !observed.users.is_empty() {
        let message = format!("deletion waits: used by {}", observed.users.join(", "));
        wanted.retain(|condition| condition.kind != DEPLOYED);
        wanted.push(conditions::fails(DEPLOYED, "InUse", message));
    }
    let mut members = Map::new();
    if let Ok(spec) = &observed.spec {
        members.insert("config".to_owned(), json!({ "jetstream": spec.raw }));
    }
    if let Some(largest) = observed.largest_message {
        members.insert("maxPayload".to_owned(), json!(largest));
    }
    observed
        .object
        .report(&[CONFIGURED, DEPLOYED], wanted, members, now)
}

/// What the server takes: larger events are refused with 413.
fn limit(observed: &Observed) -> String {
    let largest = observed.largest_message;
    largest.map_or_else(String::new, |bytes| {
        format!("; a message has at most {bytes} bytes")
    })
}

/// Why a bus that the controller deploys is not ready.
fn not_deployed(observed: &Observed, failure: Option<&str>) -> Option<Condition> {
    let live = observed.live.as_ref();
    if let Some(foreign) = live.and_then(|live| live.foreign.as_ref()) {
        let message = format!(
            "{foreign} does not belong to this EventBus; delete it, or give the EventBus another name"
        );
        return Some(conditions::fails(DEPLOYED, "NameTaken", message));
    }
    failure.map(|failure| conditions::fails(DEPLOYED, "DeployFailed", failure))
}

/// What is deployed, in words.
fn servers(observed: &Observed) -> Option<String> {
    let spec = observed.spec.as_ref().ok()?;
    let (deployment, live) = spec.deployment.as_ref().zip(observed.live.as_ref())?;
    let served = if deployment.is_native {
        "spec.nats.native is served by JetStream"
    } else {
        "JetStream is deployed"
    };
    let (ready, all) = (live.ready, deployment.replicas);
    Some(format!("{served}; {ready} of {all} servers are ready"))
}

fn deployed(observed: &Observed, failure: Option<&str>) -> Condition {
    if let Some(servers) = servers(observed) {
        let connected = || match &observed.connection {
            Some((_, BusState::Ready { .. })) => {
                let message = format!("{servers}{}", limit(observed));
                Condition::new(DEPLOYED, true, "Succeeded", message)
            }
            Some((_, BusState::Away(reason))) => {
                conditions::fails(DEPLOYED, "NotConnected", format!("{servers}: {reason}"))
            }
            None => conditions::unknown(DEPLOYED, "Deploying", servers.as_str()),
        };
        return not_deployed(observed, failure).unwrap_or_else(connected);
    }
    if let Some(failure) = failure {
        return conditions::fails(DEPLOYED, "ConnectFailed", failure);
    }
    match &observed.connection {
        // Upstream's reason.
        Some((_, BusState::Ready { .. })) => Condition::new(
            DEPLOYED,
            true,
            "Skipped",
            format!(
                "connected; nothing is deployed for a bus that exists already{}",
                limit(observed)
            ),
        ),
        Some((_, BusState::Away(reason))) => {
            conditions::fails(DEPLOYED, "NotConnected", reason.clone())
        }
        None => conditions::unknown(DEPLOYED, "Connecting", "connecting"),
    }
}
