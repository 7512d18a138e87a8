//! The decision of a pass: a pure function of what was observed and the time.
//!
//! A pass works on a copy of the world ([`planner`]). The strategy runs round after round on that copy until
//! a round changes nothing, so that everything that needs no further event happens in one pass and is
//! written once. What the copy differs in from the world becomes the actions.

mod action;
mod analysis;
mod bluegreen;
mod canary;
mod capacity;
pub(crate) mod conditions;
mod duration;
mod event_order;
mod experiment;
mod facts;
mod flags;
pub mod hash;
mod metadata;
mod pause;
pub(crate) mod phase;
mod planned_replica_set;
mod planner;
mod progress;
pub mod replicas;
mod restart;
mod revision;
mod service;
mod status_conditions;
mod summary;
mod template;
mod traffic;
mod transitions;
mod weight;
mod workload;

pub use action::{
    Action, ExperimentStart, NewReplicaSet, PodChange, PodRef, ReplicaSetChange, RunRef,
    TemplateChange, WorkloadScale,
};
pub(crate) use duration::COMPLETION_STATUSES;
pub(crate) use planner::{after, copied_annotations, next_second, whole_second};
pub(crate) use summary::phase_of;

use jiff::Timestamp;
use reconcile_core::{event::EventNote, reconcile::Plan};

use self::{event_order::PassFacts, planner::Planner};
use crate::{
    api::rollout::{BlueGreenStatus, CanaryStatus, PauseReason, RolloutStatus},
    rollout::observed::{CheckedStrategy, Observed},
};

/// More rounds than any pass needs: each advances a step or ends the pass.
const EXTRA_ROUNDS: usize = 8;

/// What a pass decides.
#[derive(Clone, Debug, Default)]
pub struct Decision {
    /// Effects, next wake-up, reasons.
    pub plan: Plan<Action>,
    /// The status to be written when all effects succeeded.
    pub status: RolloutStatus,
    /// Revision to annotate the Rollout with, when it has another one.
    pub revision: Option<i64>,
    /// The manifest does not say how many pods; 1 is to be written.
    pub write_replicas: bool,
    /// Events about the Rollout that come before those of the actions ([`Action::events`]).
    pub leading_events: Vec<EventNote>,
    /// Events about the Rollout that come after them.
    pub events: Vec<EventNote>,
}

impl AsRef<Plan<Action>> for Decision {
    fn as_ref(&self) -> &Plan<Action> {
        &self.plan
    }
}

/// Decides.
pub fn decide(observed: &Observed, now: Timestamp) -> Decision {
    let mut planner = Planner::new(observed, now);
    revision::find_newest(&mut planner);
    planner.deadline_at_start = planner.new_set().deadline;
    transitions::greet(&mut planner);
    let revision = revision::raise(&mut planner);
    forget_other_strategy(&mut planner);
    if planner.retrying {
        transitions::retry(&mut planner);
    }
    if planner.is_stable() {
        // Nothing is under way, so there is nothing to wait for, whoever wrote these.
        planner.clear_pauses();
    }
    let restarts = restart::update(&mut planner);
    if !(restarts && observed.spec.canary().is_some()) {
        // A canary does not scale down beside pods that are being evicted.
        rounds(&mut planner);
    }
    summary::count(&mut planner);
    status_conditions::update(&mut planner);
    if progress::abort_if_late(&mut planner) {
        rounds(&mut planner);
        summary::count(&mut planner);
        status_conditions::update(&mut planner);
    }
    traffic::route(&mut planner);
    metadata::update(&mut planner);
    workload::update(&mut planner);
    flags::record(&mut planner);
    analysis::stop_unneeded(&mut planner);
    planner.stamp_abort();
    duration::update(&mut planner);
    revision::collect_old(&mut planner);
    analysis::collect_old(&mut planner);
    experiment::collect_old(&mut planner);
    summary::state(&mut planner);
    let annotated = revision::annotated(&planner);
    revision::announce(&mut planner, revision);
    let facts = PassFacts {
        creates: planner.new_set().is_new(),
        gives_up: planner.abort_message.is_some(),
    };
    let (leading_events, events) = event_order::divide(std::mem::take(&mut planner.events), facts);
    let mut plan = Plan::new();
    plan.actions = planner.actions();
    planner
        .notes
        .iter()
        .for_each(|text| plan.note(text.clone()));
    plan.wake = planner.wake;
    Decision {
        plan,
        status: planner.status,
        revision: (annotated != Some(revision)).then_some(revision),
        write_replicas: observed.spec.replicas_unset,
        leading_events,
        events,
    }
}

/// What the other strategy left in the status says nothing any more; kept, it would hold back old
/// ReplicaSets and runs that nobody needs, and a pause that nothing ends.
fn forget_other_strategy(planner: &mut Planner<'_>) {
    let pause = match &planner.observed.spec.strategy {
        CheckedStrategy::Canary(_) => {
            let other = std::mem::take(&mut planner.status.blue_green.other);
            planner.status.blue_green = BlueGreenStatus {
                other,
                ..BlueGreenStatus::default()
            };
            PauseReason::BlueGreenPause
        }
        CheckedStrategy::BlueGreen(rules) => {
            let other = std::mem::take(&mut planner.status.canary.other);
            planner.status.canary = CanaryStatus {
                other,
                ..CanaryStatus::default()
            };
            planner.status.current_step_index = None;
            planner.status.current_step_hash.clear();
            if rules.preview.is_none() {
                planner.status.blue_green.preview_selector.clear();
            }
            PauseReason::CanaryPauseStep
        }
    };
    if planner.pause_condition(&pause).is_some() {
        planner.remove_pause(&pause);
    }
}

fn rounds(planner: &mut Planner<'_>) {
    let steps = planner
        .observed
        .spec
        .canary()
        .map_or(0, |canary| canary.steps.len());
    for _ in 0..steps + EXTRA_ROUNDS {
        let before = (
            planner.status.clone(),
            sizes(planner),
            planner.services.clone(),
        );
        match &planner.observed.spec.strategy {
            CheckedStrategy::Canary(canary) => canary::round(planner, canary),
            CheckedStrategy::BlueGreen(rules) => {
                bluegreen::round(planner, rules);
                flags::blue_green(planner);
            }
        }
        let (status, sizes_before, services) = &before;
        if *services == planner.services
            && *sizes_before == sizes(planner)
            && *status == planner.status
        {
            break;
        }
    }
}

fn sizes(planner: &Planner<'_>) -> Vec<(i32, Option<Timestamp>)> {
    planner
        .replica_sets
        .iter()
        .map(|set| (set.replicas, set.deadline))
        .collect()
}
