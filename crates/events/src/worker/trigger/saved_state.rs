//! What a trigger that waits for several dependencies remembers, in the KV bucket of its sensor.
//!
//! ```text
//!   <trigger>/Expression     the condition that the saved events belong to
//!   <trigger>/<dependency>   the saved event, in upstream's form
//!   <trigger>/_ledger        which sets fired (crate::sensor::state)
//! ```
//!
//! Names that a key cannot hold are encoded ([`crate::bus`]).
//!
//! Kept in memory too; every write is checked against the revision that is known here, so that a second
//! writer is noticed instead of overwritten.
//!
//! Writes are grouped. A saved event that a set takes up soon, and the end of a set that the next one follows, are not
//! written by themselves: what is held in memory only belongs to messages that are not answered yet, and comes again after
//! a crash. [`TriggerState::settle`] writes what is left of that.

use std::{collections::BTreeMap, sync::Arc};

use bytes::Bytes;
use jiff::Timestamp;

use super::{Context, attempt::as_value, messages::Held, ports::Records};
use crate::{
    bus::{self, BusError},
    event::CloudEvent,
    sensor::{
        parameter::Events,
        state::{Ledger, Saved, Step},
    },
};

struct SavedEvent {
    sequence: u64,
    consumer_sequence: u64,
    /// When the bus stored it.
    stored: Timestamp,
    event: CloudEvent,
}

/// The record of a saved event.
#[derive(Clone, Copy)]
struct Written {
    /// The event that it holds.
    sequence: u64,
    revision: u64,
}

pub(super) struct TriggerState {
    store: Arc<dyn Records>,
    trigger: String,
    ledger: Ledger,
    revision: u64,
    /// The ledger in memory is newer than the record.
    dirty: bool,
    saved: BTreeMap<String, SavedEvent>,
    written: BTreeMap<String, Written>,
}

impl TriggerState {
    /// Reads the state; what belongs to another condition or stream is dropped.
    pub(super) async fn load(context: &Context, stream: i128) -> Result<Self, BusError> {
        let store = context.bus.records(&context.sensor.key).await?;
        let trigger = context.trigger.name.clone();
        let mut memory = Self {
            store,
            trigger,
            ledger: Ledger::default(),
            revision: 0,
            dirty: false,
            saved: BTreeMap::new(),
            written: BTreeMap::new(),
        };
        let other_condition = memory.check_expression(context).await?;
        if let Some((value, revision)) = memory.store.read(&memory.key("_ledger")).await? {
            memory.ledger = serde_json::from_slice(&value).unwrap_or_default();
            memory.revision = revision;
        }
        // Without a ledger it was written by upstream, which spells the same condition in another way.
        let mut fresh = other_condition && memory.revision > 0;
        let known = memory.ledger.stream.clone();
        memory.ledger = std::mem::take(&mut memory.ledger).for_stream(stream);
        if known != memory.ledger.stream {
            // Saved events without a ledger are upstream's, and still good.
            fresh |= !known.is_empty();
            memory.write_ledger(memory.ledger.clone()).await?;
        }
        for dependency in &context.trigger.dependencies {
            let key = memory.key(&dependency.name);
            if fresh {
                memory.store.erase(&key).await?;
                continue;
            }
            let Some((value, revision)) = memory.store.read(&key).await? else {
                continue;
            };
            let saved = serde_json::from_slice::<Saved>(&value)
                .ok()
                .and_then(|saved| {
                    let event = CloudEvent::decode(saved.event.to_string().as_bytes()).ok()?;
                    Some(SavedEvent {
                        sequence: saved.stream_seq,
                        consumer_sequence: saved.consumer_seq,
                        stored: saved.timestamp,
                        event,
                    })
                });
            match saved {
                Some(saved) if !memory.ledger.is_leftover(&dependency.name, saved.sequence) => {
                    let sequence = saved.sequence;
                    let written = Written { sequence, revision };
                    memory.written.insert(dependency.name.clone(), written);
                    memory.saved.insert(dependency.name.clone(), saved);
                }
                _ => memory.store.erase(&key).await?,
            }
        }
        Ok(memory)
    }

    /// True when the saved events belong to a condition with another text.
    async fn check_expression(&self, context: &Context) -> Result<bool, BusError> {
        let key = self.key("Expression");
        let text = context.trigger.condition.text();
        match self.store.read(&key).await? {
            Some((value, _)) if value == text.as_bytes() => Ok(false),
            Some((_, revision)) => {
                self.store
                    .write(&key, Bytes::copy_from_slice(text.as_bytes()), revision)
                    .await?;
                Ok(true)
            }
            None => {
                self.store
                    .write(&key, Bytes::copy_from_slice(text.as_bytes()), 0)
                    .await?;
                Ok(false)
            }
        }
    }

