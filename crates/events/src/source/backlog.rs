//! What sources hold in memory of messages that the bus has not taken yet.

use std::{sync::Arc, time::Duration};

use parking_lot::Mutex;
use reconcile_core::shares::Shares;

/// Bytes of all messages that wait, of all sources together.
const MOST_BYTES: usize = 64 << 20;
/// Pause before room is asked for again.
const PAUSE: Duration = Duration::from_millis(50);
/// What a message takes beside its own bytes.
const OVERHEAD: usize = 512;

/// Room for messages that wait, of one process. Clones share it.
#[derive(Clone, Debug)]
pub struct Backlog(Arc<Mutex<Waiting>>);

/// Bytes that wait, by the number of their source.
#[derive(Debug)]
struct Waiting {
    bytes: Shares<u64>,
    /// Number of the next source.
    next: u64,
}

impl Default for Backlog {
    fn default() -> Self {
        Self::new(MOST_BYTES)
    }
}

impl Backlog {
    /// Room for so many bytes.
    pub fn new(bytes: usize) -> Self {
        let bytes = Shares::new(bytes);
        Self(Arc::new(Mutex::new(Waiting { bytes, next: 0 })))
    }

    /// The part of one source.
    pub fn share(&self) -> Share {
        let mut waiting = self.0.lock();
        waiting.next += 1;
        Share {
            all: self.clone(),
            source: waiting.next,
        }
    }
}

/// What one source holds: never more than it leaves to all others. Clones are the same source.
#[derive(Clone, Debug)]
pub struct Share {
    all: Backlog,
    source: u64,
}

/// Room for one message, released on drop.
#[derive(Debug)]
pub struct Reservation {
    share: Share,
    bytes: usize,
}

impl Share {
    /// Room for a message; `None` when there is none. A source that holds nothing may take all that is free.
    pub fn take(&self, bytes: usize) -> Option<Reservation> {
        let bytes = bytes.saturating_add(OVERHEAD);
        let mut waiting = self.all.0.lock();
        if !waiting.bytes.admits(&[self.source], bytes) {
            return None;
        }
        waiting.bytes.take(&[self.source], bytes);
        let share = self.clone();
        Some(Reservation { share, bytes })
    }

    /// Waits for room for a message. Who waits does not read on, so that what follows stays at the server.
    pub async fn wait(&self, bytes: usize) -> Reservation {
        // A message that is larger than all room takes all of it.
        let bytes = bytes.min(MOST_BYTES - OVERHEAD);
        loop {
            if let Some(room) = self.take(bytes) {
                return room;
            }
            tokio::time::sleep(PAUSE).await;
        }
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        let mut waiting = self.share.all.0.lock();
        waiting.bytes.release(&[self.share.source], self.bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_source_never_holds_more_than_it_leaves_to_others() {
        let backlog = Backlog::new(1 << 20);
        let (greedy, other) = (backlog.share(), backlog.share());
        let message = 10_000;
        let held: Vec<Reservation> = std::iter::from_fn(|| greedy.take(message)).collect();
        let bytes = held.len() * (message + OVERHEAD);
        assert!(bytes <= (1 << 19) && bytes > (1 << 19) - 2 * (message + OVERHEAD));
        let room = other.take(message).expect("room for the other one");
        drop(held);
        drop(room);
        // One large message passes, one that is too large never does.
        let large = greedy.take((1 << 20) - OVERHEAD).expect("all of it");
        assert!(other.take(0).is_none());
        drop(large);
        assert!(greedy.take(1 << 20).is_none());
        assert_eq!(backlog.0.lock().bytes.used(), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn who_finds_no_room_waits_until_there_is_some() {
        let backlog = Backlog::default();
        let (first, second) = (backlog.share(), backlog.share());
        let all = first.wait(usize::MAX).await;
        let hour = Duration::from_secs(3600);
        let waiting = tokio::time::timeout(hour, second.wait(1)).await;
        assert!(waiting.is_err(), "there is no room");
        drop(all);
        let room = tokio::time::timeout(hour, second.wait(1)).await;
        assert!(room.is_ok(), "there is room again");
    }
}
