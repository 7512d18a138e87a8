//! Writing of a report, and what its answers say.

use std::{
    borrow::Cow,
    collections::BTreeMap,
    fmt,
    hash::{DefaultHasher, Hasher},
    sync::Arc,
};

use kube::{
    Resource,
    api::{ObjectMeta, Patch, PatchParams, Request},
};
use serde_json::{
    Value, json,
    value::{RawValue, to_raw_value},
};

use super::{Driver, failure::Failure, rights::Rights};
use crate::{
    error::ErrorClass,
    event::EventNote,
    object::{Kind, LAST_APPLIED, ObjectKey, Root},
    reconcile::{Controller, Report, RootPatch, Target},
};

/// What became of the patches of a report.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Written {
    /// The object has them all.
    All,
    /// The object is gone.
    Gone,
}

impl<C: Controller> Driver<C> {
    /// Writes the report and emits its Events.
    pub(super) async fn write(
        &self,
        root: &Root<C::Kind>,
        rights: &Rights,
        report: &Report,
    ) -> Result<(), Failure> {
        if self.write_patches(root, rights, report).await? == Written::All {
            self.emit(root, report.events.iter().cloned());
        }
        Ok(())
    }

    /// Writes the patches of the report.
    pub(super) async fn write_patches(
        &self,
        root: &Root<C::Kind>,
        rights: &Rights,
        report: &Report,
    ) -> Result<Written, Failure> {
        let mut before = Cow::Borrowed(root);
        // What a guarded patch is guarded by: the version that was observed, or that of an own write on top of it.
        let mut guard = root.metadata.resource_version.clone();
        for patch in &report.patches {
            match self.patch(root, rights, patch, guard.as_deref()).await {
                Ok(written) => {
                    let version = &written.metadata.resource_version;
                    // An unchanged version means that the server made nothing of the patch, as when the
                    // schema drops a field: no reason to try again.
                    if *version == before.metadata.resource_version
                        || is_as_patched(&before, &written, &patch.body)
                    {
                        guard.clone_from(version);
                    } else {
                        // Somebody else wrote meanwhile. The event of that write is older than this
                        // answer and will be dropped, so the pass it calls for is asked for here.
                        self.queue.add(root.key());
                    }
                    before = Cow::Owned(written.clone());
                    drop(self.remember(written));
                }
                Err(kube::Error::Api(status)) if status.code == 404 => {
                    self.not_found(root, rights, patch.target).await?;
                    return Ok(Written::Gone);
                }
                Err(error) => {
                    return Err(Failure::of(&error).during(&"writing the status"));
                }
            }
        }
        Ok(Written::All)
    }

    /// Queues Events about the root object.
    pub(super) fn emit(&self, root: &Root<C::Kind>, events: impl IntoIterator<Item = EventNote>) {
        for event in events {
            self.events.emit(C::NAME, root.object_reference(), event);
        }
    }

    /// A patch found no object: either the object is gone, or its kind does not have the endpoint.
    async fn not_found(
        &self,
        root: &Root<C::Kind>,
        rights: &Rights,
        target: Target,
    ) -> Result<(), Failure> {
        if target == Target::Main {
            return Ok(());
        }
        match self.read_again(&root.key(), rights).await {
            Ok(Some(found)) if found.metadata.uid == root.metadata.uid => {}
            Ok(_) => return Ok(()),
            Err(error) => return Err(Failure::of(&error).during(&"reading the object")),
        }
        let (plural, group) = (C::Kind::PLURAL, C::Kind::GROUP);
        let text = format!(
            "cannot write the status: the CustomResourceDefinition {plural}.{group} of this cluster has no status \
             subresource; install the one that belongs to this version"
        );
        self.emit(root, [EventNote::warning("StatusNotWritten", &*text)]);
        Err(Failure {
            class: ErrorClass::Bug,
            text,
        })
    }

    async fn patch(
        &self,
        root: &Root<C::Kind>,
        rights: &Rights,
        patch: &RootPatch,
        guard: Option<&str>,
    ) -> Result<Root<C::Kind>, kube::Error> {
        let mut body = Cow::Borrowed(&patch.body);
        if let (true, Some(version)) = (patch.guarded, guard) {
            body.to_mut()["metadata"]["resourceVersion"] = version.into();
        }
        let key = root.key();
        let (params, merge) = (PatchParams::default(), Patch::Merge(&*body));
        let request = Request::new(Self::url(&key));
        let request = match patch.target {
            Target::Main => request.patch(&key.name, &params, &merge),
            Target::Status => request.patch_subresource("status", &key.name, &params, &merge),
        };
        rights
            .client
            .request(request.map_err(kube::Error::BuildRequest)?)
            .await
    }

