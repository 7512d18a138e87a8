//! What is finished of the messages that a predecessor had in its hands.
//!
//! With `atLeastOnce` a successor acts on them at once, in the order of the stream, before the bus delivers
//! them again and they can be acknowledged. Without a record a process that dies before that would leave
//! the next one to repeat all of them.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use serde::{Deserialize, Serialize};

use super::{Context, messages::Held, ports::Records};
use crate::bus::{BusError, key};

/// Pause after the bus could not do what was needed.
const PAUSE: Duration = Duration::from_secs(1);

/// Per dependency the highest sequence that is finished.
#[derive(Default, Serialize, Deserialize)]
struct Record {
    /// Creation time of the stream, ns since the epoch.
    stream: String,
    finished: BTreeMap<String, u64>,
}

/// The record of one trigger, as it was read.
pub(super) struct Finished {
    store: Arc<dyn Records>,
    key: String,
    revision: u64,
    record: Record,
}

impl Finished {
    /// Reads the record, however long that takes; `None` when the trigger is stopped before.
    pub(super) async fn load(context: &Context, held: &Held) -> Option<Self> {
        persist(context, || Self::read(context, held)).await
    }

    async fn read(context: &Context, held: &Held) -> Result<Self, BusError> {
        let store = context.bus.records(&context.sensor.key).await?;
        let key = key(&[&context.trigger.name, "_finished"]);
        let known = store.read(&key).await?;
        let revision = known.as_ref().map_or(0, |(_, revision)| *revision);
        let record = known.and_then(|(value, _)| serde_json::from_slice::<Record>(&value).ok());
        let stream = held.stream.to_string();
        let record = record.filter(|record| record.stream == stream);
        Ok(Self {
            store,
            key,
            revision,
            record: record.unwrap_or_else(|| Record {
                stream,
                ..Record::default()
            }),
        })
    }

    /// True when a predecessor finished the message.
    pub(super) fn covers(&self, context: &Context, held: &Held) -> bool {
        let name = &context.trigger.dependencies[held.dependency].name;
        let finished = self.record.finished.get(name);
        finished.is_some_and(|finished| held.sequence <= *finished)
    }

    /// Notes that the message is finished, however long that takes; `None` when the trigger is stopped
    /// before.
    pub(super) async fn add(mut self, context: &Context, held: &Held) -> Option<()> {
        let name = &context.trigger.dependencies[held.dependency].name;
        self.record.finished.insert(name.clone(), held.sequence);
        let value = serde_json::to_vec(&self.record).expect("numbers and names are always JSON");
        persist(context, || {
            let value = value.clone().into();
            self.store.write(&self.key, value, self.revision)
        })
        .await
        .map(drop)
    }
}

/// Tries until it works; `None` when the trigger is stopped before.
async fn persist<R, F>(context: &Context, mut attempt: impl FnMut() -> F) -> Option<R>
where
    F: Future<Output = Result<R, BusError>>,
{
    loop {
        match attempt().await {
            Ok(done) => return Some(done),
            Err(error) => {
                tracing::warn!(sensor = %context.sensor.key, trigger = %context.trigger.name, %error, "cannot record finished events; trying again");
            }
        }
        tokio::select! {
            () = context.stop.cancelled() => return None,
            () = tokio::time::sleep(PAUSE) => {}
        }
    }
}
