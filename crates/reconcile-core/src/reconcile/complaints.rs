//! What was logged about an object that no retry helps.

use std::{
    collections::HashMap,
    hash::{DefaultHasher, Hash, Hasher},
};

use parking_lot::Mutex;

use crate::object::ObjectKey;

/// The last reason per object, so that the log holds each once and not again with every pass. Holds a hash of the
/// text, and no more entries than there are objects.
#[derive(Debug, Default)]
pub(super) struct Complaints {
    reasons: Mutex<HashMap<ObjectKey, u64>>,
}

impl Complaints {
    /// Notes the reason; true when it is another one than before.
    pub(super) fn is_new(&self, key: &ObjectKey, reason: &str) -> bool {
        let mut hasher = DefaultHasher::new();
        reason.hash(&mut hasher);
        let hash = hasher.finish();
        self.reasons.lock().insert(key.clone(), hash) != Some(hash)
    }

    /// Forgets the reason: the object is valid now, or gone.
    pub(super) fn clear(&self, key: &ObjectKey) {
        self.reasons.lock().remove(key);
    }
}
