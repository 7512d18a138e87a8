//! A running application controller of Argo CD in the namespace of the control plane.
//!
//! That controller elects no leader, so there is no lease to share: two engines that sync the same Applications undo
//! each other's work. While one is seen, passes change nothing but a condition that says so.

use std::sync::Arc;

use jiff::Timestamp;
use reconcile_core::{
    event::EventNote,
    reconcile::{Report, Target},
};
use serde_json::{Value, json};
use tokio::sync::watch;

use super::Observed;
use crate::api::{Condition, Time};

/// Type of the condition, and reason of the Event.
const CONDITION: &str = "OriginalControllerRunning";

/// Whether an application controller of Argo CD runs. Cloning shares the knowledge.
#[derive(Clone, Debug)]
pub struct OriginalController(Arc<watch::Sender<Option<Arc<str>>>>);

impl Default for OriginalController {
    fn default() -> Self {
        Self(Arc::new(watch::Sender::new(None)))
    }
}

impl OriginalController {
    /// Name of a pod that runs it.
    pub fn pod(&self) -> Option<Arc<str>> {
        self.0.borrow().clone()
    }

    /// Notes the pod that runs it, or that there is none; true when that is a change.
    pub fn set(&self, pod: Option<Arc<str>>) -> bool {
        self.0.send_if_modified(|known| {
            let changed = *known != pod;
            *known = pod;
            changed
        })
    }

    /// Waits until none runs.
    pub async fn gone(&self) {
        // The sender is held by this handle, so the wait cannot fail.
        drop(self.0.subscribe().wait_for(Option::is_none).await);
    }
}

/// Why an Application is left alone, for people.
pub fn refusal(pod: &str) -> String {
    format!(
        "the application controller of Argo CD runs in pod {pod} and syncs the same Applications: scale it to 0, or \
         start argo-cd-lite with --take-over"
    )
}

/// The report of a pass that leaves an Application to the original: the condition, once.
pub(super) fn report(observed: &Observed, pod: &str, now: Timestamp) -> Report {
    let mut report = Report::default();
    let message = refusal(pod);
    let old = &observed.status.conditions;
    if old
        .iter()
        .any(|known| known.type_ == CONDITION && known.message == message)
    {
        return report;
    }
    let mut conditions: Vec<Condition> = old.clone();
    conditions.retain(|known| known.type_ != CONDITION);
    conditions.push(Condition {
        type_: CONDITION.to_owned(),
        message: message.clone(),
        last_transition_time: Some(Time::new(now)),
    });
    // Only the conditions: the rest of the status is the original's.
    let value = |list: &[Condition]| match serde_json::to_value(list) {
        Ok(list) => json!({ "conditions": list }),
        Err(_) => Value::Null,
    };
    report.status_at(Target::Main, &value(old), &value(&conditions));
    report.event(EventNote::warning(CONDITION, message));
    report
}
