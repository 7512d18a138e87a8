//! Tells messages apart whose broker gives them no name of their own, also when it sends them again.
//!
//! A message is known by a key (an identifier that the broker uses again, or what it holds) and by the round in which it
//! came first. In a round no key stands for two messages; the round is kept on the bus, so that a message that comes
//! again after a restart has the id that it had.

use std::{collections::HashSet, hash::Hash};

use serde::{Deserialize, Serialize};

/// Keys of a round, so that they take little memory.
const MOST: usize = 1 << 14;

/// The record on the bus.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Position {
    /// What the source is subscribed to.
    #[serde(alias = "topic")]
    pub(super) subscription: String,
    /// The last round that began.
    pub(super) round: u64,
}

/// The rounds of one connection.
///
/// A message that the broker sends again came first on an earlier connection, in its last round: a round begins only when
/// all messages of the one before are settled. That connection may still be closing when new messages come in here.
pub(super) struct Rounds<K> {
    position: Position,
    /// The last round of earlier connections.
    earlier: u64,
    /// Keys of messages of that round.
    repeated: HashSet<K>,
    /// A round began on this connection.
    began: bool,
    /// Keys of messages of the round that began last.
    used: HashSet<K>,
}

impl<K: Eq + Hash> Rounds<K> {
    pub(super) fn new(subscription: String, known: Option<Position>) -> Self {
        let round = known.map_or(0, |known| known.round);
        Self {
            position: Position {
                subscription,
                round,
            },
            earlier: round,
            repeated: HashSet::new(),
            began: false,
            used: HashSet::new(),
        }
    }

    /// Whether a message begins another round: one whose key is used, or the first new one of a connection.
    pub(super) fn begins(&self, key: &K, repeated: bool) -> bool {
        !self.is_earlier(key, repeated)
            && (!self.began || self.used.contains(key) || self.used.len() >= MOST)
    }

    /// Begins a round; returns the record to be saved before its first message is published.
    pub(super) fn begin(&mut self) -> &Position {
        self.position.round += 1;
        self.began = true;
        self.used.clear();
        &self.position
    }

    /// The round of a message.
    pub(super) fn round(&mut self, key: K, repeated: bool) -> u64 {
        if self.is_earlier(&key, repeated) {
            self.repeated.insert(key);
            return self.earlier;
        }
        self.used.insert(key);
        self.position.round
    }

    fn is_earlier(&self, key: &K, repeated: bool) -> bool {
        repeated && self.repeated.len() < MOST && !self.repeated.contains(key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn take(rounds: &mut Rounds<u16>, key: u16, repeated: bool) -> u64 {
        if rounds.begins(&key, repeated) {
            rounds.begin();
        }
        rounds.round(key, repeated)
    }

    #[test]
    fn a_repeated_message_stays_in_the_round_of_its_first_delivery() {
        let mut first = Rounds::new("t".into(), None);
        assert_eq!(take(&mut first, 1, false), 1);
        assert_eq!(take(&mut first, 2, false), 1);
        // The key is used for another message.
        assert_eq!(take(&mut first, 1, false), 2);
        let mut second = Rounds::new("t".into(), Some(first.position));
        assert_eq!(take(&mut second, 1, true), 2);
        assert_eq!(take(&mut second, 1, true), 3, "two that look the same");
        assert_eq!(take(&mut second, 3, false), 3);
        let mut third = Rounds::new("t".into(), Some(second.position));
        assert_eq!(take(&mut third, 3, false), 4, "the first new one");
        assert_eq!(take(&mut third, 9, true), 3, "the old connection ends late");
        assert_eq!(take(&mut third, 5, false), 4);
    }

    #[test]
    fn a_round_holds_so_many_keys() {
        let mut rounds = Rounds::new("t".into(), None);
        let last = u16::try_from(MOST).expect("fits");
        let began: Vec<u64> = (0..=last)
            .map(|key| take(&mut rounds, key, false))
            .collect();
        assert_eq!((began[0], began[MOST - 1], began[MOST]), (1, 1, 2));
    }
}
