//! The fake API server itself, and the hands of the test.

mod listen;
mod serve;

pub use listen::{FakeServer, Health};

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use kube::Client;
use parking_lot::Mutex;
use serde_json::Value;
use tokio::sync::watch;

use super::{
    fault::Fault,
    follow::Streaming,
    kinds::FakeKind,
    ownership::Owners,
    store::{Id, Store},
    verbs,
};
use crate::clock::Clock;

/// A request that reached the server.
#[derive(Clone, Debug, PartialEq)]
pub struct Logged {
    /// `get`, `list`, `watch`, `create`, `update`, `patch`, `delete` or `deletecollection`.
    pub verb: &'static str,
    /// The resource with its subresource, for example `rollouts/status`.
    pub resource: String,
    /// Namespace; empty for cluster-wide requests.
    pub namespace: String,
    /// Name of the object; empty for lists and creates.
    pub name: String,
    /// The query parameters.
    pub query: BTreeMap<String, String>,
    /// The body, `null` when there was none.
    pub body: Value,
    /// Status code of the answer; 0 when the connection was broken.
    pub code: u16,
}

impl Logged {
    /// `patch rollouts/status shop/web`: enough for most assertions.
    pub fn line(&self) -> String {
        let place = match (self.namespace.as_str(), self.name.as_str()) {
            ("", name) => name.to_owned(),
            (namespace, "") => namespace.to_owned(),
            (namespace, name) => format!("{namespace}/{name}"),
        };
        format!("{} {} {place}", self.verb, self.resource)
            .trim_end()
            .to_owned()
    }

    /// True for requests that change something.
    pub fn writes(&self) -> bool {
        !matches!(self.verb, "get" | "list" | "watch")
            && self.query.get("dryRun").map(String::as_str) != Some("All")
    }
}

#[derive(Default)]
struct Inner {
    store: Store,
    faults: Vec<Fault>,
    log: Vec<Logged>,
    streaming: Streaming,
    /// Resources whose watches send nothing.
    held: BTreeSet<String>,
}

/// An API server in memory. Clones share their state.
///
/// ```
/// # use reconcile_core::testkit::FakeApi;
/// # use serde_json::json;
/// let api = FakeApi::new();
/// api.put(&json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a", "namespace": "b"}}));
/// assert_eq!(api.get("configmaps", "b", "a").expect("it is there")["metadata"]["generation"], 1);
/// ```
#[derive(Clone)]
pub struct FakeApi {
    inner: Arc<Mutex<Inner>>,
    /// Bumped on each change, and by [`FakeApi::drop_watches`]; the second number is the epoch.
    pulse: Arc<watch::Sender<(u64, u64)>>,
}

impl Default for FakeApi {
    fn default() -> Self {
        Self::new()
    }
}

impl FakeApi {
    /// A server with the built-in kinds and the machine's clock.
    pub fn new() -> Self {
        Self::with_clock(Clock::system())
    }

    /// A server that takes its times from `clock`.
    pub fn with_clock(clock: Clock) -> Self {
        let store = Store::new(FakeKind::builtin(), clock);
        let inner = Inner {
            store,
            ..Inner::default()
        };
        Self {
            inner: Arc::new(Mutex::new(inner)),
            pulse: Arc::new(watch::channel((0, 0)).0),
        }
    }

    /// Serves another kind, or replaces one.
    #[must_use]
    pub fn with_kind(self, kind: FakeKind) -> Self {
        {
            let kinds = &mut self.inner.lock().store.kinds;
            kinds.retain(|known| (&known.group, &known.plural) != (&kind.group, &kind.plural));
            kinds.push(kind);
        }
        self
    }

    /// Stops serving a kind, as if its definition was deleted.
    pub fn forget_kind(&self, plural: &str) {
        let store = &mut self.inner.lock().store;
        store.kinds.retain(|kind| kind.plural != plural);
        store.objects.retain(|id, _| id.plural != plural);
    }

    /// Refuses streamed lists, as servers before 1.34 may.
    #[must_use]
    pub fn without_streaming(self) -> Self {
        self.inner.lock().streaming = Streaming::Refused;
        self
    }

    /// Does not know of streamed lists: the objects are sent, and no mark of their end, as by servers before 1.27.
    #[must_use]
    pub fn ignoring_streaming(self) -> Self {
        self.inner.lock().streaming = Streaming::Ignored;
        self
    }

    /// A client of this server.
    pub fn client(&self) -> Client {
        let api = self.clone();
        let service = tower::service_fn(move |request| {
            let api = api.clone();
            async move { api.serve(request).await }
        });
        Client::new(service, "default")
    }

    /// Puts an object in as it is, status included, replacing any other. Returns it as stored.
    ///
    /// # Panics
    /// When the object has no name or its kind is not served: the test is wrong then.
    pub fn put(&self, object: &Value) -> Value {
        let stored = {
            let inner = &mut *self.inner.lock();
            let store = &mut inner.store;
            let kind = kind_of(store, object).expect("the kind of the object is served");
            let meta = &object["metadata"];
            let text = |name: &str| meta[name].as_str().unwrap_or_default().to_owned();
            let id = Id {
                group: kind.group.clone(),
                plural: kind.plural.clone(),
                namespace: text("namespace"),
                name: text("name"),
            };
            assert!(!id.name.is_empty(), "an object needs a name");
            let mut new = verbs::born(store, &id, object.clone(), &kind);
            for name in ["uid", "creationTimestamp", "generation"] {
                if let Some(value) = meta.get(name) {
                    new["metadata"][name] = value.clone();
                }
            }
            if let Some(old) = store.objects.get(&id) {
                new["metadata"]["uid"] = old.object["metadata"]["uid"].clone();
            }
            if let Some(status) = object.get("status") {
                new["status"] = status.clone();
            }
            let mut owners = Owners::default();
            owners.updated("test", &Value::Null, &new);
            store.commit(&id, new, owners)
        };
        self.beat();
        stored
    }

