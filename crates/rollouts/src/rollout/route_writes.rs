//! Rollouts whose last pass wrote their routes. The status of such a pass may wait for the next one, which reads the routes
//! in a moment; that of a second such pass in a row does not, or a quarrel about a route would hold it up for ever.
//! Memory only: after a restart a status is at most written once more.

use std::{collections::HashSet, sync::Arc};

use parking_lot::Mutex;
use reconcile_core::object::ObjectKey;

/// The Rollouts whose last pass wrote their routes. Cloning shares them.
#[derive(Clone, Debug, Default)]
pub struct RouteWrites(Arc<Mutex<HashSet<ObjectKey>>>);

impl RouteWrites {
    /// A pass has written the routes of a Rollout.
    pub(crate) fn note(&self, key: ObjectKey) {
        self.0.lock().insert(key);
    }

    /// Whether the pass before this one has, which is forgotten by that. Also for a Rollout that is gone.
    pub(crate) fn take(&self, key: &ObjectKey) -> bool {
        self.0.lock().remove(key)
    }
}
