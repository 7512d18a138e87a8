//! The `EndpointSlices` of this replica, as far as it knows them.

use std::{collections::HashMap, sync::Arc};

use parking_lot::Mutex;
use reconcile_core::object::ObjectKey;
use serde_json::Value;

/// `EndpointSlices` by EventSource. Clones share them.
#[derive(Clone, Default)]
pub struct Slices(Arc<Mutex<HashMap<ObjectKey, Known>>>);

/// A slice that is, or may be, on the API server.
#[derive(Clone, Debug, PartialEq)]
enum Known {
    /// As it was applied last.
    Applied(Value),
    /// An earlier process, or a request without an answer, may have left any.
    Unknown,
}

impl Slices {
    /// There may be any slice of this EventSource.
    pub fn doubt(&self, source: &ObjectKey) {
        self.0.lock().insert(source.clone(), Known::Unknown);
    }

    /// Others may have removed what was applied.
    pub fn doubt_all(&self) {
        for known in self.0.lock().values_mut() {
            *known = Known::Unknown;
        }
    }

    /// Whether there may be a slice.
    pub fn may_exist(&self, source: &ObjectKey) -> bool {
        self.0.lock().contains_key(source)
    }

    /// Whether the slice is known to be as it should be; `None` means that there should be none.
    pub fn is(&self, source: &ObjectKey, wanted: Option<&Value>) -> bool {
        match (self.0.lock().get(source), wanted) {
            (None, None) => true,
            (Some(Known::Applied(slice)), Some(wanted)) => slice == wanted,
            _ => false,
        }
    }

    /// The slice is like this, or there is none.
    pub fn set(&self, source: &ObjectKey, slice: Option<Value>) {
        let mut all = self.0.lock();
        match slice {
            Some(slice) => drop(all.insert(source.clone(), Known::Applied(slice))),
            None => drop(all.remove(source)),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_may_exist_is_neither_right_nor_absent() {
        let (slices, source) = (Slices::default(), ObjectKey::new("ns", "src"));
        let slice = json!({"ports": []});
        assert!(slices.is(&source, None) && !slices.is(&source, Some(&slice)));
        slices.set(&source, Some(slice.clone()));
        assert!(slices.is(&source, Some(&slice)) && !slices.is(&source, None));
        slices.doubt_all();
        assert!(slices.may_exist(&source));
        assert!(!slices.is(&source, Some(&slice)) && !slices.is(&source, None));
        slices.set(&source, None);
        assert!(!slices.may_exist(&source) && slices.is(&source, None));
    }
}
