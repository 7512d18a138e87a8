//! The message of the operation, with upstream's texts.

use super::{HookObject, Task};
use crate::clusters::ResourceId;

/// Messages of failed tasks that are put into the message of the operation.
const REASONS: usize = 5;

/// A message with its reasons, of which only the first few are spelled out.
pub fn join_reasons(what: &str, mut reasons: Vec<&str>) -> String {
    let more = reasons.len().saturating_sub(REASONS);
    reasons.truncate(REASONS);
    match (reasons.is_empty(), more) {
        (true, _) => what.to_owned(),
        (false, 0) => format!("{what}, reason: {}", reasons.join(",")),
        (false, more) => format!("{what}, reason: {} and {more} more", reasons.join(",")),
    }
}

/// What a sync waits for, with upstream's text: the first hook, else the first object, and how many more.
pub(super) fn wait_message(waiting: &[&Task]) -> String {
    let Some(first) = waiting
        .iter()
        .find(|task| task.is_hook())
        .or_else(|| waiting.first())
    else {
        return String::new();
    };
    let what = match (first.is_hook(), first.is_delete()) {
        (true, _) => "completion of hook",
        (false, true) => "deletion of",
        (false, false) => "healthy state of",
    };
    let several = if waiting.iter().all(|task| task.is_hook()) {
        "hooks"
    } else {
        "resources"
    };
    waiting_for(what, &first.id, waiting.len() - 1, several)
}

/// The message while prunes wait for a person.
pub(super) fn confirmation_message(waiting: &[&Task]) -> String {
    let Some(first) = waiting.first() else {
        return String::new();
    };
    waiting_for(
        "pruning confirmation of",
        &first.id,
        waiting.len() - 1,
        "resources",
    )
}

/// The message while hooks of earlier syncs go.
pub fn deletion_message(hooks: &[HookObject]) -> String {
    let Some(first) = hooks.first() else {
        return String::new();
    };
    waiting_for("deletion of hook", &first.id, hooks.len() - 1, "hooks")
}

fn waiting_for(what: &str, id: &ResourceId, more: usize, several: &str) -> String {
    let (group, kind, name) = (&id.kind.group, &id.kind.kind, &id.name);
    let more = match more {
        0 => String::new(),
        more => format!(" and {more} more {several}"),
    };
    format!("waiting for {what} {group}/{kind}/{name}{more}")
}
