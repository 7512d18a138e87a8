//! Status conditions: set one, keep the others, and move the transition time only when the status
//! of the condition moves.
//!
//! One type serves every kind: which of the two times, and whether the generation is written,
//! differs between kinds, so absent parts are left out of the JSON.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// The state of a condition.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum ConditionStatus {
    /// The condition holds.
    True,
    /// The condition does not hold.
    False,
    /// Not known; also every other text, as some other writer may have left it.
    #[serde(other)]
    Unknown,
}

impl From<bool> for ConditionStatus {
    fn from(holds: bool) -> Self {
        if holds { Self::True } else { Self::False }
    }
}

/// One entry of `status.conditions`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Condition {
    /// The name of the condition, unique in its list.
    #[serde(rename = "type")]
    pub kind: String,
    /// Whether it holds.
    pub status: ConditionStatus,
    /// Reason in upper camel case, for programs.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub reason: String,
    /// Message for people.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub message: String,
    /// When status, reason or message last changed.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        with = "whole_seconds"
    )]
    pub last_update_time: Option<Timestamp>,
    /// When `status` last changed.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        with = "whole_seconds"
    )]
    pub last_transition_time: Option<Timestamp>,
    /// The generation of the object that the condition was computed from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
}

impl Condition {
    /// A condition without times; [`set`] fills them in.
    pub fn new(
        kind: impl Into<String>,
        status: impl Into<ConditionStatus>,
        reason: impl Into<String>,
        message: impl Into<String>,
    ) -> Self {
        Self {
            kind: kind.into(),
            status: status.into(),
            reason: reason.into(),
            message: message.into(),
            last_update_time: None,
            last_transition_time: None,
            observed_generation: None,
        }
    }

    /// The same condition for a generation.
    #[must_use]
    pub fn observed(mut self, generation: i64) -> Self {
        self.observed_generation = Some(generation);
        self
    }

    /// True when the condition holds.
    pub fn is_true(&self) -> bool {
        self.status == ConditionStatus::True
    }
}

/// Which times a kind writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Times {
    /// `lastTransitionTime` only, as most kinds.
    Transition,
    /// `lastUpdateTime` too, as kinds modelled on Deployment.
    TransitionAndUpdate,
}

/// The condition named `kind`.
pub fn find<'c>(conditions: &'c [Condition], kind: &str) -> Option<&'c Condition> {
    conditions.iter().find(|condition| condition.kind == kind)
}

/// True when the condition named `kind` is there and holds.
pub fn is_true(conditions: &[Condition], kind: &str) -> bool {
    find(conditions, kind).is_some_and(Condition::is_true)
}

/// Puts `new` into the list and returns whether anything changed.
///
/// - An entry that says the same already is left alone, with its times.
/// - When status, reason or message differ, the update time moves.
/// - The transition time moves only when the status differs; a new entry gets `now`.
/// - A new entry goes to the end; the order of the others never changes.
pub fn set(
    conditions: &mut Vec<Condition>,
    mut new: Condition,
    times: Times,
    now: Timestamp,
) -> bool {
    let updated = (times == Times::TransitionAndUpdate).then_some(now);
    let Some(old) = conditions.iter_mut().find(|old| old.kind == new.kind) else {
        new.last_transition_time = Some(now);
        new.last_update_time = updated;
        conditions.push(new);
        return true;
    };
    let same_text = old.reason == new.reason && old.message == new.message;
    let same = old.status == new.status && same_text;
    if same && old.observed_generation == new.observed_generation {
        return false;
    }
    new.last_update_time = if same { old.last_update_time } else { updated };
    let moved = old.status != new.status || old.last_transition_time.is_none();
    new.last_transition_time = if moved {
        Some(now)
    } else {
        old.last_transition_time
    };
    *old = new;
    true
}

/// Puts `new` into the list and moves its update time although nothing else may differ: for a condition whose
/// update time is the clock of a deadline. The transition time follows the rules of [`set`].
pub fn renew(conditions: &mut Vec<Condition>, mut new: Condition, now: Timestamp) {
    new.last_update_time = Some(now);
    let Some(old) = conditions.iter_mut().find(|old| old.kind == new.kind) else {
        new.last_transition_time = Some(now);
        conditions.push(new);
        return;
    };
    let kept = old
        .last_transition_time
        .filter(|_| old.status == new.status);
    new.last_transition_time = kept.or(Some(now));
    *old = new;
}

/// Removes the condition named `kind` and returns whether it was there.
pub fn remove(conditions: &mut Vec<Condition>, kind: &str) -> bool {
    let before = conditions.len();
    conditions.retain(|condition| condition.kind != kind);
    conditions.len() != before
}

