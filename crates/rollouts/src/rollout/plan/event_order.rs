//! The order of the Events of a pass: that in which upstream, which needs a pass for each of them, writes them.

use reconcile_core::event::EventNote;

use super::conditions::reason;
use crate::rollout::traffic::{UNVERIFIED, VERIFIED, VERIFY_ERROR};

pub(super) const ADDED: &str = "RolloutAddedToInformer";
pub(super) const UPDATED: &str = "RolloutUpdated";
pub(super) const NOT_COMPLETED: &str = "RolloutNotCompleted";
pub(super) const WEIGHT_UPDATED: &str = "TrafficWeightUpdated";

/// What a pass did that decides where its Events belong.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct PassFacts {
    /// The ReplicaSet of the newest template is created in this pass; steps come after it.
    pub(super) creates: bool,
    /// The pass itself gives the update up; pods and traffic follow from that.
    pub(super) gives_up: bool,
}

/// The Events in front of those of the actions, and the Events after them.
pub(super) fn divide(
    mut events: Vec<EventNote>,
    facts: PassFacts,
) -> (Vec<EventNote>, Vec<EventNote>) {
    events.sort_by_key(|event| place(event, facts));
    let leading = events
        .iter()
        .take_while(|event| place(event, facts) < Place::Traffic)
        .count();
    let trailing = events.split_off(leading);
    (events, trailing)
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Place {
    Added,
    NotCompleted,
    Updated,
    /// What a step waits for, or waited for until now.
    Verification,
    /// What ended or was decided, and what the actions follow from.
    Cause,
    /// The actions are before this.
    Traffic,
    Result,
}

fn place(event: &EventNote, facts: PassFacts) -> Place {
    match event.reason.as_str() {
        ADDED => Place::Added,
        NOT_COMPLETED => Place::NotCompleted,
        UPDATED => Place::Updated,
        VERIFIED | UNVERIFIED | VERIFY_ERROR => Place::Verification,
        WEIGHT_UPDATED => Place::Traffic,
        reason::ABORTED if facts.gives_up => Place::Cause,
        reason::ABORTED | reason::COMPLETED | reason::PAUSED | reason::TIMED_OUT => Place::Result,
        _ if facts.creates => Place::Result,
        _ => Place::Cause,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reasons(events: &[EventNote]) -> Vec<&str> {
        events.iter().map(|event| event.reason.as_str()).collect()
    }

    #[test]
    fn causes_come_before_the_actions_and_results_after_them() {
        let all = || {
            let reasons = [
                UPDATED,
                reason::COMPLETED,
                "RolloutStepCompleted",
                reason::ABORTED,
                NOT_COMPLETED,
                reason::RESUMED,
                WEIGHT_UPDATED,
                ADDED,
            ];
            reasons.map(|reason| EventNote::normal(reason, "")).to_vec()
        };
        let (leading, trailing) = divide(all(), PassFacts::default());
        let greeting = [ADDED, NOT_COMPLETED, UPDATED];
        let steps = ["RolloutStepCompleted", reason::RESUMED];
        assert_eq!(reasons(&leading), [&greeting[..], &steps].concat());
        let ends = [WEIGHT_UPDATED, reason::COMPLETED, reason::ABORTED];
        assert_eq!(reasons(&trailing), ends);

        let creates = PassFacts {
            creates: true,
            gives_up: false,
        };
        assert_eq!(reasons(&divide(all(), creates).0), greeting);
        let gives_up = PassFacts {
            creates: false,
            gives_up: true,
        };
        let (leading, trailing) = divide(all(), gives_up);
        assert!(reasons(&leading).contains(&reason::ABORTED));
        assert_eq!(reasons(&trailing), [WEIGHT_UPDATED, reason::COMPLETED]);
    }
}
