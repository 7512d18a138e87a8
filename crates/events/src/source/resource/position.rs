//! What a watch remembers: over restarts the version that it has reached, and while it runs the objects.

use std::{collections::HashMap, sync::Arc};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// Bytes of objects that are kept for `oldBody`; further ones have none.
const MOST_BYTES: usize = 8 << 20;

/// The record on the bus.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Position {
    /// The resource, namespace and labels that it belongs to.
    pub(super) what: String,
    /// When the source began.
    pub(super) since: Timestamp,
    /// Changes up to this version are stored; `None` before the first list is through.
    pub(super) version: Option<String>,
    /// When that was.
    pub(super) at: Timestamp,
}

impl Position {
    /// Whether an object of this version changed after the position. Versions of one API server are numbers that
    /// grow; others count as changed.
    pub(super) fn is_before(&self, version: &str) -> bool {
        let known = self
            .version
            .as_deref()
            .and_then(|version| version.parse::<u64>().ok());
        match (known, version.parse::<u64>()) {
            (Some(known), Ok(version)) => version > known,
            _ => true,
        }
    }
}

/// Objects by uid, as they were last seen.
#[derive(Default)]
pub(super) struct Known {
    /// With their version.
    objects: HashMap<String, (String, Arc<str>)>,
    bytes: usize,
}

impl Known {
    /// Takes an object of this version in; returns what it was before. Versions that are older than the known one,
    /// which come after a restart, change nothing.
    pub(super) fn replace(
        &mut self,
        uid: &str,
        version: &str,
        json: &Arc<str>,
    ) -> Option<Arc<str>> {
        let known = self
            .objects
            .get(uid)
            .and_then(|(known, _)| known.parse::<u64>().ok());
        if let (Some(known), Ok(version)) = (known, version.parse::<u64>())
            && known >= version
        {
            return None;
        }
        let before = self.remove(uid);
        if self.bytes + json.len() <= MOST_BYTES {
            self.bytes += json.len();
            self.objects
                .insert(uid.to_owned(), (version.to_owned(), json.clone()));
        }
        before
    }

    /// Forgets an object; returns it.
    pub(super) fn remove(&mut self, uid: &str) -> Option<Arc<str>> {
        let (_, before) = self.objects.remove(uid)?;
        self.bytes -= before.len();
        Some(before)
    }

    /// True when the object was seen.
    pub(super) fn has(&self, uid: &str) -> bool {
        self.objects.contains_key(uid)
    }

    /// Uids of all objects.
    pub(super) fn uids(&self) -> impl Iterator<Item = &String> {
        self.objects.keys()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn objects_are_kept_up_to_a_bound() {
        let mut known = Known::default();
        let large: Arc<str> = "x".repeat(MOST_BYTES / 2).into();
        assert_eq!(known.replace("a", "5", &large), None);
        assert_eq!(known.replace("a", "4", &large), None);
        assert_eq!(known.replace("a", "6", &large), Some(large.clone()));
        known.replace("b", "1", &large);
        known.replace("c", "1", &large);
        assert!(known.has("b") && !known.has("c"));
        known.remove("a");
        known.replace("c", "1", &large);
        assert!(known.has("c"));
    }

    #[test]
    fn versions_are_compared_as_numbers() {
        let position = Position {
            what: String::new(),
            since: Timestamp::UNIX_EPOCH,
            version: Some("99".into()),
            at: Timestamp::UNIX_EPOCH,
        };
        assert!(position.is_before("100") && !position.is_before("99") && position.is_before("x"));
    }
}
