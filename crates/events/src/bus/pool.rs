//! The connections of this process: one per EventBus.

use std::{collections::HashMap, sync::Arc, time::Duration};

use parking_lot::Mutex;
use reconcile_core::object::ObjectKey;
use tokio::time::Instant;

use super::{Bus, BusConfig, BusError};

/// Connections by the key of their EventBus. Cloning shares the pool.
#[derive(Clone, Default)]
pub struct BusPool {
    buses: Arc<Mutex<HashMap<ObjectKey, Arc<Bus>>>>,
}

impl BusPool {
    /// The connection of an EventBus.
    pub fn get(&self, key: &ObjectKey) -> Option<Arc<Bus>> {
        self.buses.lock().get(key).cloned()
    }

    /// Connects, or keeps the connection that has these settings already. `changed` is called whenever
    /// the state of the connection changes.
    pub async fn ensure(
        &self,
        key: &ObjectKey,
        config: BusConfig,
        changed: impl Fn() + Send + Sync + 'static,
    ) -> Result<Arc<Bus>, BusError> {
        if let Some(bus) = self.get(key).filter(|bus| bus.config == config) {
            return Ok(bus);
        }
        let bus = Bus::start(&format!("events {key}"), config, changed).await?;
        if let Some(old) = self.buses.lock().insert(key.clone(), bus.clone()) {
            close_later(old);
        }
        Ok(bus)
    }

    /// Drops the connection of an EventBus.
    pub fn remove(&self, key: &ObjectKey) {
        if let Some(old) = self.buses.lock().remove(key) {
            close_later(old);
        }
    }

    /// All connections.
    pub fn all(&self) -> Vec<Arc<Bus>> {
        self.buses.lock().values().cloned().collect()
    }
}

/// Those who still use the old connection move over in their own passes, in less than this.
const GRACE: Duration = Duration::from_secs(30);
/// What they began is finished first and acknowledged on the old connection; no action takes longer.
const LONGEST: Duration = Duration::from_secs(900);
/// The connection's own task, and the one that waits.
const OWN: usize = 2;

fn close_later(bus: Arc<Bus>) {
    tokio::spawn(async move {
        let deadline = Instant::now() + LONGEST;
        loop {
            tokio::time::sleep(GRACE).await;
            if Arc::strong_count(&bus) <= OWN || Instant::now() >= deadline {
                break;
            }
        }
        bus.close().await;
    });
}
