//! Has a task that was carried out reached its goal?

use super::{Task, phase_of};
use crate::api::{Phase, ResourceResult};

/// Updates the row of a running task from the live object.
pub(super) fn settle(task: &Task, row: &mut ResourceResult) {
    if task.is_delete() {
        // A prune is done when the object is gone.
        if task.live.is_none() {
            row.hook_phase = Some(Phase::Succeeded);
        }
        return;
    }
    let Some(live) = &task.live else {
        row.hook_phase = Some(Phase::Error);
        row.message = format!("{} is missing, it might have been deleted", task.id);
        return;
    };
    let phase = phase_of(live.health.as_ref().map(|health| health.code));
    let text = live
        .health
        .as_ref()
        .map(crate::health::Health::text)
        .unwrap_or_default();
    if task.is_hook() {
        row.hook_phase = Some(phase);
        if !text.is_empty() {
            text.clone_into(&mut row.message);
        }
        return;
    }
    if phase.completed() {
        row.hook_phase = Some(phase);
        if phase == Phase::Failed && !text.is_empty() {
            text.clone_into(&mut row.message);
        }
    }
}
