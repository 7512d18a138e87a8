//! Watches: what a watcher has not seen yet, as lines of JSON.

use serde_json::{Value, json};

use super::{
    call::Call,
    store::{Change, Store},
    verbs::{Answer, Filter, failure, shown},
};

/// What the server makes of a request for a streamed list.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Streaming {
    #[default]
    Served,
    Refused,
    Ignored,
}

/// A watch that is being served.
pub(super) struct Follower {
    call: Call,
    filter: Filter,
    /// Version up to which everything was sent.
    seen: u64,
    /// The current objects are sent first.
    initial: bool,
    /// A bookmark marks the end of the initial objects.
    marked: bool,
}

impl Follower {
    /// The answer to a watch request; an error when its version is too old or not known.
    pub(super) fn start(store: &Store, call: &Call, streaming: Streaming) -> Result<Self, Answer> {
        let filter = Filter::of(call)?;
        let wanted = call.parameter("sendInitialEvents") == "true";
        let marked = wanted && streaming == Streaming::Served;
        if wanted && streaming == Streaming::Refused {
            let message = "sendInitialEvents: Forbidden: sendInitialEvents is forbidden for watch unless the WatchList feature gate is enabled";
            return Err(failure(422, "Invalid", message));
        }
        let version = call.parameter("resourceVersion");
        let initial = marked || matches!(version, "" | "0");
        let seen = if initial {
            store.version
        } else {
            version
                .parse()
                .map_err(|_| failure(400, "BadRequest", "invalid resource version"))?
        };
        Ok(Self {
            call: call.clone(),
            filter,
            seen,
            initial,
            marked,
        })
    }

    /// The resource that is watched.
    pub(super) fn plural(&self) -> &str {
        &self.call.plural
    }

    /// Lines that are due now; `Err` ends the watch after its lines.
    pub(super) fn due(&mut self, store: &Store) -> Result<Vec<u8>, Vec<u8>> {
        let mut lines = Vec::new();
        if std::mem::take(&mut self.initial) {
            self.seen = store.version;
            for (id, stored) in &store.objects {
                if self.filter.takes(id, &stored.object) {
                    self.push(&mut lines, "ADDED", stored.object.clone());
                }
            }
            if self.marked {
                push_line(&mut lines, &self.bookmark(store));
            }
        }
        if self.seen < store.compacted {
            let (_, status) = failure(410, "Expired", "too old resource version");
            push_line(&mut lines, &json!({"type": "ERROR", "object": status}));
            return Err(lines);
        }
        for change in store.log.iter().filter(|change| change.version > self.seen) {
            if let Some((kind, object)) = self.seen_as(change) {
                self.push(&mut lines, kind, object);
            }
        }
        self.seen = store.version;
        Ok(lines)
    }

    /// A change as this watcher sees it: leaving the selection looks like a deletion.
    fn seen_as(&self, change: &Change) -> Option<(&'static str, Value)> {
        let takes = |object: &Option<Value>| {
            object
                .as_ref()
                .is_some_and(|object| self.filter.takes(&change.id, object))
        };
        match (takes(&change.before), takes(&change.after)) {
            (false, true) => Some(("ADDED", change.last.clone())),
            (true, true) => Some(("MODIFIED", change.last.clone())),
            (true, false) => Some(("DELETED", change.last.clone())),
            (false, false) => None,
        }
    }

    fn push(&self, lines: &mut Vec<u8>, kind: &str, object: Value) {
        push_line(
            lines,
            &json!({"type": kind, "object": shown(object, &self.call)}),
        );
    }

    fn bookmark(&self, store: &Store) -> Value {
        let kind = store.kind(&self.call);
        let (name, version) = match kind {
            Some(kind) if !self.call.metadata_only => (kind.kind.clone(), kind.api_version()),
            _ => (
                "PartialObjectMetadata".to_owned(),
                "meta.k8s.io/v1".to_owned(),
            ),
        };
        json!({"type": "BOOKMARK", "object": {
            "kind": name, "apiVersion": version,
            "metadata": {
                "resourceVersion": store.version.to_string(), "creationTimestamp": null,
                "annotations": {"k8s.io/initial-events-end": "true"},
            },
        }})
    }
}

/// Writes one event with its type first, as the API server does: readers decode the object as they come to it.
fn push_line(lines: &mut Vec<u8>, event: &Value) {
    let line = format!(
        "{{\"type\":{},\"object\":{}}}\n",
        event["type"], event["object"]
    );
    lines.extend_from_slice(line.as_bytes());
}
