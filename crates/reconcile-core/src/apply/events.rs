//! Kubernetes Events, written in the background.
//!
//! An Event informs; it must never hold up or fail a pass. So passes put Events into a bounded channel
//! and one task writes them; when the API server cannot keep up, Events are dropped and counted in the log.

use std::{
    collections::{HashMap, VecDeque},
    hash::{DefaultHasher, Hash, Hasher},
    sync::{
        Arc, OnceLock,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use jiff::Timestamp;
use k8s_openapi::{
    api::{
        core::v1::ObjectReference,
        events::v1::{Event, EventSeries},
    },
    apimachinery::pkg::apis::meta::v1::MicroTime,
};
use kube::{
    Api, Client,
    api::{ObjectMeta, Patch, PatchParams, PostParams},
};
use parking_lot::Mutex;
use tokio::sync::{mpsc, watch};

use crate::{
    clock::Clock,
    error::{ErrorClass, classify_kube, error_chain},
    event::{EventNote, EventType},
    object::ObjectKey,
};

/// Events that may wait to be written: a change of 500 objects at once makes some for each; 4 MiB when all are long.
const WAITING: usize = 4096;
/// Events written at the same time; more would compete with the work itself.
const WRITERS: usize = 4;
/// Pauses between tries while the API server is unreachable: together longer than a restart of it takes.
const PAUSES: [Duration; 3] = [
    Duration::from_millis(500),
    Duration::from_secs(2),
    Duration::from_secs(5),
];
/// Longest name of an object.
const LONGEST_NAME: usize = 253;
/// Events remembered for counting repetitions; about 100 bytes each.
const REMEMBERED: usize = 1024;

/// Where passes put Events. Cloning is cheap.
#[derive(Clone)]
pub struct EventSink {
    sender: mpsc::Sender<Item>,
    clock: Clock,
    dropped: Arc<AtomicU64>,
    /// Events that are queued or being written.
    waiting: Arc<watch::Sender<usize>>,
    counter: Arc<OnceLock<Count>>,
}

/// Callback for each Event.
type Count = Box<dyn Fn(&ObjectReference, &EventNote) + Send + Sync>;

#[derive(Debug)]
struct Item {
    reporter: &'static str,
    about: ObjectReference,
    event: EventNote,
    at: Timestamp,
}

impl EventSink {
    /// A sink, and the future that writes its Events.
    pub fn new(
        client: Client,
        clock: Clock,
        instance: String,
    ) -> (Self, impl Future<Output = ()> + Send) {
        let (sender, receiver) = mpsc::channel(WAITING);
        let sink = Self {
            sender,
            clock,
            dropped: Arc::default(),
            waiting: Arc::default(),
            counter: Arc::default(),
        };
        let writer = Writer {
            client,
            instance,
            recent: Mutex::default(),
            failed: AtomicU64::new(0),
        };
        let waiting = sink.waiting.clone();
        (sink, writer.run(receiver, waiting))
    }

    /// Calls `count` for each Event from now on. It must not block; a second call has no effect.
    pub fn count_with(&self, count: impl Fn(&ObjectReference, &EventNote) + Send + Sync + 'static) {
        drop(self.counter.set(Box::new(count)));
    }

    /// Queues an Event about `about`, reported by the controller `reporter`.
    pub fn emit(&self, reporter: &'static str, about: ObjectReference, event: EventNote) {
        log(reporter, &about, &event);
        if let Some(count) = self.counter.get() {
            count(&about, &event);
        }
        let item = Item {
            reporter,
            about,
            event,
            at: self.clock.now(),
        };
        self.waiting.send_modify(|waiting| *waiting += 1);
        if self.sender.try_send(item).is_err() {
            self.waiting.send_modify(|waiting| *waiting -= 1);
            let dropped = self.dropped.fetch_add(1, Ordering::Relaxed) + 1;
            if dropped.is_power_of_two() {
                tracing::warn!(dropped, "Events dropped: the API server does not keep up");
            }
        }
    }

    /// Waits until every Event that was queued so far is written, or given up.
    pub async fn flush(&self) {
        let mut waiting = self.waiting.subscribe();
        // The sender is held by this sink, so the wait cannot be cut off.
        drop(waiting.wait_for(|waiting| *waiting == 0).await);
    }
}

/// A Warning is a line at level warn, so that failures are found without reading all lines.
fn log(reporter: &str, about: &ObjectReference, event: &EventNote) {
    let kind = about.kind.as_deref().unwrap_or("object");
    let (object, reason) = (key_of(about), &event.reason);
    match event.type_ {
        EventType::Normal => {
            tracing::info!(controller = reporter, kind, %object, %reason, "{}", event.note);
        }
        EventType::Warning => {
            tracing::warn!(controller = reporter, kind, %object, %reason, "{}", event.note);
        }
    }
}

fn key_of(about: &ObjectReference) -> ObjectKey {
    ObjectKey::new(
        about.namespace.as_deref().unwrap_or_default(),
        about.name.as_deref().unwrap_or_default(),
    )
}

/// Writes Events, a few at the same time.
struct Writer {
    client: Client,
    instance: String,
    recent: Mutex<Recent>,
    failed: AtomicU64,
}

impl Writer {
    /// Events about one object go through one lane, so that they are written in the order in which they
    /// happened.
    async fn run(self, mut receiver: mpsc::Receiver<Item>, waiting: Arc<watch::Sender<usize>>) {
        let (lanes, writers): (Vec<_>, Vec<_>) = (0..WRITERS)
            .map(|_| {
                let (sender, receiver) = mpsc::channel(1);
                (sender, self.lane(receiver, &waiting))
            })
            .unzip();
        let route = async move {
            while let Some(item) = receiver.recv().await {
                if lanes[item.lane()].send(item).await.is_err() {
                    return;
                }
            }
        };
        futures::join!(route, futures::future::join_all(writers));
    }

    async fn lane(&self, mut receiver: mpsc::Receiver<Item>, waiting: &watch::Sender<usize>) {
        while let Some(item) = receiver.recv().await {
            self.write(&item).await;
            waiting.send_modify(|waiting| *waiting -= 1);
        }
    }

    /// Writes an Event. Tries again while the API server is unreachable for a moment, as at its restart.
    async fn write(&self, item: &Item) {
        let mut pauses = PAUSES.into_iter();
        while let Err(error) = self.attempt(item).await {
            if classify_kube(&error) == ErrorClass::Fenced {
                return;
            }
            let worth_it = !matches!(&error, kube::Error::Api(status) if status.code < 500);
            let Some(pause) = pauses.next().filter(|_| worth_it) else {
                let failed = self.failed.fetch_add(1, Ordering::Relaxed) + 1;
                if failed.is_power_of_two() {
                    tracing::warn!(failed, error = error_chain(&error), "cannot write an Event");
                }
                return;
            };
            tokio::time::sleep(pause).await;
        }
    }

    async fn attempt(&self, item: &Item) -> Result<(), kube::Error> {
        let namespace = match item.about.namespace.as_deref() {
            Some(namespace) if !namespace.is_empty() => namespace,
            _ => "default",
        };
        let api: Api<Event> = Api::namespaced(self.client.clone(), namespace);
        let fingerprint = item.fingerprint();
        let now = MicroTime(item.at);
        let again = self.recent.lock().seen_again(fingerprint);
        if let Some((name, count)) = again {
            let series = EventSeries {
                count,
                last_observed_time: now,
            };
            let patch = serde_json::json!({ "series": series });
            match api
                .patch(&name, &PatchParams::default(), &Patch::Merge(patch))
                .await
            {
                // Events expire after an hour; then a new one is due.
                Err(kube::Error::Api(status)) if status.code == 404 => {}
                Ok(_) => {
                    self.recent.lock().counted(fingerprint, count);
                    return Ok(());
                }
                Err(error) => return Err(error),
            }
        }
        let event = item.event(namespace, &self.instance);
        let name = event.metadata.name.clone().unwrap_or_default();
        match api.create(&PostParams::default(), &event).await {
            Ok(_) => {}
            // Written by a try whose answer was lost.
            Err(kube::Error::Api(status)) if status.code == 409 => {}
            Err(error) => return Err(error),
        }
        self.recent.lock().remember(fingerprint, name);
        Ok(())
    }
}

impl Item {
    /// Equal for Events that say the same about the same object.
    fn lane(&self) -> usize {
        let mut hasher = DefaultHasher::new();
        (&self.about.namespace, &self.about.name).hash(&mut hasher);
        usize::try_from(hasher.finish() % WRITERS as u64).unwrap_or_default()
    }

    fn fingerprint(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        (self.reporter, &self.about.uid, &self.about.name).hash(&mut hasher);
        (&self.event.reason, &self.event.note).hash(&mut hasher);
        hasher.finish()
    }

    fn event(&self, namespace: &str, instance: &str) -> Event {
        let about = self.about.name.as_deref().unwrap_or(self.reporter);
        let suffix = format!(".{:x}", self.at.as_nanosecond());
        let room = LONGEST_NAME - suffix.len();
        let about = about.get(..room).unwrap_or(about);
        Event {
            action: Some(self.event.reason.clone()),
            event_time: Some(MicroTime(self.at)),
            metadata: ObjectMeta {
                name: Some(format!("{}{suffix}", about.trim_end_matches(['-', '.']))),
                namespace: Some(namespace.to_owned()),
                ..ObjectMeta::default()
            },
            note: Some(shorten(&self.event.note)),
            reason: Some(self.event.reason.clone()),
            regarding: Some(self.about.clone()),
            reporting_controller: Some(self.reporter.to_owned()),
            reporting_instance: Some(instance.to_owned()),
            type_: Some(self.event.type_.name().to_owned()),
            ..Event::default()
        }
    }
}

/// Events written lately, so that a repetition raises a count instead of adding an object. kube's
/// `Recorder` does not fit: it folds Events of one reason together even when their notes differ, and
/// notes such as "step 2/5 completed" are what people read.
#[derive(Default)]
struct Recent {
    names: HashMap<u64, (String, i32)>,
    order: VecDeque<u64>,
}

impl Recent {
    /// Name of the earlier Event with the same content, and the count of the series with this one.
    fn seen_again(&self, fingerprint: u64) -> Option<(String, i32)> {
        let (name, count) = self.names.get(&fingerprint)?;
        Some((name.clone(), count.saturating_add(1)))
    }

    fn counted(&mut self, fingerprint: u64, now: i32) {
        if let Some((_, count)) = self.names.get_mut(&fingerprint) {
            *count = now.max(*count);
        }
    }

    fn remember(&mut self, fingerprint: u64, name: String) {
        if self.names.insert(fingerprint, (name, 1)).is_none() {
            self.order.push_back(fingerprint);
        }
        if self.order.len() > REMEMBERED
            && let Some(oldest) = self.order.pop_front()
        {
            self.names.remove(&oldest);
        }
    }
}

/// The API server refuses notes of more than 1 KiB.
fn shorten(note: &str) -> String {
    const LONGEST: usize = 1000;
    if note.len() <= LONGEST {
        return note.to_owned();
    }
    format!("{}…", &note[..note.floor_char_boundary(LONGEST)])
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
