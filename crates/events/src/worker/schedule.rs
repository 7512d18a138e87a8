//! The task of one schedule: wait for the tick, publish it, remember it.
//!
//! The id of a tick's event is made of what and when, so the bus drops a second one of the same tick; the
//! last tick is kept on the bus, so a successor knows where to go on.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use async_nats::jetstream::kv;
use bytes::Bytes;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::health::Health;
use crate::{
    bus::{self, BusError, read, write},
    source::{Calendar, EmitError, Emitter},
};

/// The bucket for the last ticks; its first letter keeps it apart from those of sensors.
const BUCKET: &str = "_ticks";
/// Pause after the bus could not do what was needed.
const PAUSE: Duration = Duration::from_secs(1);
/// Sleeps are cut into pieces, so that a clock that was set is noticed.
const LONGEST_SLEEP: Duration = Duration::from_secs(60);

#[derive(Serialize, Deserialize)]
struct LastTick {
    /// The rhythm that it belongs to.
    rhythm: String,
    /// The tick, or the beginning of the schedule.
    at: Timestamp,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Payload<'p> {
    event_time: String,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    metadata: &'p BTreeMap<String, String>,
}

/// Runs the schedule until it is dropped; `health` hears what is in its way.
pub(super) async fn run(uid: String, calendar: Calendar, emitter: Arc<Emitter>, health: Health) {
    loop {
        emitter.bus.ready().await;
        if let Err(error) = follow(&uid, &calendar, &emitter, &health).await {
            tracing::warn!(eventsource = %emitter.key, event = %calendar.event, %error, "schedule interrupted");
            health.set(&calendar.event, Some(error.to_string()));
        }
        tokio::time::sleep(PAUSE).await;
    }
}

async fn follow(
    uid: &str,
    calendar: &Calendar,
    emitter: &Emitter,
    health: &Health,
) -> Result<(), BusError> {
    let store = emitter.bus.bucket(BUCKET).await?;
    // With the namespace, because one server may be the bus of several.
    let key = bus::key(&[&emitter.key.namespace, &emitter.key.name, &calendar.event]);
    let begin = emitter.clock.now();
    let (last, mut revision) = last_tick(&store, &key, calendar, begin).await?;
    health.set(&calendar.event, None);
    // Only here: a process that runs but is slow makes up for every tick.
    let mut last = calendar.resume_from(last, begin);
    loop {
        let now = emitter.clock.now();
        let Some(tick) = calendar.next_after(last) else {
            tracing::warn!(eventsource = %emitter.key, event = %calendar.event, "the schedule has no further ticks");
            health.set(
                &calendar.event,
                Some("the schedule has no further ticks".to_owned()),
            );
            std::future::pending::<()>().await;
            return Ok(());
        };
        if let Ok(wait) = Duration::try_from(tick.duration_since(now))
            && !wait.is_zero()
        {
            tokio::time::sleep(wait.min(LONGEST_SLEEP)).await;
            continue;
        }
        let payload = Payload {
            event_time: calendar.event_time(tick),
            metadata: &calendar.metadata,
        };
        let payload = serde_json::to_vec(&payload).expect("strings are always JSON");
        let id = tick_id(uid, calendar, tick);
        let emitted = emitter
            .emit(
                &calendar.event,
                "calendar",
                id,
                payload.into(),
                calendar.filter.as_ref(),
            )
            .await;
        if let Err(EmitError::Bus(error)) = emitted {
            // The tick stays the next one.
            return Err(error);
        }
        last = tick;
        revision = remember(&store, &key, calendar, last, revision).await?;
    }
}

/// The last tick, or now for a schedule that is new.
async fn last_tick(
    store: &kv::Store,
    key: &str,
    calendar: &Calendar,
    now: Timestamp,
) -> Result<(Timestamp, u64), BusError> {
    let known = read(store, key).await?;
    let revision = known.as_ref().map_or(0, |(_, revision)| *revision);
    let last = known.and_then(|(value, _)| serde_json::from_slice::<LastTick>(&value).ok());
    match last {
        Some(last) if last.rhythm == calendar.rhythm_text() => Ok((last.at, revision)),
        _ => Ok((now, remember(store, key, calendar, now, revision).await?)),
    }
}

async fn remember(
    store: &kv::Store,
    key: &str,
    calendar: &Calendar,
    at: Timestamp,
    revision: u64,
) -> Result<u64, BusError> {
    let last = LastTick {
        rhythm: calendar.rhythm_text(),
        at,
    };
    let value = serde_json::to_vec(&last).expect("strings are always JSON");
    write(store, key, Bytes::from(value), revision).await
}

fn tick_id(uid: &str, calendar: &Calendar, tick: Timestamp) -> String {
    let mut hash = Sha256::new();
    hash.update(format!("{uid}/{}/{tick}", calendar.event));
    hex::encode(&hash.finalize()[..16])
}
