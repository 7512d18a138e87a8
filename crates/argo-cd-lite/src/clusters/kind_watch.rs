//! The live objects of one kind: one watch of the whole cluster, or one of each namespace that is managed.

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use kube::{
    Api, Client,
    api::{DynamicObject, ObjectMeta},
};
use parking_lot::RwLock;
use reconcile_core::{
    admin::Readiness,
    object::ObjectKey,
    watch::{Change, Guarded, Index, Watch},
};
use tokio::task::AbortHandle;

use super::{GroupKind, Live, ManagedScope, Served};
use crate::health::Checks;

/// Objects that targets name, and the applications of those targets. Several applications may name one object, for
/// example a CustomResourceDefinition.
#[derive(Default)]
pub(super) struct FollowedObjects(RwLock<HashMap<ObjectKey, Vec<ObjectKey>>>);

impl FollowedObjects {
    fn has(&self, object: &ObjectKey) -> bool {
        self.0.read().contains_key(object)
    }

    /// The applications whose targets name the object.
    pub(super) fn by(&self, object: &ObjectKey) -> Vec<ObjectKey> {
        self.0.read().get(object).cloned().unwrap_or_default()
    }

    /// A target of `app` names the object.
    pub(super) fn add(&self, object: &ObjectKey, app: &ObjectKey) {
        let mut followers = self.0.write();
        match followers.get_mut(object) {
            None => drop(followers.insert(object.clone(), vec![app.clone()])),
            Some(apps) if apps.contains(app) => {}
            Some(apps) => apps.push(app.clone()),
        }
    }

    /// `app` no longer names the object. True when no application does.
    pub(super) fn remove(&self, object: &ObjectKey, app: &ObjectKey) -> bool {
        let mut followers = self.0.write();
        let Some(apps) = followers.get_mut(object) else {
            return true;
        };
        apps.retain(|known| known != app);
        let none = apps.is_empty();
        if none {
            followers.remove(object);
        }
        none
    }
}

/// What a watch of a kind is made of.
pub(super) struct KindWatchConfig<'a> {
    pub(super) client: &'a Client,
    pub(super) served: Arc<Served>,
    pub(super) checks: Checks,
    pub(super) followers: Arc<FollowedObjects>,
    pub(super) scope: &'a ManagedScope,
}

/// The live objects of one kind.
pub(super) struct KindWatch {
    pub(super) served: Arc<Served>,
    pub(super) checks: Checks,
    pub(super) followers: Arc<FollowedObjects>,
    parts: Vec<Part>,
    events: Arc<AtomicU64>,
}

/// One watch.
struct Part {
    /// Its namespace; all when absent.
    namespace: Option<String>,
    index: Index<Live>,
    readiness: Readiness,
    task: AbortHandle,
}

