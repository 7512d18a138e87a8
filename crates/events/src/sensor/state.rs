//! When a trigger that waits for several dependencies fires.
//!
//! The state survives a crash at any moment, and each set of events fires exactly once:
//!
//! ```text
//!   save        event saved under its dependency          then the message is acknowledged
//!   fire   1.   ledger: firing = {dep: sequence ...}       the set is decided, and no event of it counts
//!               consumed = the sequences of the set        for another set
//!          2.   the action
//!          3.   ledger: firing = none
//!          4.   saved events deleted, message acknowledged
//! ```
//!
//! After a crash between 1 and 3 the same set is fired again (with the same identity, so that effects
//! that can be recognised are not repeated); a message whose sequence is not above what is consumed for
//! its dependency is done.

use std::collections::BTreeMap;

use expressions::conditions::Condition;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// What is written before an action starts and after it has ended.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ledger {
    /// Creation time of the stream that the sequences belong to, ns since the epoch as text.
    #[serde(default)]
    pub stream: String,
    /// Per dependency the highest sequence that was part of a set.
    #[serde(default)]
    pub consumed: BTreeMap<String, u64>,
    /// The set whose action has not ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub firing: Option<BTreeMap<String, u64>>,
}

/// What to do with an event of a dependency.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// It was dealt with before: acknowledge.
    Done,
    /// Keep it until the others come; replaces an older one of the same dependency.
    Save,
    /// The condition holds: act on these sequences.
    Fire(BTreeMap<String, u64>),
}

impl Ledger {
    /// A ledger for a stream; one of another stream says nothing about this one's sequences.
    #[must_use]
    pub fn for_stream(self, stream: i128) -> Self {
        let stream = stream.to_string();
        if self.stream == stream {
            self
        } else {
            Self {
                stream,
                ..Self::default()
            }
        }
    }

    /// Decides about the event `sequence` of `dependency`, given the saved ones.
    pub fn step(
        &self,
        condition: &Condition,
        saved: &BTreeMap<String, u64>,
        dependency: &str,
        sequence: u64,
    ) -> Step {
        if self.is_consumed(dependency, sequence) {
            return Step::Done;
        }
        if saved.get(dependency).is_some_and(|newer| *newer > sequence) {
            // An older event, delivered late: the newest wins.
            return Step::Done;
        }
        let mut set: BTreeMap<String, u64> = saved
            .iter()
            .filter(|(name, sequence)| !self.is_consumed(name, **sequence))
            .map(|(name, sequence)| (name.clone(), *sequence))
            .collect();
        set.insert(dependency.to_owned(), sequence);
        if condition.holds(|name| set.contains_key(name)) {
            Step::Fire(set)
        } else {
            Step::Save
        }
    }

    /// True when the event is part of a set that fired or fires.
    pub fn is_consumed(&self, dependency: &str, sequence: u64) -> bool {
        self.consumed
            .get(dependency)
            .is_some_and(|consumed| sequence <= *consumed)
    }

    /// True when a saved event belongs to a set that has fired: a crash came before it was deleted.
    pub fn is_leftover(&self, dependency: &str, sequence: u64) -> bool {
        let firing = self
            .firing
            .as_ref()
            .is_some_and(|set| set.get(dependency) == Some(&sequence));
        self.is_consumed(dependency, sequence) && !firing
    }

    /// The ledger from the moment the set is decided.
    #[must_use]
    pub fn begin(&self, set: BTreeMap<String, u64>) -> Self {
        let mut next = self.clone();
        for (name, sequence) in &set {
            let consumed = next.consumed.entry(name.clone()).or_default();
            *consumed = (*consumed).max(*sequence);
        }
        next.firing = Some(set);
        next
    }

    /// The ledger after the action ended.
    #[must_use]
    pub fn end(&self) -> Self {
        Self {
            firing: None,
            ..self.clone()
        }
    }
}

/// A saved event, in upstream's form.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Saved {
    /// Sequence number in the stream.
    pub stream_seq: u64,
    /// Sequence number of the delivery.
    #[serde(default)]
    pub consumer_seq: u64,
    /// When the bus stored it.
    #[serde(default)]
    pub timestamp: Timestamp,
    /// The event.
    pub event: serde_json::Value,
}
