//! Packet identifiers are used again after a while; rounds tell their uses apart.

use serde::{Deserialize, Serialize};

/// Identifiers of a round.
const IDENTIFIERS: usize = 1 << 16;

/// The record on the bus.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Position {
    /// The topic that the session of the broker is subscribed to.
    pub(super) topic: String,
    /// The last round that began.
    pub(super) round: u64,
}

/// The rounds of one connection. No identifier is used for two messages of a round.
pub(super) struct Sequence {
    position: Position,
    /// Identifiers of new messages of this round; empty before the first one of the connection.
    used: Vec<bool>,
}

impl Sequence {
    pub(super) fn new(topic: String, known: Option<Position>) -> Self {
        let round = known.map_or(0, |known| known.round);
        Self {
            position: Position { topic, round },
            used: Vec::new(),
        }
    }

    /// Whether a message begins another round: a new one whose identifier is used, or the first new one of a connection.
    pub(super) fn begins(&self, id: u16, repeated: bool) -> bool {
        id != 0 && !repeated && self.used.get(usize::from(id)).is_none_or(|used| *used)
    }

    /// Begins a round; returns the record to be saved before its first message is published.
    pub(super) fn begin(&mut self) -> &Position {
        self.position.round += 1;
        self.used = vec![false; IDENTIFIERS];
        &self.position
    }

    /// The round of a message.
    pub(super) fn round(&mut self, id: u16, repeated: bool) -> u64 {
        if !repeated && let Some(used) = self.used.get_mut(usize::from(id)) {
            *used = true;
        }
        self.position.round
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_repeated_message_stays_in_the_round_of_its_first_delivery() {
        let take = |sequence: &mut Sequence, id, repeated| {
            if sequence.begins(id, repeated) {
                sequence.begin();
            }
            sequence.round(id, repeated)
        };
        let mut first = Sequence::new("t".into(), None);
        assert_eq!(take(&mut first, 1, false), 1);
        assert_eq!(take(&mut first, 2, false), 1);
        // The identifier is used for another message.
        assert_eq!(take(&mut first, 1, false), 2);
        let mut second = Sequence::new("t".into(), Some(first.position));
        assert_eq!(take(&mut second, 1, true), 2);
        assert_eq!(take(&mut second, 1, false), 3);
        // Messages without identifier belong to no round.
        assert!(!second.begins(0, false));
    }
}
