//! Pairs of actions that set and unset one flag of an object.

use serde_json::Value;

use super::{
    super::row::{Effect::Set, Row, Setting::Flag, State, row},
    icons::{PAUSE, PLAY},
};

/// Sets `spec.suspend`.
pub(super) const fn suspend(
    group: &'static str,
    kinds: &'static str,
    state: fn(&Value) -> State,
) -> Row {
    let set = Set(&[(&["spec", "suspend"], Flag(true))]);
    row(group, kinds, "suspend", set)
        .state(state)
        .shown("", PAUSE)
}

/// Unsets `spec.suspend`.
pub(super) const fn unsuspend(
    group: &'static str,
    kinds: &'static str,
    state: fn(&Value) -> State,
) -> Row {
    let unset = Set(&[(&["spec", "suspend"], Flag(false))]);
    row(group, kinds, "resume", unset)
        .state(state)
        .shown("", PLAY)
}

/// Sets `spec.paused`.
pub(super) const fn pause(
    group: &'static str,
    kinds: &'static str,
    state: fn(&Value) -> State,
) -> Row {
    let set = Set(&[(&["spec", "paused"], Flag(true))]);
    row(group, kinds, "pause", set)
        .state(state)
        .shown("", PAUSE)
}

/// Unsets `spec.paused`.
pub(super) const fn unpause(
    group: &'static str,
    kinds: &'static str,
    state: fn(&Value) -> State,
) -> Row {
    let unset = Set(&[(&["spec", "paused"], Flag(false))]);
    row(group, kinds, "resume", unset)
        .state(state)
        .shown("", PLAY)
}
