//! Which Applications have changed since the last publication.

use std::{
    collections::BTreeSet,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use parking_lot::Mutex;
use reconcile_core::object::ObjectKey;
use tokio::sync::Notify;

use super::Publisher;
use crate::clusters::instance_name;

/// Changes within this time are published once.
const COALESCED: Duration = Duration::from_millis(500);

#[derive(Default)]
struct State {
    /// Somebody publishes; without it nothing is noted.
    is_published: AtomicBool,
    apps: Mutex<BTreeSet<ObjectKey>>,
    noted: Notify,
}

/// Changes of Applications and their objects. Cloning shares them.
#[derive(Clone, Default)]
pub struct Changes(Arc<State>);

impl Changes {
    /// The Application or one of its objects has changed.
    pub fn note(&self, app: &ObjectKey) {
        if self.0.is_published.load(Ordering::Relaxed) {
            self.0.apps.lock().insert(app.clone());
            self.0.noted.notify_one();
        }
    }

    /// Publishes changes from now on; it never returns.
    pub async fn publish(&self, publisher: Publisher, control_plane: String) {
        self.0.is_published.store(true, Ordering::Relaxed);
        loop {
            self.0.noted.notified().await;
            tokio::time::sleep(COALESCED).await;
            for app in std::mem::take(&mut *self.0.apps.lock()) {
                publisher.changed(&instance_name(&app, &control_plane));
            }
        }
    }
}
