//! The report of a pass: the status and the revision of the Rollout, and Events.

use jiff::Timestamp;
use reconcile_core::{
    conditions::Condition,
    error::{Classify, ErrorClass},
    event::EventNote,
    reconcile::{Done, Report, RootPatch, Target},
};
use serde_json::{Value, json};

use super::{
    effects::Applied,
    error::RolloutError,
    observed::Observed,
    plan::{
        self, Action, Decision,
        conditions::{self, kind, reason},
    },
};
use crate::{
    analysis::build::RunType,
    api::rollout::{REVISION, Rollout, RolloutStatus, RunStatus, WORKLOAD_GENERATION},
};

/// Outcome of the actions of a pass.
pub(crate) type Outcomes = [Done<Applied, RolloutError>];

/// The report of a pass.
pub(crate) fn report(
    observed: &Observed,
    decision: &Decision,
    done: &Outcomes,
    now: Timestamp,
) -> Report {
    if let Some(error) = done.iter().find_map(|done| done.result.as_ref().err()) {
        return failed(observed, error, now);
    }
    if done
        .iter()
        .any(|done| matches!(done.result, Ok(Applied::Collision)))
    {
        return collided(observed);
    }
    let mut status = decision.status.clone();
    for outcome in done {
        if let (Some(Action::StartRun { run_type, .. }), Ok(Applied::Started(run))) =
            (outcome.action(&decision.plan), &outcome.result)
        {
            remember(&mut status, *run_type, run.clone());
        }
        if let Ok(Applied::Experimenting(name)) = &outcome.result {
            status.canary.current_experiment = Some(name.clone());
        }
    }
    if done
        .iter()
        .any(|done| matches!(done.result, Ok(Applied::Held)))
    {
        // Pods are left to restart.
        status
            .restarted_at
            .clone_from(&observed.status.restarted_at);
        let (phase, message) = plan::phase_of(&observed.spec, &status);
        phase.clone_into(&mut status.phase);
        status.message = message;
    }
    let mut report = Report::default();
    if let Some(body) = main_patch(observed, decision) {
        // What the generation counts changed, so the status must be written for the new one.
        report.again = decision.write_replicas;
        report.patches.push(RootPatch {
            target: Target::Main,
            body,
            // A scale that arrived since the Rollout was read must not be overwritten.
            guarded: decision.write_replicas,
        });
    }
    if !may_wait(observed, decision, &status) {
        report.status(&observed.raw_status, &value(&status, &observed.raw_status));
    }
    for event in &decision.events {
        report.event(event.clone());
    }
    report
}

/// The pass moved traffic, and beside it only numbers changed: the next pass, which reads the routes in a moment, writes
/// them together with the step that this completes, as upstream does. What was done is found again after a crash.
fn may_wait(observed: &Observed, decision: &Decision, status: &RolloutStatus) -> bool {
    let mut actions = decision.plan.actions.iter();
    let moves_traffic = actions.any(|action| matches!(action, Action::Route(_)));
    moves_traffic
        && !observed.is_rerouted
        && without_numbers(&observed.status) == without_numbers(status)
}

/// A status without the numbers of pods, the weights, and what is said about them: the message, and how far
/// `Progressing` has come.
fn without_numbers(status: &RolloutStatus) -> RolloutStatus {
    let mut status = RolloutStatus {
        replicas: 0,
        updated_replicas: 0,
        ready_replicas: 0,
        available_replicas: 0,
        hpa_replicas: 0,
        message: String::new(),
        ..status.clone()
    };
    status.canary.weights = None;
    for condition in &mut status.conditions {
        let moves = [reason::CREATED, reason::FOUND, reason::UPDATED];
        if condition.kind == kind::PROGRESSING && moves.contains(&condition.reason.as_str()) {
            *condition = Condition::new(kind::PROGRESSING, true, reason::UPDATED, String::new());
        }
    }
    status
}

/// The status as it is written. A field that somebody set to its zero value, as a client does with
/// `abort: false`, stays as it is.
fn value(status: &RolloutStatus, old: &Value) -> Value {
    let mut value = serde_json::to_value(status).unwrap_or_default();
    let zeros = [json!(false), json!(0), json!("")];
    for (key, zero) in old.as_object().into_iter().flatten() {
        if zeros.contains(zero) && value.get(key).is_none() {
            value[key] = zero.clone();
        }
    }
    value
}

