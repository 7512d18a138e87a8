//! Pauses. `controllerPause` without pause conditions means that a person resumed: clients promote by
//! clearing `pauseConditions` only.

use jiff::SignedDuration;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::planner::{Planner, after, next_second};
use crate::api::rollout::{PauseCondition, PauseReason};

impl Planner<'_> {
    /// The pause condition with this reason.
    pub(super) fn pause_condition(&self, reason: &PauseReason) -> Option<&PauseCondition> {
        self.status
            .pause_conditions
            .iter()
            .find(|condition| condition.reason == *reason)
    }

    /// Pauses for `reason`, unless that is so already.
    pub(super) fn add_pause(&mut self, reason: PauseReason) {
        if self.pause_condition(&reason).is_none() {
            self.note(format!("pausing: {}", reason.as_str()));
            // Rounded up, so that the pause is never shorter than asked for.
            let start_time = Time(next_second(self.now));
            self.status
                .pause_conditions
                .push(PauseCondition { reason, start_time });
        }
        self.status.controller_pause = true;
    }

    /// Ends the pause for `reason`.
    pub(super) fn remove_pause(&mut self, reason: &PauseReason) {
        self.status
            .pause_conditions
            .retain(|condition| condition.reason != *reason);
        self.status.controller_pause = !self.status.pause_conditions.is_empty();
    }

    /// Ends all pauses.
    pub(super) fn clear_pauses(&mut self) {
        self.status.pause_conditions.clear();
        self.status.controller_pause = false;
        self.resumed = false;
    }

    /// True when the pause for `reason` has lasted longer than `duration`; otherwise asks to be woken when
    /// it has.
    pub(super) fn has_lasted(&mut self, reason: &PauseReason, duration: SignedDuration) -> bool {
        let Some(condition) = self.pause_condition(reason) else {
            return false;
        };
        let end = after(condition.start_time.0, duration);
        if self.now > end {
            return true;
        }
        // One millisecond more, because the end itself still belongs to the pause.
        self.wake_at(after(end, SignedDuration::from_millis(1)));
        false
    }

    /// Nothing may move: a person paused the Rollout, or an analysis gave no verdict.
    pub(super) fn is_halted(&self) -> bool {
        self.observed.spec.paused
            || self
                .pause_condition(&PauseReason::InconclusiveAnalysisRun)
                .is_some()
    }

    /// Somebody or something has paused the Rollout.
    pub(super) fn is_paused(&self) -> bool {
        self.observed.spec.paused || !self.status.pause_conditions.is_empty()
    }
}
