//! Reads the result of a running task from the health of its object.

use super::{Task, phase_of};
use crate::{
    api::{Phase, ResourceResult},
    health::{Code, Health},
};

/// Updates the row of a running task from the live object.
pub(super) fn settle(task: &Task, row: &mut ResourceResult) {
    let Some(live) = &task.live else {
        row.hook_phase = Some(Phase::Error);
        "SyncFailed".clone_into(&mut row.status);
        let (group, kind) = (&task.id.kind.group, &task.id.kind.kind);
        row.message = format!(
            "Resource {group}/{kind}/{} is missing, it might have been deleted",
            task.id.name
        );
        return;
    };
    let code = live.health.as_ref().map(|health| health.code);
    let text = live.health.as_ref().map(Health::text).unwrap_or_default();
    // A hook without a readable result must not be waited for.
    let phase = if task.is_hook() && code == Some(Code::Unknown) {
        Phase::Failed
    } else {
        phase_of(code)
    };
    if !task.is_hook() && !phase.completed() {
        return;
    }
    if task.is_hook() && live.deleting && !phase.completed() {
        // Somebody deleted it; it never ends, because our finalizer keeps it.
        row.hook_phase = Some(Phase::Failed);
        row.message = format!("hook {} was deleted before it ended", task.id);
        return;
    }
    row.hook_phase = Some(phase);
    if code.is_none() && task.is_hook() {
        row.message = format!("{} created", task.id.name);
    } else if !text.is_empty() {
        text.clone_into(&mut row.message);
    }
}
