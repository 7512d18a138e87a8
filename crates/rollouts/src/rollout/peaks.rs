//! The most pods that an update had ready so far. Pods that come and go are no progress, or the deadline
//! of an update with crashing pods would never pass. Memory only: after a restart the clock starts once more.

use std::{collections::HashMap, sync::Arc};

use parking_lot::Mutex;
use reconcile_core::object::ObjectKey;

use crate::api::rollout::RolloutStatus;

/// The most ready and available pods of an update.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Peak {
    /// Ready pods.
    pub ready: i32,
    /// Available pods.
    pub available: i32,
}

/// What identifies an update and the place that it has reached.
#[derive(Debug, PartialEq, Eq)]
struct Stage {
    pod_hash: String,
    step: Option<i32>,
    stable_hash: String,
    generation: String,
    aborted: bool,
}

/// The peaks of all updates that are under way. Cloning shares them.
#[derive(Clone, Debug, Default)]
pub struct Peaks(Arc<Mutex<HashMap<ObjectKey, (Stage, Peak)>>>);

impl Peaks {
    /// The peak of the update with what `status` says.
    pub(crate) fn raise(&self, key: &ObjectKey, status: &RolloutStatus) -> Peak {
        let mut all = self.0.lock();
        if status.stable_rs == status.current_pod_hash {
            all.remove(key);
            return Peak::default();
        }
        let stage = Stage {
            pod_hash: status.current_pod_hash.clone(),
            step: status.current_step_index,
            stable_hash: status.stable_rs.clone(),
            generation: status.observed_generation.clone(),
            aborted: status.abort,
        };
        let known = all.get(key).filter(|(known, _)| *known == stage);
        let old = known.map_or_else(Peak::default, |(_, peak)| *peak);
        let peak = Peak {
            ready: old.ready.max(status.ready_replicas),
            available: old.available.max(status.available_replicas),
        };
        all.insert(key.clone(), (stage, peak));
        peak
    }

    /// Forgets a Rollout that is gone.
    pub(crate) fn forget(&self, key: &ObjectKey) {
        self.0.lock().remove(key);
    }
}