    /// Takes an answer of the API server into the index.
    pub(super) fn remember(&self, mut root: Root<C::Kind>) -> Arc<Root<C::Kind>> {
        // As the watch keeps it; the watch event of this write does not replace an equal version.
        root.slim();
        let meta = root.metadata.clone();
        let key = ObjectKey::of_meta(&meta);
        // No reason for another pass of this controller by itself; `write` looks for changes by others.
        drop(self.roots.reported(C::NAME, &meta, root.clone()));
        self.roots.get(&key).unwrap_or_else(|| Arc::new(root))
    }

    pub(super) fn url(key: &ObjectKey) -> String {
        let namespace = (!key.namespace.is_empty()).then_some(key.namespace.as_str());
        Root::<C::Kind>::url_path(&(), namespace)
    }
}

/// Whether `written` is what a patch made of `before`, in the parts whose change calls for a pass.
fn is_as_patched<K: Kind>(before: &Root<K>, written: &Root<K>, body: &Value) -> bool {
    is_plainly_as_patched(before, written, body)
        || Watched::of(written).digest() == Watched::of(before).patched::<K>(body).digest()
}

/// As [`is_as_patched`] for a patch of the status only, by comparing the texts of the other parts instead of reading them.
/// The texts of a server that writes JSON in another way differ; then it is false.
fn is_plainly_as_patched<K: Kind>(before: &Root<K>, written: &Root<K>, body: &Value) -> bool {
    let Some(patch) = body.get("status") else {
        return false;
    };
    if body.as_object().is_none_or(|parts| parts.len() > 1)
        || !is_same_metadata(&before.metadata, &written.metadata)
        || text(before.spec.as_deref()) != text(written.spec.as_deref())
        || text(before.request.as_deref()) != text(written.request.as_deref())
    {
        return false;
    }
    let merged = merged_text(text(before.status.as_deref()).unwrap_or("{}"), patch);
    merged.is_some() && merged.as_deref() == text(written.status.as_deref())
}

/// The text of an object after a merge patch, whose members that are no objects replace what is there unread.
fn merged_text(object: &str, patch: &Value) -> Option<String> {
    let parsed: BTreeMap<Cow<'_, str>, &RawValue> = serde_json::from_str(object).ok()?;
    let members = parsed
        .into_iter()
        .map(|(key, raw)| (key, Cow::Borrowed(raw)));
    let mut members: BTreeMap<_, _> = members.collect();
    for (key, change) in patch.as_object()? {
        let old = members.remove(key.as_str());
        let new = match change {
            Value::Null => continue,
            Value::Object(_) => {
                let old = old.and_then(|old| serde_json::from_str(old.get()).ok());
                let mut value: Value = old.unwrap_or_default();
                json_patch::merge(&mut value, change);
                to_raw_value(&value)
            }
            other => to_raw_value(other),
        };
        members.insert(Cow::Borrowed(key), Cow::Owned(new.ok()?));
    }
    serde_json::to_string(&members).ok()
}

fn is_same_metadata(before: &ObjectMeta, written: &ObjectMeta) -> bool {
    let (labels, finalizers) = (
        before.labels.iter().flatten(),
        before.finalizers.iter().flatten(),
    );
    labels.eq(written.labels.iter().flatten())
        && finalizers.eq(written.finalizers.iter().flatten())
        && annotations(before).eq(annotations(written))
        && before.deletion_timestamp == written.deletion_timestamp
}

/// Without that which `kubectl` keeps for itself.
fn annotations(meta: &ObjectMeta) -> impl Iterator<Item = (&String, &String)> {
    let all = meta.annotations.iter().flatten();
    all.filter(|(key, _)| *key != LAST_APPLIED)
}

fn text(part: Option<&RawValue>) -> Option<&str> {
    part.map(RawValue::get)
}

/// The parts of a root object whose change calls for a pass. They are compared by digest, so that of the
/// states of a large object only one is a tree at a time.
struct Watched(Value);

