//! The decision of a pass: a pure function of what was observed and the time.
//!
//! A pass works on a copy of the world ([`work`]). The strategy runs round after round on that copy until
//! a round changes nothing, so that everything that needs no further event happens in one pass and is
//! written once. What the copy differs in from the world becomes the actions.

mod action;
mod analysis;
mod bluegreen;
mod canary;
pub(crate) mod conditions;
mod facts;
pub mod hash;
mod pause;
pub(crate) mod phase;
mod progress;
pub mod replicas;
mod revision;
mod service;
mod status_conditions;
mod summary;
mod template;
mod transitions;
mod work;

pub use action::{Action, NewSet, RunRef, SetChange};
pub(crate) use summary::phase_of;
pub(crate) use work::copied_annotations;

use jiff::Timestamp;
use reconcile_core::reconcile::{EventNote, Plan};

use self::work::Work;
use crate::{
    api::rollout::{BlueGreenStatus, CanaryStatus, PauseReason, RolloutStatus},
    rollout::world::{CheckedStrategy, Observed},
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
    /// Events.
    pub events: Vec<EventNote>,
}

impl AsRef<Plan<Action>> for Decision {
    fn as_ref(&self) -> &Plan<Action> {
        &self.plan
    }
}

/// Decides.
pub fn decide(seen: &Observed, now: Timestamp) -> Decision {
    let mut work = Work::new(seen, now);
    revision::find_newest(&mut work);
    work.deadline_at_start = work.new_set().deadline;
    let revision = revision::raise(&mut work);
    forget_other_strategy(&mut work);
    if work.retrying {
        transitions::retry(&mut work);
    }
    if work.is_stable() {
        // Nothing is under way, so there is nothing to wait for, whoever wrote these.
        work.clear_pauses();
    }
    rounds(&mut work);
    summary::count(&mut work);
    status_conditions::update(&mut work);
    if progress::abort_if_late(&mut work) {
        rounds(&mut work);
        summary::count(&mut work);
        status_conditions::update(&mut work);
    }
    analysis::stop_unneeded(&mut work);
    work.stamp_abort();
    revision::collect_old(&mut work);
    analysis::collect_old(&mut work);
    summary::state(&mut work);
    let annotated = revision::annotated(&work);
    let mut events = std::mem::take(&mut work.events);
    events.extend(work.scaling_events());
    let mut plan = Plan::new();
    plan.actions = work.actions();
    work.notes.iter().for_each(|text| plan.note(text.clone()));
    plan.wake = work.wake;
    Decision {
        plan,
        status: work.status,
        revision: (annotated != Some(revision)).then_some(revision),
        write_replicas: seen.spec.replicas_unset,
        events,
    }
}

/// What the other strategy left in the status says nothing any more; kept, it would hold back old
/// ReplicaSets and runs that nobody needs, and a pause that nothing ends.
fn forget_other_strategy(work: &mut Work<'_>) {
    let pause = match &work.seen.spec.strategy {
        CheckedStrategy::Canary(_) => {
            let other = std::mem::take(&mut work.status.blue_green.other);
            work.status.blue_green = BlueGreenStatus {
                other,
                ..BlueGreenStatus::default()
            };
            PauseReason::BlueGreenPause
        }
        CheckedStrategy::BlueGreen(rules) => {
            let other = std::mem::take(&mut work.status.canary.other);
            work.status.canary = CanaryStatus {
                other,
                ..CanaryStatus::default()
            };
            work.status.current_step_index = None;
            work.status.current_step_hash.clear();
            if rules.preview.is_none() {
                work.status.blue_green.preview_selector.clear();
            }
            PauseReason::CanaryPauseStep
        }
    };
    if work.pause_condition(&pause).is_some() {
        work.remove_pause(&pause);
    }
}

fn rounds(work: &mut Work<'_>) {
    let steps = work
        .seen
        .spec
        .canary()
        .map_or(0, |canary| canary.steps.len());
    for _ in 0..steps + EXTRA_ROUNDS {
        let before = (work.status.clone(), sizes(work), work.services.clone());
        match &work.seen.spec.strategy {
            CheckedStrategy::Canary(canary) => canary::round(work, canary),
            CheckedStrategy::BlueGreen(rules) => bluegreen::round(work, rules),
        }
        if before == (work.status.clone(), sizes(work), work.services.clone()) {
            break;
        }
    }
}

fn sizes(work: &Work<'_>) -> Vec<(i32, Option<Timestamp>)> {
    work.sets
        .iter()
        .map(|set| (set.replicas, set.deadline))
        .collect()
}