    /// Puts in all objects of a YAML stream, see [`FakeApi::put`].
    ///
    /// # Panics
    /// When the text is not YAML, or an object cannot be put in.
    pub fn put_yaml(&self, text: &str) -> Vec<Value> {
        let objects = crate::yaml::values(text).expect("the manifests are YAML");
        objects.iter().map(|object| self.put(object)).collect()
    }

    /// Changes an object in place as somebody else would; the version moves, the generation too
    /// when anything but metadata and status changed.
    ///
    /// # Panics
    /// When there is no such object.
    pub fn edit(&self, plural: &str, namespace: &str, name: &str, change: impl FnOnce(&mut Value)) {
        {
            let store = &mut self.inner.lock().store;
            let id = find(store, plural, namespace, name).expect("the object to edit exists");
            let stored = store.objects[&id].clone();
            let mut object = stored.object.clone();
            change(&mut object);
            let mut before = stored.object.clone();
            let mut after = object.clone();
            for side in [&mut before, &mut after] {
                if let Some(map) = side.as_object_mut() {
                    map.remove("metadata");
                    map.remove("status");
                }
            }
            if before != after {
                let generation = object["metadata"]["generation"].as_i64().unwrap_or(1) + 1;
                object["metadata"]["generation"] = generation.into();
            }
            let mut owners = stored.owners;
            owners.updated("somebody", &stored.object, &object);
            store.commit(&id, object, owners);
            store.collect_garbage();
        }
        self.beat();
    }

    /// An object; `None` when there is none. `namespace` is empty for cluster-scoped kinds.
    pub fn get(&self, plural: &str, namespace: &str, name: &str) -> Option<Value> {
        let store = &self.inner.lock().store;
        let id = find(store, plural, namespace, name)?;
        store.objects.get(&id).map(|stored| stored.object.clone())
    }

    /// All objects of a resource, sorted by namespace and name.
    pub fn list(&self, plural: &str) -> Vec<Value> {
        let store = &self.inner.lock().store;
        let mine = store.objects.iter().filter(|(id, _)| id.plural == plural);
        mine.map(|(_, stored)| stored.object.clone()).collect()
    }

    /// The objects of a resource that carry a label.
    pub fn labelled(&self, plural: &str, key: &str, value: &str) -> Vec<Value> {
        let mut found = self.list(plural);
        found.retain(|object| {
            verbs::labels_of(object)
                .get(key)
                .is_some_and(|found| found == value)
        });
        found
    }

    /// Deletes an object as a user would: finalizers hold it, dependents go with it.
    pub fn delete(&self, plural: &str, namespace: &str, name: &str) {
        {
            let store = &mut self.inner.lock().store;
            if let Some(id) = find(store, plural, namespace, name) {
                store.delete(&id, None);
                store.collect_garbage();
            }
        }
        self.beat();
    }

    /// Orders a fault.
    pub fn fail(&self, fault: Fault) {
        self.inner.lock().faults.push(fault);
    }

    /// Every request so far.
    pub fn requests(&self) -> Vec<Logged> {
        self.inner.lock().log.clone()
    }

    /// The lines of the requests that changed something; see [`Logged::line`].
    pub fn writes(&self) -> Vec<String> {
        self.requests()
            .iter()
            .filter(|request| request.writes())
            .map(Logged::line)
            .collect()
    }

    /// Forgets the requests so far.
    pub fn clear_requests(&self) {
        self.inner.lock().log.clear();
    }

    /// Holds back the events of a resource, as a slow watch does, for the rest of the test.
    pub fn hold_watches(&self, plural: &str) {
        self.inner.lock().held.insert(plural.to_owned());
    }

    /// Ends all watches, as a restart of the server does.
    pub fn drop_watches(&self) {
        self.pulse.send_modify(|(_, epoch)| *epoch += 1);
    }

    /// Forgets history: watches that have not seen everything get 410 and must list again.
    pub fn compact(&self) {
        {
            let store = &mut self.inner.lock().store;
            store.log.clear();
            // One more than the current version, so that watchers that are up to date are hit too.
            store.version += 1;
            store.compacted = store.version;
        }
        self.beat();
    }

    fn beat(&self) {
        self.pulse.send_modify(|(beats, _)| *beats += 1);
    }
}

fn kind_of(store: &Store, object: &Value) -> Option<FakeKind> {
    let (version, kind) = (object["apiVersion"].as_str()?, object["kind"].as_str()?);
    store
        .kinds
        .iter()
        .find(|known| known.kind == kind && known.api_version() == version)
        .cloned()
}

fn find(store: &Store, plural: &str, namespace: &str, name: &str) -> Option<Id> {
    let is = |id: &&Id| id.plural == plural && id.namespace == namespace && id.name == name;
    store.objects.keys().find(is).cloned()
}
