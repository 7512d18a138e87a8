//! Kubernetes Events, written beside the reconcile.
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
};

use futures::StreamExt;
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
use tokio::sync::mpsc;

use crate::{
    clock::Clock,
    reconcile::{EventNote, EventType},
};

/// Events that may wait to be written: a change of 500 objects at once makes some for each; 4 MiB when all are long.
const WAITING: usize = 4096;
/// Events written at the same time; more would compete with the work itself.
const WRITERS: usize = 4;
/// Events remembered for counting repetitions; about 100 bytes each.
const REMEMBERED: usize = 1024;

/// Where passes put Events. Cloning is cheap.
#[derive(Clone)]
pub struct EventSink {
    sender: mpsc::Sender<Item>,
    clock: Clock,
    dropped: Arc<AtomicU64>,
    counter: Arc<OnceLock<Count>>,
}

/// Told of each Event.
type Count = Box<dyn Fn(&ObjectReference, &EventNote) + Send + Sync>;

#[derive(Debug)]
struct Item {
    reporter: &'static str,
    about: ObjectReference,
    event: EventNote,
    at: Timestamp,
}

impl EventSink {
    /// A sink and the future that writes what is put into it.
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
            counter: Arc::default(),
        };
        (sink, write_all(client, instance, receiver))
    }

    /// Tells `count` of each Event from now on; it must not block. The first one stays.
    pub fn count_with(&self, count: impl Fn(&ObjectReference, &EventNote) + Send + Sync + 'static) {
        drop(self.counter.set(Box::new(count)));
    }

    /// Queues an Event about `about`, reported by the controller `reporter`.
    pub fn emit(&self, reporter: &'static str, about: ObjectReference, event: EventNote) {
        tracing::info!(
            controller = reporter,
            object = %about.name.as_deref().unwrap_or_default(),
            namespace = %about.namespace.as_deref().unwrap_or_default(),
            reason = %event.reason,
            "{}", event.note
        );
        if let Some(count) = self.counter.get() {
            count(&about, &event);
        }
        if self
            .sender
            .try_send(Item {
                reporter,
                about,
                event,
                at: self.clock.now(),
            })
            .is_err()
        {
            let dropped = self.dropped.fetch_add(1, Ordering::Relaxed) + 1;
            if dropped.is_power_of_two() {
                tracing::warn!(dropped, "Events dropped: the API server does not keep up");
            }
        }
    }
}

async fn write_all(client: Client, instance: String, mut receiver: mpsc::Receiver<Item>) {
    let recent = Mutex::new(Recent::default());
    let (recent, client, instance) = (&recent, &client, instance.as_str());
    futures::stream::poll_fn(move |context| receiver.poll_recv(context))
        .for_each_concurrent(WRITERS, |item| async move {
            if let Err(error) = write(client, instance, recent, item).await {
                tracing::debug!(%error, "cannot write an Event");
            }
        })
        .await;
}

async fn write(
    client: &Client,
    instance: &str,
    recent: &Mutex<Recent>,
    item: Item,
) -> Result<(), kube::Error> {
    let namespace = item
        .about
        .namespace
        .clone()
        .unwrap_or_else(|| "default".to_owned());
    let api: Api<Event> = Api::namespaced(client.clone(), &namespace);
    let fingerprint = item.fingerprint();
    let now = MicroTime(item.at);
    let again = recent.lock().seen_again(fingerprint);
    if let Some((name, count)) = again {
        let series = EventSeries {
            count,
            last_observed_time: now.clone(),
        };
        let patch = serde_json::json!({ "series": series });
        match api
            .patch(&name, &PatchParams::default(), &Patch::Merge(patch))
            .await
        {
            // Events expire after an hour; then a new one is due.
            Err(kube::Error::Api(status)) if status.code == 404 => {}
            outcome => return outcome.map(drop),
        }
    }
    let about_name = item.about.name.as_deref().unwrap_or(item.reporter);
    let name = format!("{about_name}.{:x}", item.at.as_nanosecond());
    let event = Event {
        action: Some(item.event.reason.clone()),
        event_time: Some(now),
        metadata: ObjectMeta {
            name: Some(name.clone()),
            namespace: Some(namespace),
            ..ObjectMeta::default()
        },
        note: Some(shorten(item.event.note)),
        reason: Some(item.event.reason),
        regarding: Some(item.about),
        reporting_controller: Some(item.reporter.to_owned()),
        reporting_instance: Some(instance.to_owned()),
        type_: Some(
            match item.event.type_ {
                EventType::Normal => "Normal",
                EventType::Warning => "Warning",
            }
            .to_owned(),
        ),
        ..Event::default()
    };
    api.create(&PostParams::default(), &event).await?;
    recent.lock().remember(fingerprint, name);
    Ok(())
}

impl Item {
    /// Equal for Events that say the same about the same object.
    fn fingerprint(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        (self.reporter, &self.about.uid, &self.about.name).hash(&mut hasher);
        (&self.event.reason, &self.event.note).hash(&mut hasher);
        hasher.finish()
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
    fn seen_again(&mut self, fingerprint: u64) -> Option<(String, i32)> {
        let (name, count) = self.names.get_mut(&fingerprint)?;
        *count = count.saturating_add(1);
        Some((name.clone(), *count))
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
fn shorten(note: String) -> String {
    const LONGEST: usize = 1000;
    if note.len() <= LONGEST {
        return note;
    }
    let cut = (0..=LONGEST)
        .rev()
        .find(|at| note.is_char_boundary(*at))
        .unwrap_or(0);
    format!("{}…", &note[..cut])
}