/// Makes the conditions named in `owned` exactly `wanted`: those that are wanted are set, the other
/// owned ones are removed, and conditions of somebody else stay. Returns whether anything changed.
pub fn merge(
    conditions: &mut Vec<Condition>,
    owned: &[&str],
    wanted: Vec<Condition>,
    times: Times,
    now: Timestamp,
) -> bool {
    let mut changed = false;
    for name in owned {
        if !wanted.iter().any(|condition| condition.kind == *name) {
            changed |= remove(conditions, name);
        }
    }
    for condition in wanted {
        changed |= set(conditions, condition, times, now);
    }
    changed
}

/// Kubernetes keeps times in whole seconds; a fraction would come back different and look like a
/// change.
pub mod whole_seconds {
    use jiff::Timestamp;
    use serde::{Deserialize, Deserializer, Serializer};

    /// Writes `2026-01-02T03:04:05Z`.
    pub fn serialize<S: Serializer>(
        time: &Option<Timestamp>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        match time {
            Some(time) => {
                let whole = Timestamp::from_second(time.as_second()).unwrap_or(*time);
                serializer.collect_str(&whole)
            }
            None => serializer.serialize_none(),
        }
    }

    /// Reads any RFC 3339 time, or null.
    pub fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<Timestamp>, D::Error> {
        Option::<Timestamp>::deserialize(deserializer)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_700_000_000 + second).expect("a time")
    }

    fn ready(status: bool, reason: &str) -> Condition {
        Condition::new("Ready", status, reason, "")
    }

    #[test]
    fn the_transition_time_moves_only_with_the_status() {
        let mut list = Vec::new();
        let times = Times::TransitionAndUpdate;
        assert!(set(&mut list, ready(false, "Starting"), times, at(0)));
        assert!(
            !set(&mut list, ready(false, "Starting"), times, at(1)),
            "nothing new"
        );
        assert!(set(&mut list, ready(false, "Waiting"), times, at(2)));
        assert_eq!(list[0].last_transition_time, Some(at(0)));
        assert_eq!(list[0].last_update_time, Some(at(2)));
        assert!(set(&mut list, ready(true, "Done"), times, at(3)));
        assert_eq!(list[0].last_transition_time, Some(at(3)));
        assert!(is_true(&list, "Ready") && !is_true(&list, "Other"));
    }

    #[test]
    fn a_renewed_condition_keeps_its_transition_time() {
        let mut list = Vec::new();
        renew(&mut list, ready(false, "Waiting"), at(0));
        renew(&mut list, ready(false, "Waiting"), at(1));
        assert_eq!(list[0].last_transition_time, Some(at(0)));
        assert_eq!(list[0].last_update_time, Some(at(1)));
        renew(&mut list, ready(true, "Done"), at(2));
        assert_eq!(list[0].last_transition_time, Some(at(2)));
    }

    #[test]
    fn a_new_generation_alone_moves_no_time() {
        let mut list = vec![];
        set(
            &mut list,
            ready(true, "Done").observed(1),
            Times::Transition,
            at(0),
        );
        assert!(set(
            &mut list,
            ready(true, "Done").observed(2),
            Times::Transition,
            at(9)
        ));
        assert_eq!(list[0].last_transition_time, Some(at(0)));
        assert_eq!(list[0].last_update_time, None);
        assert_eq!(list[0].observed_generation, Some(2));
    }

    #[test]
    fn merging_leaves_foreign_conditions_and_the_order() {
        let mut list = vec![ready(true, "a"), Condition::new("Foreign", true, "x", "y")];
        list.push(Condition::new("Gone", false, "", ""));
        let wanted = vec![
            Condition::new("New", ConditionStatus::Unknown, "", ""),
            ready(true, "a"),
        ];
        assert!(merge(
            &mut list,
            &["Ready", "Gone", "New"],
            wanted,
            Times::Transition,
            at(5)
        ));
        let names: Vec<_> = list.iter().map(|c| c.kind.as_str()).collect();
        assert_eq!(names, ["Ready", "Foreign", "New"]);
        assert_eq!(list[1].reason, "x");
        assert!(!merge(
            &mut list,
            &["Gone"],
            vec![],
            Times::Transition,
            at(6)
        ));
    }

    #[test]
    fn json_has_whole_seconds_and_no_empty_parts() {
        let mut list = vec![];
        let fraction = Timestamp::new(1_700_000_000, 999_000_000).expect("a time");
        set(&mut list, ready(true, ""), Times::Transition, fraction);
        let json = serde_json::to_value(&list).expect("json");
        let expected = "2023-11-14T22:13:20Z";
        assert_eq!(
            json,
            json!([{"type": "Ready", "status": "True", "lastTransitionTime": expected}])
        );
        let back: Vec<Condition> = serde_json::from_value(json).expect("conditions");
        assert_eq!(back[0].kind, "Ready");
        let null: Condition = serde_json::from_value(
            json!({"type": "A", "status": "Unknown", "lastUpdateTime": null}),
        )
        .expect("null is absent");
        assert_eq!(null.last_update_time, None);
    }
}
