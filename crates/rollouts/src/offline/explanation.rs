//! A decision as text.

use std::fmt::{Display, Write as _};

use reconcile_core::{event::EventNote, reconcile::Plan};

/// Adds the actions, their reasons, the Events and the next wake-up.
pub(crate) fn write_plan<A: Display>(
    text: &mut String,
    plan: &Plan<A>,
    events: impl Iterator<Item = EventNote>,
) {
    // Writing to a String does not fail.
    if plan.actions.is_empty() {
        let _ = writeln!(text, "  nothing to do");
    }
    for action in &plan.actions {
        let _ = writeln!(text, "  - {action}");
    }
    for note in &plan.notes {
        let _ = writeln!(text, "    because: {note}");
    }
    for event in events {
        let _ = writeln!(text, "  Event {}: {}", event.reason, event.note);
    }
    if let Some(wake) = plan.wake {
        let _ = writeln!(text, "  looks again at {wake}");
    }
}

/// Phase and message.
pub(crate) fn state(phase: &str, message: &str) -> String {
    match (phase, message) {
        ("", _) => "not observed by a controller yet".to_owned(),
        (phase, "") => phase.to_owned(),
        (phase, message) => format!("{phase} ({message})"),
    }
}
