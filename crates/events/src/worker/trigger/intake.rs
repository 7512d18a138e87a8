//! What comes in for a trigger, whatever worker takes it.
//!
//! A worker that is replaced hands its [`Intake`] to the successor, with the messages that it has not begun:
//! pulling continues, and no message waits for the bus to deliver it again.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
};

use tokio::sync::mpsc;

use super::{
    Context,
    history::Unacknowledged,
    messages::{Attachment, Held, Incoming},
    pull::Pull,
};
use crate::{bus::Bus, panics};

/// Messages on their way from the bus to the task; the bus itself bounds what is outstanding.
const ON_THE_WAY: usize = 64;

/// What comes from the bus for all dependencies of a trigger, whatever worker takes it.
pub(in crate::worker) struct Intake {
    incoming: mpsc::Receiver<Incoming>,
    /// The latest attachment of each dependency, with what was delivered since.
    attached: BTreeMap<usize, Attachment>,
    /// What a predecessor put back; comes first.
    put_back: VecDeque<Incoming>,
    /// What a predecessor has done of messages that come again.
    unacknowledged: Unacknowledged,
}

impl Intake {
    /// Starts pulling, until the intake is dropped or `context.pulls` is cancelled.
    pub(super) fn start(context: &Context, bus: &Arc<Bus>) -> Self {
        let (sender, incoming) = mpsc::channel(ON_THE_WAY);
        for dependency in 0..context.trigger.dependencies.len() {
            let pull = Pull {
                context: context.clone(),
                bus: bus.clone(),
                dependency,
                sender: sender.clone(),
                room: context.held.dependency(&context.sensor.key.namespace),
            };
            tokio::spawn(async move {
                let name = pull.name();
                panics::restarted(&name, || pull.run()).await;
            });
        }
        Self {
            incoming,
            attached: BTreeMap::new(),
            put_back: VecDeque::new(),
            unacknowledged: Unacknowledged::default(),
        }
    }

    /// Takes what a test sends.
    #[cfg(test)]
    pub(super) fn of(incoming: mpsc::Receiver<Incoming>) -> Self {
        Self {
            incoming,
            attached: BTreeMap::new(),
            put_back: VecDeque::new(),
            unacknowledged: Unacknowledged::default(),
        }
    }

    /// The next thing that comes; `None` when all pulls have ended.
    pub(super) async fn recv(&mut self) -> Option<Incoming> {
        let next = match self.put_back.pop_front() {
            Some(next) => next,
            None => self.incoming.recv().await?,
        };
        Some(self.noted(next))
    }

    /// What has come already.
    pub(super) fn try_recv(&mut self) -> Option<Incoming> {
        let next = self.put_back.pop_front();
        let next = next.or_else(|| self.incoming.try_recv().ok())?;
        Some(self.noted(next))
    }

    fn noted(&mut self, next: Incoming) -> Incoming {
        match &next {
            Incoming::Attached(attachment) => {
                self.attached
                    .insert(attachment.dependency, attachment.clone());
            }
            Incoming::Message(held) => {
                if let Some(known) = self.attached.get_mut(&held.dependency)
                    && known.stream == held.stream
                {
                    known.delivered = known.delivered.max(held.sequence);
                }
            }
        }
        next
    }

    /// What a predecessor has done of messages that come again.
    pub(super) fn take_unacknowledged(&mut self) -> Unacknowledged {
        std::mem::take(&mut self.unacknowledged)
    }

    /// Notes what is done of messages that come again, for the next worker.
    pub(super) fn keep_unacknowledged(&mut self, unacknowledged: Unacknowledged) {
        self.unacknowledged = unacknowledged;
    }

    /// Makes it ready for the next worker, which gets the attachments and these messages first.
    pub(super) fn hand_over(&mut self, messages: impl IntoIterator<Item = Held>) {
        let mut attached: Vec<Attachment> = self.attached.values().cloned().collect();
        // The newest stream counts; workers drop what they know of an older one.
        attached.sort_by_key(|attachment| attachment.stream);
        let first = attached.into_iter().map(Incoming::Attached);
        let mut first: VecDeque<Incoming> = first
            .chain(messages.into_iter().map(Incoming::Message))
            .collect();
        first.append(&mut self.put_back);
        self.put_back = first;
    }
}
