//! One pass of a controller on objects in memory, for offline verbs and simulations: the steps of the
//! [`Driver`](super::Driver), in its order.

use jiff::Timestamp;

use super::{Controller, Done, Report};
use crate::event::EventNote;

/// The cluster in a simulation of the controller `C`.
pub trait InMemory<C: Controller> {
    /// Carries out an action; `None` when the process is killed before it.
    fn apply(
        &mut self,
        observed: &C::Observed,
        action: &C::Action,
    ) -> Option<Result<C::Applied, C::Error>>;

    /// Takes an Event about an action.
    fn event(&mut self, event: &EventNote);
}

/// How a pass in memory ended.
#[derive(Debug)]
pub struct Passed<D> {
    /// The decision.
    pub decision: D,
    /// Number of actions that were tried.
    pub tried: usize,
    /// The report; `None` when the process was killed.
    pub report: Option<Report>,
}

/// Plans, applies and reports as [`Driver`](super::Driver) does. Writing the report is left to the caller, see
/// [`merge_patch`].
pub fn pass_in_memory<C: Controller>(
    cluster: &mut impl InMemory<C>,
    observed: &C::Observed,
    now: Timestamp,
) -> Passed<C::Decision> {
    let decision = C::plan(observed, now);
    let leading = C::leading_events(&decision).to_vec();
    let mut waiting = Vec::new();
    let mut done = Vec::new();
    let mut killed = false;
    for (index, action) in decision.as_ref().actions.iter().enumerate() {
        let Some(result) = cluster.apply(observed, action) else {
            killed = true;
            break;
        };
        if let Ok(applied) = &result {
            let events = C::events(action, applied);
            if leading.is_empty() {
                for event in &events {
                    cluster.event(event);
                }
            } else {
                waiting.extend(events);
            }
        }
        let failed = result.is_err();
        done.push(Done { index, result });
        if failed {
            break;
        }
    }
    let failed = done.last().is_some_and(|done| done.result.is_err());
    let report = (!killed).then(|| {
        let mut report = C::report(observed, &decision, &done, now);
        let before = if failed { Vec::new() } else { leading };
        report
            .events
            .splice(0..0, before.into_iter().chain(waiting));
        report
    });
    Passed {
        tried: done.len(),
        decision,
        report,
    }
}

/// Applies a JSON merge patch (RFC 7386), as the API server does with the patches of a report.
pub use json_patch::merge as merge_patch;
