//! `calendar`: waits for the tick, publishes it, remembers it.
//!
//! The id of a tick's event is made of what and when, so the bus drops a second one of the same tick; the
//! last tick is kept on the bus, so a successor knows where to continue.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use futures::{FutureExt, future::BoxFuture};
use jiff::{SignedDuration, Timestamp, tz::TimeZone};
use reconcile_core::{kube_types::GoDuration, object::FieldError};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::{
    Calendar, EmitError,
    calendar::{Cron, Rhythm, excluded_days},
    checkpoint::Checkpoint,
    kind::{Input, Source, SourceContext, SourceError, SourceKind},
};
use crate::{api::eventsource::CalendarEvent, bus::BusError};

pub(super) const KIND: SourceKind = SourceKind {
    key: "calendar",
    check: |input| Ok(Arc::new(check(input)?)),
};

/// Sleeps are cut into pieces, so that a clock that was set is noticed.
const LONGEST_SLEEP: Duration = Duration::from_secs(60);

fn check(input: &Input<'_>) -> Result<Calendar, FieldError> {
    let raw: CalendarEvent = input.decode()?;
    let given = |text: &Option<String>| text.clone().filter(|text| !text.trim().is_empty());
    let zone = match given(&raw.timezone) {
        None => TimeZone::UTC,
        Some(name) => TimeZone::get(&name)
            .map_err(|_| input.wrong("timezone", format!("{name:?} is not a time zone")))?,
    };
    let rhythm = match (given(&raw.schedule), given(&raw.interval)) {
        (Some(schedule), _) => {
            let zone = given(&raw.timezone).unwrap_or_default();
            let cron = Cron::parse(&schedule, &zone);
            Rhythm::Cron(cron.map_err(|error| input.wrong("schedule", error.to_string()))?)
        }
        (None, Some(interval)) => {
            let interval = interval
                .parse::<GoDuration>()
                .map_err(|error| input.wrong("interval", error.to_string()))?;
            if interval.as_nanos() < GoDuration::from_secs(1).as_nanos() / 10 {
                return Err(input.wrong("interval", "must be at least 100ms"));
            }
            Rhythm::Every(interval.to_signed())
        }
        (None, None) => return Err(input.wrong("schedule", "needs schedule or interval")),
    };
    let catchup = raw
        .persistence
        .as_ref()
        .and_then(|persistence| persistence.catchup.as_ref());
    let catch_up = match catchup.filter(|catchup| catchup.enabled) {
        None => None,
        Some(catchup) => Some(match given(&catchup.max_duration) {
            None => SignedDuration::MAX,
            Some(text) => text
                .parse::<GoDuration>()
                .map_err(|error| input.wrong("persistence.catchup.maxDuration", error.to_string()))?
                .to_signed(),
        }),
    };
    Ok(Calendar {
        rhythm,
        excluded: excluded_days(&raw.exclusion_dates),
        zone,
        catch_up,
    })
}

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

impl Source for Calendar {
    fn run<'s>(&'s self, context: &'s SourceContext) -> BoxFuture<'s, Result<(), SourceError>> {
        follow(self, context).boxed()
    }
}

async fn follow(calendar: &Calendar, context: &SourceContext) -> Result<(), SourceError> {
    let mut checkpoint = context.checkpoint().await?;
    let clock = &context.emitter.clock;
    let begin = clock.now();
    let last = last_tick(&mut checkpoint, calendar, begin).await?;
    context.report(None);
    // Only here: a process that runs but is slow makes up for every tick.
    let mut last = calendar.resume_from(last, begin);
    loop {
        let now = clock.now();
        let Some(tick) = calendar.next_after(last) else {
            tracing::warn!(eventsource = %context.emitter.key, event = %context.event(), "the schedule has no further ticks");
            context.report(Some("the schedule has no further ticks".to_owned()));
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
            metadata: context.metadata(),
        };
        let emitted = context.emit(tick_id(context, tick), &payload).await;
        if let Err(EmitError::Bus(error)) = emitted {
            // The tick stays the next one.
            return Err(error.into());
        }
        last = tick;
        remember(&mut checkpoint, calendar, last).await?;
    }
}

/// The last tick, or now for a schedule that is new.
async fn last_tick(
    checkpoint: &mut Checkpoint,
    calendar: &Calendar,
    now: Timestamp,
) -> Result<Timestamp, BusError> {
    match checkpoint.load::<LastTick>().await? {
        Some(last) if last.rhythm == calendar.rhythm_text() => Ok(last.at),
        _ => {
            remember(checkpoint, calendar, now).await?;
            Ok(now)
        }
    }
}

async fn remember(
    checkpoint: &mut Checkpoint,
    calendar: &Calendar,
    at: Timestamp,
) -> Result<(), BusError> {
    let last = LastTick {
        rhythm: calendar.rhythm_text(),
        at,
    };
    checkpoint.save(&last).await
}

fn tick_id(context: &SourceContext, tick: Timestamp) -> String {
    let mut hash = Sha256::new();
    hash.update(format!("{}/{}/{tick}", context.uid, context.event()));
    hex::encode(&hash.finalize()[..16])
}
