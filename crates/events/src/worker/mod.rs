//! The data plane: the tasks that run EventSources and Sensors in this process.
//!
//! ```text
//!   controllers ──► DataPlane::ensure_source   on every replica; what pulls or keeps time only by the claim of the object
//!               ──► DataPlane::ensure_sensor   only by the claim of the object: that of the leader, or of its shard
//!                     EventSource: routes of the shared listeners, one task per schedule
//!                     Sensor:      one task per trigger, with durable consumers on the bus
//!   DataPlane ──► queue of the controller, whenever the health of a Sensor changes
//! ```
//!
//! A change of a manifest only touches the tasks that it concerns. Durable consumers stay, so no event is
//! lost while a trigger is exchanged; what was begun is finished first.

mod activity;
mod claimed;
mod health;
mod registered;
mod sensors;
mod source_task;
mod sources;
mod trigger;

use std::{collections::HashMap, sync::Arc};

use kube::Config;
use parking_lot::Mutex;
use reconcile_core::{
    apply::EventSink, clock::Clock, egress::EgressPolicy, object::ObjectKey, reconcile::Queue,
    shards::Authority,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    metrics::Metrics,
    source::{Listeners, SourceLimits, backlog::Backlog, files::WatchedFolders},
    trigger::Executor,
};

pub use activity::{LastError, LastEvent, TriggerActivity};
pub use sensors::{CONNECTING, SensorHealth};
pub use sources::SourceHealth;

/// Says whether there is such an EventSource.
pub type SourceLookup = Arc<dyn Fn(&ObjectKey) -> bool + Send + Sync>;

/// What the tasks need. Cloning shares everything.
#[derive(Clone)]
pub struct DataPlane(Arc<Inner>);

struct Inner {
    executors: claimed::Executors,
    listeners: Listeners,
    metrics: Metrics,
    clock: Clock,
    authority: Authority,
    events: EventSink,
    tasks: TaskTracker,
    stop: CancellationToken,
    source_queue: Queue,
    sensor_queue: Queue,
    has_source: SourceLookup,
    held: trigger::HeldBytes,
    source_limits: SourceLimits,
    sources: Mutex<HashMap<ObjectKey, sources::Running>>,
    sensors: Mutex<HashMap<ObjectKey, sensors::Running>>,
    kept: Mutex<HashMap<ObjectKey, sensors::Kept>>,
}

/// What a data plane is made of.
pub struct Parts {
    /// Carries out triggers.
    pub executor: Executor,
    /// Connects executors to the API server.
    pub config: Config,
    /// HTTP listeners.
    pub listeners: Listeners,
    /// Counters.
    pub metrics: Metrics,
    /// The clock.
    pub clock: Clock,
    /// For which objects this process acts.
    pub authority: Authority,
    /// Kubernetes Events.
    pub events: EventSink,
    /// Told when an endpoint that was refused should be tried again.
    pub source_queue: Queue,
    /// Told when the health of a Sensor changes.
    pub sensor_queue: Queue,
    /// Whether there is such an EventSource.
    pub has_source: SourceLookup,
    /// Which addresses sources may call.
    pub egress: EgressPolicy,
    /// Which folders of this machine sources may watch.
    pub folders: WatchedFolders,
}

impl DataPlane {
    /// A data plane that runs nothing yet.
    pub fn new(parts: Parts) -> Self {
        let Parts {
            executor,
            config,
            listeners,
            metrics,
            clock,
            authority,
            events,
            source_queue,
            sensor_queue,
            has_source,
            egress,
            folders,
        } = parts;
        let source_limits = SourceLimits {
            identities: executor.identities.clone(),
            egress,
            folders,
            backlog: Backlog::default(),
            signers: executor.signers.clone(),
        };
        Self(Arc::new(Inner {
            held: trigger::HeldBytes::new(metrics.held.clone()),
            executors: claimed::Executors::new(executor, config),
            listeners,
            metrics,
            clock,
            authority,
            events,
            tasks: TaskTracker::new(),
            stop: CancellationToken::new(),
            source_queue,
            sensor_queue,
            has_source,
            source_limits,
            sources: Mutex::default(),
            sensors: Mutex::default(),
            kept: Mutex::default(),
        }))
    }

    /// Stops everything: no new requests and messages, what was begun is finished, what was not goes back
    /// to the bus at once.
    pub async fn stop(&self) {
        self.0.stop.cancel();
        let sources: Vec<ObjectKey> = self.0.sources.lock().keys().cloned().collect();
        for key in sources {
            self.0.listeners.remove(&key);
        }
        self.0.tasks.close();
        self.0.tasks.wait().await;
        let buses: Vec<_> = {
            let sensors = self.0.sensors.lock();
            sensors
                .values()
                .map(|running| running.bus.clone())
                .collect()
        };
        for bus in buses {
            bus.flush().await;
        }
    }
}
