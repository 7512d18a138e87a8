//! Publish and subscribe. A subscriber has a bounded mailbox; a message that already waits in it is not put there
//! twice, and a mailbox that is full ends its connection.

use std::{
    collections::{HashMap, VecDeque},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

/// Messages that may wait for one subscriber.
const MAX_WAITING: usize = 1024;
/// Their bytes.
const MAX_WAITING_BYTES: usize = 1 << 20;
/// Channels of one subscriber.
const MAX_CHANNELS: usize = 1024;
const MAX_SUBSCRIPTIONS: usize = 20_000;

/// A message on a channel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Message {
    pub(super) channel: Arc<[u8]>,
    pub(super) payload: Arc<[u8]>,
}

impl Message {
    fn size(&self) -> usize {
        self.channel.len() + self.payload.len()
    }
}

#[derive(Default)]
struct State {
    channels: HashMap<Arc<[u8]>, HashMap<u64, Arc<Mailbox>>>,
    subscriptions: usize,
}

/// All channels. Cloning shares them.
#[derive(Clone, Default)]
pub(super) struct Channels(Arc<Shared>);

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    next: AtomicU64,
}

#[derive(Default)]
struct Mailbox {
    waiting: Mutex<(VecDeque<Message>, usize)>,
    arrived: Notify,
    overflowed: CancellationToken,
}

/// A mailbox took more messages than it may hold: its client does not read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Overflow;

/// Too many subscriptions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct TooMany;

/// One client's subscriptions; they end when it is dropped.
pub(super) struct Subscriber {
    channels: Channels,
    id: u64,
    mailbox: Arc<Mailbox>,
    subscribed: Vec<Arc<[u8]>>,
}

impl Channels {
    /// A client without subscriptions.
    pub(super) fn subscriber(&self) -> Subscriber {
        Subscriber {
            channels: self.clone(),
            id: self.0.next.fetch_add(1, Ordering::Relaxed),
            mailbox: Arc::default(),
            subscribed: Vec::new(),
        }
    }

    /// Sends a message; gives the number of its receivers.
    pub(super) fn publish(&self, channel: &[u8], payload: &[u8]) -> usize {
        let state = self.0.state.lock();
        let Some((channel, subscribers)) = state.channels.get_key_value(channel) else {
            return 0;
        };
        let message = Message {
            channel: channel.clone(),
            payload: payload.into(),
        };
        for mailbox in subscribers.values() {
            mailbox.put(&message);
        }
        subscribers.len()
    }

    /// Subscriptions of all clients.
    #[cfg(test)]
    pub(super) fn subscriptions(&self) -> usize {
        self.0.state.lock().subscriptions
    }
}

impl Mailbox {
    fn put(&self, message: &Message) {
        let mut waiting = self.waiting.lock();
        let (messages, bytes) = &mut *waiting;
        if messages.contains(message) {
            return;
        }
        *bytes += message.size();
        if messages.len() >= MAX_WAITING || *bytes > MAX_WAITING_BYTES {
            self.overflowed.cancel();
            *waiting = (VecDeque::new(), 0);
        } else {
            messages.push_back(message.clone());
        }
        self.arrived.notify_one();
    }
}

impl Subscriber {
    /// Subscribes to a channel.
    pub(super) fn subscribe(&mut self, channel: &[u8]) -> Result<(), TooMany> {
        if self.subscribed.iter().any(|known| **known == *channel) {
            return Ok(());
        }
        let mut state = self.channels.0.state.lock();
        if self.subscribed.len() >= MAX_CHANNELS || state.subscriptions >= MAX_SUBSCRIPTIONS {
            return Err(TooMany);
        }
        let name: Arc<[u8]> = channel.into();
        let receivers = state.channels.entry(name.clone()).or_default();
        receivers.insert(self.id, self.mailbox.clone());
        state.subscriptions += 1;
        self.subscribed.push(name);
        Ok(())
    }

    /// Ends a subscription.
    pub(super) fn unsubscribe(&mut self, channel: &[u8]) {
        let before = self.subscribed.len();
        self.subscribed.retain(|known| **known != *channel);
        if self.subscribed.len() < before {
            self.channels.leave(channel, self.id);
        }
    }

    /// Ends when the mailbox has taken more messages than it may hold.
    pub(super) async fn overflowed(&self) {
        self.mailbox.overflowed.cancelled().await;
    }

    /// The channels.
    pub(super) fn subscribed(&self) -> &[Arc<[u8]>] {
        &self.subscribed
    }

    /// Waits for messages and takes all that wait.
    pub(super) async fn receive(&self) -> Result<Vec<Message>, Overflow> {
        loop {
            let messages: Vec<Message> = {
                let mut waiting = self.mailbox.waiting.lock();
                waiting.1 = 0;
                waiting.0.drain(..).collect()
            };
            if self.mailbox.overflowed.is_cancelled() {
                return Err(Overflow);
            }
            if !messages.is_empty() {
                return Ok(messages);
            }
            self.mailbox.arrived.notified().await;
        }
    }
}

impl Channels {
    fn leave(&self, channel: &[u8], id: u64) {
        let mut state = self.0.state.lock();
        let Some(receivers) = state.channels.get_mut(channel) else {
            return;
        };
        let removed = receivers.remove(&id).is_some();
        if receivers.is_empty() {
            state.channels.remove(channel);
        }
        if removed {
            state.subscriptions -= 1;
        }
    }
}

impl Drop for Subscriber {
    fn drop(&mut self) {
        for channel in std::mem::take(&mut self.subscribed) {
            self.channels.leave(&channel, self.id);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_message_that_waits_is_not_put_there_twice() {
        let channels = Channels::default();
        let mut subscriber = channels.subscriber();
        subscriber.subscribe(b"a").expect("room");
        subscriber.subscribe(b"a").expect("room");
        assert_eq!(channels.publish(b"a", b""), 1);
        assert_eq!(channels.publish(b"a", b""), 1);
        assert_eq!(channels.publish(b"b", b""), 0);
        assert_eq!(
            subscriber.receive().await.map(|messages| messages.len()),
            Ok(1)
        );
        assert_eq!(channels.publish(b"a", b"1"), 1);
        assert_eq!(channels.publish(b"a", b"2"), 1);
        assert_eq!(
            subscriber.receive().await.map(|messages| messages.len()),
            Ok(2)
        );
        drop(subscriber);
        assert_eq!(
            (channels.publish(b"a", b""), channels.subscriptions()),
            (0, 0)
        );
    }

    #[tokio::test]
    async fn a_client_that_does_not_read_overflows() {
        let channels = Channels::default();
        let mut subscriber = channels.subscriber();
        subscriber.subscribe(b"a").expect("room");
        for number in 0..=MAX_WAITING {
            channels.publish(b"a", number.to_string().as_bytes());
        }
        assert_eq!(subscriber.receive().await, Err(Overflow));
    }

    #[test]
    fn subscriptions_are_bounded() {
        let channels = Channels::default();
        let mut subscriber = channels.subscriber();
        for number in 0..MAX_CHANNELS {
            subscriber
                .subscribe(number.to_string().as_bytes())
                .expect("room");
        }
        assert_eq!(subscriber.subscribe(b"more"), Err(TooMany));
        subscriber.unsubscribe(b"0");
        assert_eq!(subscriber.subscribe(b"more"), Ok(()));
        assert_eq!(channels.subscriptions(), MAX_CHANNELS);
    }
}
