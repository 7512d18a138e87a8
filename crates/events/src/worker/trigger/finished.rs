//! What is finished of the messages that a predecessor had in its hands, and of those after them.
//!
//! With `atLeastOnce` a successor acts on them at once, in the order of the stream, before the bus delivers
//! them again and they can be acknowledged. Until then a process that takes over reads them from the stream, and all that
//! follows: without a record it would repeat them.
//!
//! One write records all that was finished since the one before it: it is under way while the next action runs. What
//! it does not say yet is bounded by [`MOST_UNWRITTEN`], and so is what a successor repeats.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use bytes::Bytes;
use futures::future::BoxFuture;
use serde::{Deserialize, Serialize};

use super::{Context, messages::Held, ports::Records};
use crate::bus::{BusError, key};

/// Pause after the bus could not do what was needed.
const PAUSE: Duration = Duration::from_secs(1);
/// Finished messages that the record does not have yet, at most.
const MOST_UNWRITTEN: usize = 8;
/// Time for the last write when the trigger stops.
const LAST_WRITE: Duration = Duration::from_secs(3);

/// Per dependency the highest sequence that is finished.
#[derive(Clone, Default, Serialize, Deserialize)]
struct FinishedRecord {
    /// Creation time of the stream, ns since the epoch.
    stream: String,
    finished: BTreeMap<String, u64>,
}

impl FinishedRecord {
    /// Adds what another one knows of the same stream.
    fn merge(&mut self, other: Self) {
        if other.stream != self.stream {
            return;
        }
        for (name, sequence) in other.finished {
            let known = self.finished.entry(name).or_default();
            *known = (*known).max(sequence);
        }
    }
}

/// A record and its place.
#[derive(Clone)]
struct RecordPlace {
    store: Arc<dyn Records>,
    key: String,
    revision: u64,
    record: FinishedRecord,
}

impl RecordPlace {
    /// Reads the record; one of another stream counts as empty.
    async fn read(context: &Context, stream: i128) -> Result<Self, BusError> {
        let store = context.bus.records(&context.sensor.key).await?;
        let mut place = Self {
            store,
            key: key(&[&context.trigger.name, "_finished"]),
            revision: 0,
            record: FinishedRecord {
                stream: stream.to_string(),
                ..FinishedRecord::default()
            },
        };
        place.refresh().await?;
        Ok(place)
    }

    /// Adds what the stored record says.
    async fn refresh(&mut self) -> Result<(), BusError> {
        let stored = self.store.read(&self.key).await?;
        self.revision = stored.as_ref().map_or(0, |(_, revision)| *revision);
        let record = stored.and_then(|(value, _)| serde_json::from_slice(&value).ok());
        if let Some(record) = record {
            self.record.merge(record);
        }
        Ok(())
    }

    async fn write(&mut self) -> Result<(), BusError> {
        let value = serde_json::to_vec(&self.record).expect("numbers and names are always JSON");
        let written = self
            .store
            .write(&self.key, Bytes::from(value), self.revision);
        match written.await {
            Ok(revision) => {
                self.revision = revision;
                Ok(())
            }
            Err(error) => {
                // Perhaps it was stored and only the answer is lost.
                if matches!(error, BusError::Revision { .. }) {
                    self.refresh().await?;
                }
                Err(error)
            }
        }
    }
}

/// What a read or a write leads to.
struct RecordAnswer {
    place: RecordPlace,
    /// Finished messages that the write covers.
    covered: usize,
}

/// The record of one trigger.
#[derive(Default)]
pub(super) struct Finished {
    /// `None` until it is needed.
    place: Option<RecordPlace>,
    /// A read, or a write of what was finished when it began.
    under_way: Option<BoxFuture<'static, RecordAnswer>>,
    unwritten: usize,
}

impl Finished {
    /// Begins to read the record of this stream unless it is known. True when it is.
    pub(super) fn is_known(&mut self, context: &Context, stream: i128) -> bool {
        let known = self.place.as_ref();
        if known.is_some_and(|place| place.record.stream == stream.to_string()) {
            return true;
        }
        if self.under_way.is_none() {
            (self.place, self.unwritten) = (None, 0);
            let context = context.clone();
            self.under_way = Some(Box::pin(async move {
                loop {
                    match RecordPlace::read(&context, stream).await {
                        Ok(place) => return RecordAnswer { place, covered: 0 },
                        Err(error) => pause(&context, &error).await,
                    }
                }
            }));
        }
        false
    }

    /// True when a predecessor finished the message.
    pub(super) fn covers(&self, context: &Context, held: &Held) -> bool {
        let name = &context.trigger.dependencies[held.dependency].name;
        let finished = self.place.as_ref().map(|place| &place.record.finished);
        let finished = finished.and_then(|finished| finished.get(name));
        finished.is_some_and(|finished| held.sequence <= *finished)
    }

    /// True when no message may be begun before a write has ended.
    pub(super) fn is_behind(&self) -> bool {
        self.unwritten >= MOST_UNWRITTEN
    }

    /// Notes that the message is finished. It is written as soon as no write is under way.
    pub(super) fn add(&mut self, context: &Context, held: &Held) {
        let Some(place) = &mut self.place else { return };
        let name = &context.trigger.dependencies[held.dependency].name;
        let finished = place.record.finished.entry(name.clone()).or_default();
        *finished = (*finished).max(held.sequence);
        self.unwritten += 1;
        self.begin_write(context);
    }

    fn begin_write(&mut self, context: &Context) {
        let (Some(place), None) = (&self.place, &self.under_way) else {
            return;
        };
        let (mut place, covered, context) = (place.clone(), self.unwritten, context.clone());
        self.under_way = Some(Box::pin(async move {
            while let Err(error) = place.write().await {
                pause(&context, &error).await;
            }
            RecordAnswer { place, covered }
        }));
    }

    /// Ends when a read or a write has ended; never when none is under way.
    pub(super) async fn progress(&mut self, context: &Context) {
        let Some(under_way) = &mut self.under_way else {
            return std::future::pending().await;
        };
        let RecordAnswer { mut place, covered } = under_way.await;
        self.under_way = None;
        if let Some(newer) = self.place.take() {
            place.record.merge(newer.record);
        }
        self.place = Some(place);
        self.unwritten -= covered;
        if self.unwritten > 0 {
            self.begin_write(context);
        }
    }

    /// Writes what is left when the trigger stops, if the bus lets it.
    pub(super) async fn write_at_last(&mut self, context: &Context) {
        let written = async {
            while self.unwritten > 0 {
                self.progress(context).await;
            }
        };
        if tokio::time::timeout(LAST_WRITE, written).await.is_err() {
            tracing::warn!(sensor = %context.sensor.key, trigger = %context.trigger.name, "stopped before finished events were recorded; they may be repeated");
        }
    }
}

async fn pause(context: &Context, error: &BusError) {
    tracing::warn!(sensor = %context.sensor.key, trigger = %context.trigger.name, %error, "cannot record finished events; trying again");
    tokio::time::sleep(PAUSE).await;
}