fn main_patch(observed: &Observed, decision: &Decision) -> Option<Value> {
    let mut body = json!({});
    let generation = &decision.status.workload_observed_generation;
    let generation = Some(generation.as_str()).filter(|text| !text.is_empty());
    let is_noted = observed.root.annotation(WORKLOAD_GENERATION) == generation;
    if let Some(revision) = decision.revision {
        body["metadata"] = json!({ "annotations": { REVISION: revision.to_string() } });
    }
    if !is_noted {
        body["metadata"]["annotations"][WORKLOAD_GENERATION] = json!(generation);
    }
    if decision.write_replicas {
        body["spec"] = json!({ "replicas": 1 });
    }
    (body != json!({})).then_some(body)
}

fn remember(status: &mut RolloutStatus, run_type: RunType, run: RunStatus) {
    let slot = match run_type {
        RunType::Step(_) => &mut status.canary.current_step_analysis_run_status,
        RunType::Background => &mut status.canary.current_background_analysis_run_status,
        RunType::PrePromotion => &mut status.blue_green.pre_promotion_analysis_run_status,
        RunType::PostPromotion => &mut status.blue_green.post_promotion_analysis_run_status,
    };
    *slot = Some(run);
}

/// Another ReplicaSet has the name already: the next pass takes another hash.
fn collided(observed: &Observed) -> Report {
    let mut status = observed.status.clone();
    status.collision_count = Some(status.collision_count.unwrap_or_default() + 1);
    let mut report = Report {
        again: true,
        ..Report::default()
    };
    report.status(&observed.raw_status, &value(&status, &observed.raw_status));
    report
}

/// Reports the failure only: not everything that was planned was done.
fn failed(observed: &Observed, error: &RolloutError, now: Timestamp) -> Report {
    let mut status = observed.status.clone();
    let mut report = Report::default();
    match error {
        RolloutError::CreateReplicaSet { source, .. } if error.class() == ErrorClass::Invalid => {
            // The pod template is not one that the API server accepts.
            let reason = source
                .reason
                .split_once(" is invalid: ")
                .map_or(source.reason.as_str(), |(_, rest)| rest);
            return rejected(&observed.root, reason, now);
        }
        RolloutError::CreateReplicaSet { .. } => {
            let text = error.to_string();
            let known = conditions::find(&status, kind::PROGRESSING)
                .is_some_and(|old| old.reason == reason::CREATE_ERROR && old.message == text);
            if !known {
                report.event(EventNote::warning(reason::CREATE_ERROR, text.clone()));
                conditions::put(
                    &mut status,
                    Condition::new(kind::PROGRESSING, false, reason::CREATE_ERROR, text),
                    now,
                );
            }
        }
        RolloutError::Route(error) => {
            report.event(EventNote::warning("TrafficRoutingError", error.to_string()));
            return report;
        }
        RolloutError::Analysis(_) | RolloutError::Template(_) => {
            return rejected(&observed.root, &error.to_string(), now);
        }
        _ => {
            if error.is_refusal() {
                // Upstream leaves this to its log, which who owns the Rollout seldom sees.
                report.event(EventNote::warning("ReconciliationError", error.to_string()));
            }
            return report;
        }
    }
    status.observed_generation = observed.root.generation().to_string();
    let (phase, message) = match plan::phase_of(&observed.spec, &status) {
        // The pods that are healthy are those of the template before.
        (plan::phase::HEALTHY, _) => (plan::phase::PROGRESSING, error.to_string()),
        other => other,
    };
    phase.clone_into(&mut status.phase);
    status.message = message;
    report.status(&observed.raw_status, &value(&status, &observed.raw_status));
    report
}

/// The manifest is wrong: a condition says so, and nothing else moves.
pub(crate) fn rejected(root: &Rollout, message: &str, now: Timestamp) -> Report {
    let parsed = root.parse_status();
    let name = root.metadata.name.as_deref().unwrap_or_default();
    let text = format!("The Rollout \"{name}\" is invalid: {message}");
    let mut report = Report::default();
    let Ok(mut status) = parsed else {
        // What cannot be read must not be written over: it says which version is the stable one.
        report.event(EventNote::warning(kind::INVALID_SPEC, text));
        return report;
    };
    let known =
        conditions::find(&status, kind::INVALID_SPEC).is_some_and(|old| old.message == text);
    if !known {
        conditions::put(
            &mut status,
            Condition::new(kind::INVALID_SPEC, true, kind::INVALID_SPEC, text.clone()),
            now,
        );
        report.event(EventNote::warning(kind::INVALID_SPEC, text.clone()));
    }
    status.observed_generation = root.generation().to_string();
    plan::phase::DEGRADED.clone_into(&mut status.phase);
    status.message = format!("{}: {text}", kind::INVALID_SPEC);
    let old = root.status_value();
    report.status(&old, &value(&status, &old));
    report
}