    fn key(&self, name: &str) -> String {
        bus::key(&[&self.trigger, name])
    }

    /// What to do with an event.
    pub(super) fn step(&self, context: &Context, dependency: &str, sequence: u64) -> Step {
        let saved = self
            .saved
            .iter()
            .map(|(name, saved)| (name.clone(), saved.sequence))
            .collect();
        self.ledger
            .step(&context.trigger.condition, &saved, dependency, sequence)
    }

    /// Keeps an event under its dependency, in memory: its message is answered after [`TriggerState::settle`], or when
    /// the set that takes it up has ended.
    pub(super) fn hold(&mut self, dependency: &str, held: &Held, event: CloudEvent) {
        self.saved.insert(
            dependency.to_owned(),
            SavedEvent {
                sequence: held.sequence,
                consumer_sequence: held.consumer_sequence,
                stored: held.stored,
                event,
            },
        );
    }

    /// Writes what is in memory only: first the ledger, because a record that is overwritten may be of the set that has
    /// ended.
    pub(super) async fn settle(&mut self) -> Result<(), BusError> {
        if self.dirty {
            self.write_ledger(self.ledger.clone()).await?;
        }
        for (name, saved) in &self.saved {
            let known = self.written.get(name);
            if known.is_some_and(|written| written.sequence == saved.sequence) {
                continue;
            }
            let record = Saved {
                stream_seq: saved.sequence,
                consumer_seq: saved.consumer_sequence,
                timestamp: saved.stored,
                event: as_value(&saved.event),
            };
            let value = serde_json::to_vec(&record).expect("an event is always JSON");
            let revision = known.map_or(0, |written| written.revision);
            let key = self.key(name);
            let revision = self.store.write(&key, value.into(), revision).await?;
            let sequence = saved.sequence;
            self.written
                .insert(name.clone(), Written { sequence, revision });
        }
        let stale = self.written.keys();
        let stale = stale.filter(|name| !self.saved.contains_key(*name));
        for name in stale.cloned().collect::<Vec<_>>() {
            self.store.erase(&self.key(&name)).await?;
            self.written.remove(&name);
        }
        Ok(())
    }

    /// Forgets the saved events that are older than `tick`.
    pub(super) async fn forget_before(&mut self, tick: Timestamp) -> Result<(), BusError> {
        self.saved.retain(|_, saved| saved.stored >= tick);
        self.settle().await
    }

    /// Decides a set: from now on it fires, and nothing of it counts for another set. The set before it has ended.
    pub(super) async fn begin(&mut self, set: BTreeMap<String, u64>) -> Result<(), BusError> {
        self.write_ledger(self.ledger.begin(set)).await
    }

    /// The set has fired: forgets it, in memory.
    pub(super) fn end(&mut self, set: &BTreeMap<String, u64>) {
        if self.ledger.firing.is_some() {
            self.ledger = self.ledger.end();
            self.dirty = true;
        }
        self.saved.retain(|name, saved| {
            set.get(name)
                .is_none_or(|sequence| saved.sequence > *sequence)
        });
    }

    async fn write_ledger(&mut self, next: Ledger) -> Result<(), BusError> {
        let value = serde_json::to_vec(&next).expect("numbers and names are always JSON");
        self.revision = self
            .store
            .write(&self.key("_ledger"), value.into(), self.revision)
            .await?;
        self.ledger = next;
        self.dirty = false;
        Ok(())
    }

    /// The set whose action has not ended, from before a restart.
    pub(super) fn unfinished(&self) -> Option<BTreeMap<String, u64>> {
        self.ledger.firing.clone()
    }

    /// The events of a set: saved ones, and the rest from the stream.
    pub(super) async fn events(
        &self,
        context: &Context,
        set: &BTreeMap<String, u64>,
    ) -> Result<Events, BusError> {
        let mut events = Events::new();
        for (name, sequence) in set {
            if let Some(saved) = self
                .saved
                .get(name)
                .filter(|saved| saved.sequence == *sequence)
            {
                events.insert(name.clone(), saved.event.clone());
                continue;
            }
            let body = context.bus.message(*sequence).await?;
            if let Some(event) = body.and_then(|body| CloudEvent::decode(&body).ok()) {
                events.insert(name.clone(), event);
            } else {
                tracing::error!(
                    sensor = %context.sensor.key, trigger = %self.trigger, dependency = name, sequence,
                    "an event of an unfinished set is not on the bus any more"
                );
            }
        }
        Ok(events)
    }
}
