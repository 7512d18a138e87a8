//! What a trigger did lately: a log line for each event, and what the status of its Sensor shows.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use jiff::Timestamp;
use parking_lot::Mutex;
use reconcile_core::{object::ObjectKey, reconcile::Queue};

use crate::trigger::{Done, Firing};

/// The status is written at most this often because events were acted on.
const SHOWN_AFTER: Duration = Duration::from_secs(30);
/// A failure is shown sooner.
const FAILURE_SHOWN_AFTER: Duration = Duration::from_secs(5);
/// A Kubernetes Event about a success is emitted at most this often for a trigger, in seconds.
const SUCCESS_EVENT_EVERY: i64 = 600;
/// Characters of an outcome or a failure in the status.
const LONGEST_TEXT: usize = 512;

/// What a trigger did lately.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TriggerActivity {
    /// The events that were acted on last.
    pub last_event: Option<LastEvent>,
    /// The last failure.
    pub last_error: Option<LastError>,
    /// Events that the bus had not delivered yet when it delivered the last one, by dependency.
    pub pending: BTreeMap<String, u64>,
}

/// Events that were acted on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LastEvent {
    /// Their ids, by dependency in order.
    pub id: String,
    /// Their EventSources and event names.
    pub source: String,
    /// Object or status.
    pub outcome: String,
    /// When the action ended.
    pub time: Timestamp,
}

/// A failure.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LastError {
    /// What is wrong.
    pub message: String,
    /// When the try ended.
    pub time: Timestamp,
}

#[derive(Default)]
struct State {
    activity: TriggerActivity,
    success_event: Option<Timestamp>,
    fields: Option<String>,
}

/// The activity of one trigger. Cloning shares it.
#[derive(Clone)]
pub(super) struct Activity {
    state: Arc<Mutex<State>>,
    queue: Queue,
    sensor: ObjectKey,
}

/// How an action ended well.
pub(super) struct Success<'s> {
    pub(super) firing: &'s Firing,
    pub(super) done: &'s Done,
    pub(super) took: Duration,
    pub(super) now: Timestamp,
}

impl Activity {
    /// Activity of a trigger of `sensor`, whose controller listens to `queue`.
    pub(super) fn new(queue: Queue, sensor: ObjectKey) -> Self {
        Self {
            state: Arc::default(),
            queue,
            sensor,
        }
    }

    /// Sets what the lines about events hold beside the event.
    pub(super) fn set_fields(&self, fields: Option<String>) {
        self.state.lock().fields = fields;
    }

    /// What the lines about events hold beside the event.
    pub(super) fn fields(&self) -> Option<String> {
        self.state.lock().fields.clone()
    }

    /// Notes and logs an action. True when a Kubernetes Event about it is due.
    pub(super) fn succeeded(&self, success: &Success<'_>) -> bool {
        let Success {
            firing,
            done: Done(outcome),
            took,
            now,
        } = success;
        let (id, source) = identity(firing);
        let milliseconds = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
        let mut state = self.state.lock();
        let fields = state.fields.as_deref();
        tracing::info!(sensor = %firing.sensor, trigger = %firing.trigger, source, event = id, outcome, milliseconds, fields, "event delivered");
        state.activity.last_event = Some(LastEvent {
            id,
            source,
            outcome: shortened(outcome),
            time: *now,
        });
        let due = state
            .success_event
            .is_none_or(|last| now.duration_since(last).as_secs() >= SUCCESS_EVENT_EVERY);
        if due {
            state.success_event = Some(*now);
        }
        drop(state);
        self.queue.add_after(self.sensor.clone(), SHOWN_AFTER);
        due
    }

    /// Notes a try that failed.
    pub(super) fn failed(&self, message: &str, now: Timestamp) {
        self.state.lock().activity.last_error = Some(LastError {
            message: shortened(message),
            time: now,
        });
        self.queue
            .add_after(self.sensor.clone(), FAILURE_SHOWN_AFTER);
    }

    /// Notes how many events of a dependency the bus has not delivered yet.
    pub(super) fn pending(&self, dependency: &str, count: u64) {
        let mut state = self.state.lock();
        let pending = &mut state.activity.pending;
        match pending.get_mut(dependency) {
            Some(known) => *known = count,
            None => drop(pending.insert(dependency.to_owned(), count)),
        }
    }

    /// All of it.
    pub(super) fn now(&self) -> TriggerActivity {
        self.state.lock().activity.clone()
    }
}

/// Ids and sources of the events of a firing.
pub(super) fn identity(firing: &Firing) -> (String, String) {
    let list = |text: fn(&crate::event::CloudEvent) -> String| {
        let all: Vec<String> = firing.events.values().map(text).collect();
        all.join(",")
    };
    (
        list(|event| event.id.clone()),
        list(|event| format!("{}/{}", event.source, event.subject)),
    )
}

fn shortened(text: &str) -> String {
    text.chars().take(LONGEST_TEXT).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{event::CloudEvent, sensor::parameter::Events};

    #[test]
    fn the_last_event_and_error_are_kept_and_success_events_are_rare() {
        let at = |text: &str| -> Timestamp { text.parse().expect("a time") };
        let event = |id: &str| {
            let now = at("2026-01-02T03:04:05Z");
            CloudEvent::new(id.into(), "src", "webhook", "push", now, "{}".into())
        };
        let firing = Firing {
            id: "f".into(),
            sensor: ObjectKey::new("ns", "s"),
            trigger: "t".into(),
            service_account: "default".into(),
            events: Events::from([("a".to_owned(), event("1")), ("b".to_owned(), event("2"))]),
            now: at("2026-01-02T03:04:05Z"),
        };
        let activity = Activity::new(Queue::new(), firing.sensor.clone());
        let done = Done("http://x answered 200".into());
        let succeeded = |now: &str| {
            activity.succeeded(&Success {
                firing: &firing,
                done: &done,
                took: Duration::from_millis(7),
                now: at(now),
            })
        };
        assert!(succeeded("2026-01-02T03:04:05Z"));
        assert!(!succeeded("2026-01-02T03:14:04Z"));
        assert!(succeeded("2026-01-02T03:14:05Z"));
        activity.failed(&"x".repeat(9999), at("2026-01-02T03:15:00Z"));
        activity.pending("a", 7);
        activity.pending("a", 5);
        let now = activity.now();
        let last = now.last_event.expect("an event");
        assert_eq!(
            (
                last.id.as_str(),
                last.source.as_str(),
                last.outcome.as_str()
            ),
            ("1,2", "src/push,src/push", "http://x answered 200")
        );
        assert_eq!(
            now.last_error.expect("an error").message.len(),
            LONGEST_TEXT
        );
        assert_eq!(now.pending, BTreeMap::from([("a".to_owned(), 5)]));
    }
}