impl Drop for Part {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl KindWatch {
    /// Begins to watch; `changed` is called for every change.
    pub(super) fn start<F>(config: KindWatchConfig<'_>, changed: F) -> Self
    where
        F: Fn(&FollowedObjects, &Change<Live>) + Clone + Send + Sync + 'static,
    {
        let KindWatchConfig {
            client,
            served,
            checks,
            followers,
            scope,
        } = config;
        let mut watch = Self {
            served,
            checks,
            followers,
            parts: Vec::new(),
            events: Arc::default(),
        };
        let parts = places(&watch.served, scope).into_iter();
        watch.parts = parts
            .map(|namespace| watch.part(client, namespace, changed.clone()))
            .collect();
        watch
    }

    /// Changes that were reported so far.
    pub(super) fn events(&self) -> u64 {
        self.events.load(Ordering::Relaxed)
    }

    fn part<F>(&self, client: &Client, namespace: Option<String>, changed: F) -> Part
    where
        F: Fn(&FollowedObjects, &Change<Live>) + Send + Sync + 'static,
    {
        let index = Index::new(|live: &Live| {
            live.tracking
                .as_ref()
                .map(|tracking| tracking.instance.clone())
                .into_iter()
                .collect()
        });
        let readiness = Readiness::default();
        let ready = readiness.register("first list");
        let resource = &self.served.resource;
        let api: Api<Guarded<DynamicObject>> = match &namespace {
            Some(namespace) => Api::namespaced_with(client.clone(), namespace, resource),
            None => Api::all_with(client.clone(), resource),
        };
        let convert = {
            let (followers, checks) = (self.followers.clone(), self.checks.clone());
            let served = self.served.clone();
            move |object: DynamicObject| {
                let live = Live::of(&checks, &served.resource, &object);
                let kept =
                    live.tracking.is_some() || followers.has(&ObjectKey::of_meta(&object.metadata));
                kept.then_some(live)
            }
        };
        let (followers, events) = (self.followers.clone(), self.events.clone());
        let watch = Watch::named(resource.plural.clone(), api, index.clone(), convert)
            .on_change(move |change| {
                events.fetch_add(1, Ordering::Relaxed);
                changed(&followers, &change);
            })
            .ready(ready);
        Part {
            namespace,
            index,
            readiness,
            task: tokio::spawn(watch.run()).abort_handle(),
        }
    }

    /// The part that holds an object; none when its namespace is not managed.
    fn part_of(&self, key: &ObjectKey) -> Option<&Part> {
        let holds = |part: &&Part| {
            let namespace = part.namespace.as_ref();
            namespace.is_none_or(|namespace| *namespace == key.namespace)
        };
        self.parts.iter().find(holds)
    }

    /// Waits for the first lists.
    pub(super) async fn listed(&self) {
        for part in &self.parts {
            part.readiness.wait().await;
        }
    }

    /// True when the place of an object has been listed.
    pub(super) fn has_listed(&self, key: &ObjectKey) -> bool {
        let part = self.part_of(key);
        part.is_some_and(|part| part.readiness.missing().is_empty())
    }

    /// Number of objects that are kept.
    pub(super) fn count(&self) -> usize {
        self.parts.iter().map(|part| part.index.len()).sum()
    }

    /// One object.
    pub(super) fn get(&self, key: &ObjectKey) -> Option<Arc<Live>> {
        self.part_of(key)?.index.get(key)
    }

    /// The objects that are tracked under `instance`.
    pub(super) fn of_instance(&self, instance: &str) -> Vec<(ObjectKey, Arc<Live>)> {
        let parts = self.parts.iter();
        parts.flat_map(|part| part.index.tagged(instance)).collect()
    }

    /// Takes an object that was read or written.
    pub(super) fn keep(&self, object: &DynamicObject) -> Arc<Live> {
        let live = Live::of(&self.checks, &self.served.resource, object);
        let key = ObjectKey::of_meta(&object.metadata);
        let Some(part) = self.part_of(&key) else {
            return Arc::new(live);
        };
        // An own write is no news to the application that made it.
        drop(part.index.written(&object.metadata, live.clone()));
        part.index.get(&key).unwrap_or_else(|| Arc::new(live))
    }

    /// Drops an object that nobody tracks or follows.
    pub(super) fn drop_untracked(&self, key: &ObjectKey) {
        if let Some(part) = self.part_of(key)
            && part
                .index
                .get(key)
                .is_some_and(|live| live.tracking.is_none())
        {
            drop(part.index.dropped(key));
        }
    }

    /// The deletion of an object was accepted and a finalizer holds it back.
    pub(super) fn going(&self, key: &ObjectKey, uid: &str) -> Option<Arc<Live>> {
        let index = &self.part_of(key)?.index;
        let stored = index.stored(key)?;
        if stored.uid.as_ref() != uid {
            return Some(stored.value);
        }
        let mut live = stored.value.as_ref().clone();
        live.deleting = true;
        let meta = ObjectMeta {
            namespace: Some(key.namespace.clone()).filter(|namespace| !namespace.is_empty()),
            name: Some(key.name.clone()),
            uid: Some(uid.to_owned()),
            resource_version: Some(stored.version.to_string()),
            ..ObjectMeta::default()
        };
        drop(index.written(&meta, live));
        index.get(key)
    }

    /// An object was deleted and nothing holds it back.
    pub(super) fn deleted(&self, key: &ObjectKey, uid: &str) {
        if let Some(part) = self.part_of(key) {
            drop(part.index.deleted(key, uid));
        }
    }
}

/// The places that are watched of a kind: `None` is the whole cluster.
fn places(served: &Served, scope: &ManagedScope) -> Vec<Option<String>> {
    match (scope.namespaces.is_empty(), served.namespaced) {
        (true, _) => vec![None],
        (false, true) => scope.namespaces.iter().cloned().map(Some).collect(),
        (false, false) if scope.cluster_resources => vec![None],
        (false, false) => Vec::new(),
    }
}

/// True when both reduce every object of the kind to the same values.
pub(super) fn agree(one: &Checks, other: &Checks, kind: &GroupKind) -> bool {
    let (group, name) = (&kind.group, &kind.kind);
    let (settings, others) = (one.settings(), other.settings());
    one.agree(other, group, name)
        && settings.managed.tracking == others.managed.tracking
        && settings.ignored_updates(group, name) == others.ignored_updates(group, name)
}
