//! The status of an EventSource.

use jiff::Timestamp;
use reconcile_core::{
    conditions::Condition,
    event::EventNote,
    reconcile::{Plan, Report},
};
use serde_json::{Map, Value, json};

use super::{Action, Observed, registrations::MEMBER, removal::TRIES, validate::CheckedSpec};
use crate::{
    controller::{conditions, dedicated::Elsewhere},
    source::{
        Webhook,
        listener::{ClosedPort, Served},
    },
    worker::SourceHealth,
};

const SOURCES: &str = "SourcesProvided";
const DEPLOYED: &str = "Deployed";
/// Present while something that deleted events have registered cannot be removed.
const REMOVED: &str = "RegistrationsRemoved";

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
        let mut report = Report::default();
        tell_what_is_left(observed, &mut report);
        return report;
    }
    match &observed.elsewhere {
        // Who acts for it tells the rest.
        Some(Elsewhere::Pod | Elsewhere::PodMissing(_)) => {
            return observed.object.report(&[], Vec::new(), Map::new(), now);
        }
        Some(Elsewhere::Shared) => return Report::default(),
        None => {}
    }
    let mut wanted = match &observed.spec {
        Err(error) => vec![
            conditions::fails(SOURCES, "InvalidSpec", error.to_string()),
            conditions::fails(DEPLOYED, "InvalidSpec", "the spec cannot be used"),
        ],
        Ok(spec) => vec![sources(spec), deployed(observed, spec, health, failure)],
    };
    if let Some(trouble) = observed.registrations.trouble() {
        wanted.push(conditions::fails(REMOVED, "Retrying", trouble));
    }
    let owned = [SOURCES, DEPLOYED, REMOVED];
    let mut report = observed
        .object
        .report(&owned, wanted, members(observed), now);
    tell_what_is_left(observed, &mut report);
    report
}

/// Members of the status beside its conditions.
fn members(observed: &Observed) -> Map<String, Value> {
    let records = observed.registrations.records();
    let before = observed.object.status.get(MEMBER);
    let value = match (records.as_slice(), before) {
        ([], None) => return Map::new(),
        ([], Some(_)) => Value::Null,
        (records, _) => json!(records),
    };
    Map::from_iter([(MEMBER.to_owned(), value)])
}

/// An Event about each thing that could not be removed: nobody else will.
fn tell_what_is_left(observed: &Observed, report: &mut Report) {
    for left in observed.registrations.left().unwrap_or_default() {
        let note =
            format!("not removed after {TRIES} tries, remove it at the service by hand: {left}");
        report.event(EventNote::warning("RegistrationLeft", note));
    }
}

fn sources(spec: &CheckedSpec) -> Condition {
    let mut parts = spec.problems.clone();
    if !spec.unsupported.is_empty() {
        let others = if spec.serves_nothing() {
            ""
        } else {
            "; the other events are served"
        };
        parts.push(format!(
            "not supported yet: {}{others}",
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
    // Callers have a Service that leads to this process.
    let reachable = observed.source.service && !observed.unreachable;
    let mut parts = Vec::new();
    if let Some(health) = health {
        let refused = health.served.refused.iter();
        parts.extend(refused.map(|refused| format!("{}: {}", refused.event, refused.reason)));
        if !reachable {
            parts.extend(closed(spec, &health.served));
        }
        let interrupted = health.interrupted.iter();
        parts.extend(interrupted.map(|(event, reason)| format!("{event}: {reason}")));
    }
    if !parts.is_empty() {
        return conditions::fails(DEPLOYED, "NotServed", parts.join("; "));
    }
    if spec.serves_nothing() {
        return conditions::fails(
            DEPLOYED,
            "NothingToServe",
            "no event of this object can be served",
        );
    }
    let mut condition = conditions::holds(DEPLOYED);
    let notes: Vec<String> = health
        .map(|health| closed(spec, &health.served).collect())
        .unwrap_or_default();
    if !notes.is_empty() {
        condition.message = format!("reachable through the Service only: {}", notes.join("; "));
    }
    if observed.unreachable {
        condition.message.push_str(
            "the Service leads nowhere: the controller has no address that pods can reach (POD_IP or \
             --advertise-address)",
        );
    }
    condition
}

/// Ports of the manifest that are not open for callers without a Service, and why.
fn closed(spec: &CheckedSpec, served: &Served) -> impl Iterator<Item = String> {
    served.closed.iter().map(|(port, reason)| match reason {
        ClosedPort::Reserved => {
            let webhooks = spec.webhooks.iter().map(|(webhook, _)| webhook);
            let fields = webhooks
                .filter(|webhook| webhook.port == *port)
                .map(Webhook::port_field);
            format!(
                "{}: {port}: {reason}; choose another port, or set spec.service, so that callers reach this EventSource by \
                 its Service",
                fields.collect::<Vec<_>>().join(", ")
            )
        }
        ClosedPort::Contested => format!(
            "port {port}: {reason}; set spec.service, so that callers reach this EventSource by its Service"
        ),
        ClosedPort::Busy(_) => format!("port {port}: {reason}"),
    })
}
