//! Indexes over simulated objects.

use std::collections::BTreeMap;

use reconcile_core::{object::ObjectKey, watch::Index};

use crate::analysis::index_meta;

/// Brings an index up to date with the objects that a controller sees.
pub(super) fn follow<T: Clone + PartialEq>(
    index: &Index<T>,
    namespace: &str,
    objects: &BTreeMap<String, T>,
    hidden: &[String],
    uid: impl Fn(&str, &T) -> String,
) {
    let is_seen = |name: &String| objects.contains_key(name) && !hidden.contains(name);
    let mut gone = Vec::new();
    index.each(|key, _| {
        if !is_seen(&key.name) {
            gone.push(key.clone());
        }
    });
    for key in gone {
        index.dropped(&key);
    }
    for (name, object) in objects.iter().filter(|(name, _)| is_seen(name)) {
        let key = ObjectKey::new(namespace, name);
        if index.get(&key).is_none_or(|known| *known != *object) {
            drop(index.written(&index_meta(&key, &uid(name, object)), object.clone()));
        }
    }
}
