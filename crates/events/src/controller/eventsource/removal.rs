//! Removes what deleted events have registered at services, beside the passes: a service that does not answer holds up
//! nothing but this, and not for ever.

use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
    time::Duration,
};

use parking_lot::Mutex;
use reconcile_core::{object::ObjectKey, reconcile::Queue, shards::Claim};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::{
    observe::task_with_secrets,
    registrations::{Record, Registrations},
};
use crate::{trigger::secrets::Secrets, worker::DataPlane};

/// After so many tries what is left stays at the service.
pub const TRIES: u32 = 5;
/// The first pause; each further one is twice as long.
const PAUSE: Duration = Duration::from_secs(2);
/// A service that takes its time with every request gets no more than this.
const LONGEST: Duration = Duration::from_secs(300);

/// How far a removal is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RemovalState {
    /// It is tried.
    Running {
        /// Why the last try failed.
        trouble: Option<String>,
    },
    /// It was tried to the end.
    Ended {
        /// What stayed at its service, and why.
        left: Vec<String>,
    },
}

/// What is removed for one EventSource.
struct Removal {
    stale: Vec<Record>,
    in_use: BTreeSet<String>,
    state: RemovalState,
    stop: CancellationToken,
}

/// The removals of this process. Cloning shares them.
#[derive(Clone, Default)]
pub struct Removals(Arc<Mutex<HashMap<ObjectKey, Removal>>>);

/// What a removal works with.
pub(super) struct Remover {
    pub(super) key: ObjectKey,
    pub(super) uid: String,
    pub(super) plane: DataPlane,
    pub(super) secrets: Secrets,
    pub(super) queue: Queue,
}

impl Removals {
    /// How far the removal of just this is. One of anything else is ended: the manifest has changed.
    pub(super) fn state(&self, key: &ObjectKey, wanted: &Registrations) -> Option<RemovalState> {
        let mut all = self.0.lock();
        let removal = all.get(key)?;
        if removal.stale == wanted.stale && removal.in_use == wanted.in_use {
            return Some(removal.state.clone());
        }
        removal.stop.cancel();
        all.remove(key);
        None
    }

    /// Stops the removal for an EventSource that is gone, or that another process acts for.
    pub(super) fn stop(&self, key: &ObjectKey) {
        if let Some(removal) = self.0.lock().remove(key) {
            removal.stop.cancel();
        }
    }

    /// Begins to remove what is stale.
    pub(super) fn start(&self, remover: Remover, wanted: &Registrations, claim: Claim) {
        let stop = CancellationToken::new();
        let (stale, in_use) = (wanted.stale.clone(), wanted.in_use.clone());
        self.stop(&remover.key);
        self.0.lock().insert(
            remover.key.clone(),
            Removal {
                stale: stale.clone(),
                in_use: in_use.clone(),
                state: RemovalState::Running { trouble: None },
                stop: stop.clone(),
            },
        );
        let all = self.clone();
        tokio::spawn(async move {
            let key = remover.key.clone();
            tokio::select! {
                () = all.run(&remover, stale, &in_use) => {}
                () = stop.cancelled() => {}
                // The next process begins again.
                () = claim.leaving().cancelled() => all.stop(&key),
            }
        });
    }

    async fn run(&self, remover: &Remover, stale: Vec<Record>, in_use: &BTreeSet<String>) {
        let (mut open, mut pause) = (stale, PAUSE);
        let deadline = Instant::now() + LONGEST;
        let mut left = Vec::new();
        for attempt in 1..=TRIES {
            let mut failed = Vec::new();
            left.clear();
            for record in open {
                let removed = remover.remove(&record, in_use);
                let removed = tokio::time::timeout_at(deadline, removed).await;
                let removed = removed.unwrap_or_else(|_| {
                    let (kind, event, most) = (&record.kind, &record.event, LONGEST.as_secs());
                    Err(format!(
                        "spec.{kind}.{event}: not done within {most} seconds"
                    ))
                });
                if let Err(reason) = removed {
                    left.push(reason);
                    failed.push(record);
                }
            }
            open = failed;
            if open.is_empty() || attempt == TRIES || Instant::now() >= deadline {
                break;
            }
            let trouble = Some(left.join("; "));
            self.set(remover, RemovalState::Running { trouble });
            tokio::time::sleep(pause).await;
            pause *= 2;
        }
        self.set(remover, RemovalState::Ended { left });
    }

    /// The state is for the next pass.
    fn set(&self, remover: &Remover, state: RemovalState) {
        if let Some(removal) = self.0.lock().get_mut(&remover.key) {
            removal.state = state;
        }
        remover.queue.add(remover.key.clone());
    }
}

impl Remover {
    async fn remove(&self, record: &Record, in_use: &BTreeSet<String>) -> Result<(), String> {
        let at = |reason: &str| format!("spec.{}.{}: {reason}", record.kind, record.event);
        let task = record.task();
        let task = task.ok_or_else(|| at("its settings cannot be read any more"))?;
        let task = task_with_secrets(&self.secrets, &self.key.namespace, &task).await;
        let task = task.map_err(|error| error.to_string())?;
        let source = (&self.key, self.uid.as_str());
        let removed = self.plane.remove_registered(&task, source, in_use).await;
        removed.map_err(|reason| at(&reason))
    }
}