impl Watched {
    fn of<K: Kind>(root: &Root<K>) -> Self {
        let meta = &root.metadata;
        let mut watched = json!({
            "metadata": {
                "annotations": annotations(meta).collect::<BTreeMap<_, _>>(),
                "labels": meta.labels.iter().flatten().collect::<BTreeMap<_, _>>(),
                "finalizers": meta.finalizers.iter().flatten().collect::<Vec<_>>(),
                "deletionTimestamp": meta.deletion_timestamp,
            },
            "spec": root.spec_value(),
            "status": root.status_value(),
        });
        if let Some(name) = K::REQUEST {
            watched[name] = root.request_value();
        }
        Self(watched)
    }

    fn patched<K: Kind>(mut self, body: &Value) -> Self {
        json_patch::merge(&mut self.0, body);
        if let Some(Value::Object(metadata)) = self.0.get_mut("metadata") {
            metadata.remove("resourceVersion");
        }
        for part in ["spec", "status"].into_iter().chain(K::REQUEST) {
            // A removed part reads as null.
            if self.0.get(part).is_none() {
                self.0[part] = Value::Null;
            }
        }
        self
    }

    fn digest(self) -> u64 {
        let mut digest = Digest(DefaultHasher::new());
        // A hasher takes everything.
        let _ = fmt::write(&mut digest, format_args!("{}", self.0));
        digest.0.finish()
    }
}

/// Hashes a text while it is written.
struct Digest(DefaultHasher);

impl fmt::Write for Digest {
    fn write_str(&mut self, part: &str) -> fmt::Result {
        self.0.write(part.as_bytes());
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Lamp;

    impl Kind for Lamp {
        const GROUP: &'static str = "test.example";
        const VERSION: &'static str = "v1";
        const KIND: &'static str = "Lamp";
        const PLURAL: &'static str = "lamps";
        type Scope = kube::core::NamespaceResourceScope;
        type Spec = Value;
        type Status = Value;
    }

    fn lamp(object: &Value) -> Root<Lamp> {
        Root::from_value(object).expect("an object")
    }

    #[test]
    fn the_answer_to_a_patch_of_the_status_is_compared_by_text() {
        let object = json!({
            "metadata": {"name": "lamp", "labels": {"a": "b"}, "annotations": {"x": "y"}},
            "spec": {"on": true}, "status": {"lit": false, "watts": 5},
        });
        let before = lamp(&object);
        let body = json!({"status": {"lit": true}});
        let mut written = object.clone();
        written["status"]["lit"] = true.into();
        written["metadata"]["annotations"][LAST_APPLIED] = "{}".into();
        written["metadata"]["resourceVersion"] = "8".into();
        assert!(is_plainly_as_patched(&before, &lamp(&written), &body));
        assert!(is_as_patched(&before, &lamp(&written), &body));
        for (place, value) in [
            ("/status/watts", json!(6)),
            ("/spec/on", json!(false)),
            ("/metadata/labels/a", json!("c")),
            ("/metadata/annotations/x", json!("z")),
        ] {
            let mut other = written.clone();
            *other.pointer_mut(place).expect("a member") = value;
            let other = lamp(&other);
            assert!(!is_plainly_as_patched(&before, &other, &body), "{place}");
            assert!(!is_as_patched(&before, &other, &body), "{place}");
        }
        let nested = json!({"a": {"b": 1, "c": [1]}, "d": [{"e": 1}], "f": "g"});
        let patch =
            json!({"a": {"b": null, "c": [2]}, "d": [], "f": null, "h": {"i": {"j": null}}});
        let mut expected = nested.clone();
        json_patch::merge(&mut expected, &patch);
        let merged = merged_text(&nested.to_string(), &patch);
        assert_eq!(merged.as_deref(), Some(&*expected.to_string()));
        // What it does not judge is judged as before.
        let guarded = json!({"metadata": {"resourceVersion": "7"}, "status": {"lit": true}});
        assert!(!is_plainly_as_patched(&before, &lamp(&written), &guarded));
        assert!(is_as_patched(&before, &lamp(&written), &guarded));
    }

    #[test]
    fn digests_do_not_depend_on_the_order_of_members() {
        let state = |text: &str| {
            let value = serde_json::from_str(text).expect("JSON");
            Watched(value)
        };
        let wanted = state(r#"{"metadata": {}, "spec": {"a": 1, "b": [2]}}"#);
        let patch = json!({"metadata": {"resourceVersion": "7"}, "spec": {"a": 1}});
        let patched = state(r#"{"spec": {"b": [2]}, "metadata": {}}"#).patched::<Lamp>(&patch);
        assert_eq!(
            wanted.patched::<Lamp>(&json!({})).digest(),
            patched.digest()
        );
        assert_ne!(state("{}").digest(), state(r#"{"spec": null}"#).digest());
    }
}
