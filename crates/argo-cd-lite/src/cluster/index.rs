//! Live objects of the kinds that applications use, as small values.
//!
//! One watch per kind, opened when the first application uses it. Of all objects of the kind only those
//! are kept that say that they belong to an application, or that an application aims at; the memory
//! follows the managed objects, not the cluster.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
    time::Duration,
};

use futures::{StreamExt, stream};
use kube::{Api, Client, api::DynamicObject};
use parking_lot::{Mutex, RwLock};
use reconcile_core::{
    admin::Readiness,
    apply::{ApplyError, get},
    object::ObjectKey,
    reconcile::{Classify, ErrorClass},
    watch::{Change, Guarded, Index, Watch},
};
use thiserror::Error;
use tokio::task::AbortHandle;

use super::{Discovery, GroupKind, Live, ResourceId, Served, instance_owner};

/// A first list that takes longer is a failure to be reported; the watch goes on trying.
const FIRST_LIST: Duration = Duration::from_secs(20);
/// Single reads at the same time for one application.
const READS: usize = 16;

/// The live objects of a kind cannot be told.
#[derive(Debug, Error)]
pub enum LiveError {
    /// The first list did not end in time.
    #[error("the objects of kind {0} could not be listed in time")]
    NotListed(GroupKind),
    /// A single object could not be read.
    #[error(transparent)]
    Read(#[from] ApplyError),
}

impl Classify for LiveError {
    fn class(&self) -> ErrorClass {
        match self {
            Self::NotListed(_) => ErrorClass::Transient,
            Self::Read(error) => error.class(),
        }
    }
}

/// What the index needs from its surroundings.
pub struct LiveIndexConfig {
    /// The client.
    pub client: Client,
    /// Discovery.
    pub discovery: Discovery,
    /// Namespace of the control plane.
    pub control_plane: String,
    /// Called with each application that should look at its objects.
    pub changed: Box<dyn Fn(ObjectKey) + Send + Sync>,
}

/// Live objects of the kinds in use. Cloning shares them.
#[derive(Clone)]
pub struct LiveIndex(Arc<LiveShared>);

struct LiveShared {
    config: LiveIndexConfig,
    kinds: RwLock<HashMap<GroupKind, Arc<KindWatch>>>,
    /// What each application aims at, by kind, so that it can be taken back.
    aims: Mutex<HashMap<ObjectKey, Vec<ResourceId>>>,
}

struct KindWatch {
    served: Arc<Served>,
    index: Index<Live>,
    readiness: Readiness,
    /// Objects that an application aims at, and which one.
    aimed: Arc<RwLock<HashMap<ObjectKey, ObjectKey>>>,
    task: AbortHandle,
}

impl Drop for KindWatch {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl LiveIndex {
    /// An index without any watch.
    pub fn new(config: LiveIndexConfig) -> Self {
        Self(Arc::new(LiveShared {
            config,
            kinds: RwLock::default(),
            aims: Mutex::default(),
        }))
    }

    /// Opens the watches of `kinds` and waits for their first lists. Kinds that the cluster does not
    /// serve have no objects and are left out.
    pub async fn ensure(&self, kinds: &HashSet<GroupKind>) -> Result<(), LiveError> {
        for kind in kinds {
            let Some(watch) = self.open(kind) else {
                continue;
            };
            if tokio::time::timeout(FIRST_LIST, watch.readiness.wait())
                .await
                .is_err()
            {
                return Err(LiveError::NotListed(kind.clone()));
            }
        }
        Ok(())
    }

    fn open(&self, kind: &GroupKind) -> Option<Arc<KindWatch>> {
        if let Some(known) = self.0.kinds.read().get(kind) {
            return Some(known.clone());
        }
        let served = self.0.config.discovery.preferred(kind)?;
        let mut kinds = self.0.kinds.write();
        Some(
            kinds
                .entry(kind.clone())
                .or_insert_with(|| Arc::new(self.start(kind, served)))
                .clone(),
        )
    }

    fn start(&self, kind: &GroupKind, served: Arc<Served>) -> KindWatch {
        let index = Index::new(|live: &Live| {
            live.tracking
                .as_ref()
                .map(|tracking| tracking.instance.clone())
                .into_iter()
                .collect()
        });
        let readiness = Readiness::default();
        let ready = readiness.register("first list");
        let aimed: Arc<RwLock<HashMap<ObjectKey, ObjectKey>>> = Arc::default();
        let api: Api<Guarded<DynamicObject>> =
            Api::all_with(self.0.config.client.clone(), &served.resource);
        let convert = {
            let (aimed, kind, version) =
                (aimed.clone(), kind.clone(), served.resource.version.clone());
            move |object: DynamicObject| {
                let live = Live::of(&kind.group, &version, &kind.kind, &object);
                let kept = live.tracking.is_some()
                    || aimed
                        .read()
                        .contains_key(&ObjectKey::of_meta(&object.metadata));
                kept.then_some(live)
            }
        };
        let watch = Watch::named(served.resource.plural.clone(), api, index.clone(), convert)
            .on_change({
                let (index, aimed) = (Arc::downgrade(&self.0), aimed.clone());
                move |change| {
                    if let Some(shared) = index.upgrade() {
                        shared.tell(&aimed, &change);
                    }
                }
            })
            .ready(ready);
        tracing::info!(%kind, "watching");
        let task = tokio::spawn(watch.run()).abort_handle();
        KindWatch {
            served,
            index,
            readiness,
            aimed,
            task,
        }
    }

    /// Says that `app` aims at `ids`, so that they are kept although they may not be tracked yet. With
    /// `look`, objects that were not aimed at before and that are not known are read one by one; without
    /// it they count as missing until they are applied.
    pub async fn aim(
        &self,
        app: &ObjectKey,
        ids: Vec<ResourceId>,
        look: bool,
    ) -> Result<(), LiveError> {
        let known = {
            let mut aims = self.0.aims.lock();
            if aims.get(app).is_some_and(|known| *known == ids) {
                return Ok(());
            }
            aims.insert(app.clone(), ids.clone()).unwrap_or_default()
        };
        let (old, new): (HashSet<&ResourceId>, HashSet<&ResourceId>) =
            (known.iter().collect(), ids.iter().collect());
        for gone in old.difference(&new) {
            self.release(app, gone);
        }
        let mut unseen = Vec::new();
        for id in new.difference(&old) {
            let Some(watch) = self.open(&id.kind) else {
                continue;
            };
            let key = id.key();
            let was_listed = watch.readiness.missing().is_empty();
            watch.aimed.write().insert(key.clone(), app.clone());
            if was_listed && watch.index.get(&key).is_none() {
                unseen.push((watch, key));
            }
        }
        if !look {
            return Ok(());
        }
        let mut reads = stream::iter(unseen)
            .map(|(watch, key)| async move {
                let found = get(&self.0.config.client, &watch.served.resource, &key).await;
                (watch, found)
            })
            .buffer_unordered(READS);
        while let Some((watch, found)) = reads.next().await {
            match found {
                Ok(Some(object)) => drop(watch.keep(&object)),
                Ok(None) => {}
                Err(error) => {
                    // Looked at again by the next pass.
                    self.0.aims.lock().remove(app);
                    return Err(error.into());
                }
            }
        }
        Ok(())
    }

    fn release(&self, app: &ObjectKey, id: &ResourceId) {
        let Some(watch) = self.0.kinds.read().get(&id.kind).cloned() else {
            return;
        };
        let key = id.key();
        let mut aimed = watch.aimed.write();
        if aimed.get(&key) == Some(app) {
            aimed.remove(&key);
            drop(aimed);
            if watch
                .index
                .get(&key)
                .is_some_and(|live| live.tracking.is_none())
            {
                drop(watch.index.dropped(&key));
            }
        }
    }

    /// The application is gone: it aims at nothing. Gives what it aimed at.
    pub fn forget(&self, app: &ObjectKey) -> Vec<ResourceId> {
        let old = self.0.aims.lock().remove(app).unwrap_or_default();
        for id in &old {
            self.release(app, id);
        }
        old
    }

    /// One live object.
    pub fn get(&self, id: &ResourceId) -> Option<Arc<Live>> {
        self.0.kinds.read().get(&id.kind)?.index.get(&id.key())
    }

    /// Everything that is tracked under `instance`, in every watched kind.
    pub fn of_instance(&self, instance: &str) -> Vec<(ResourceId, Arc<Live>)> {
        let kinds = self.0.kinds.read();
        let mut found = Vec::new();
        for (kind, watch) in kinds.iter() {
            for (key, live) in watch.index.tagged(instance) {
                let id = ResourceId {
                    kind: kind.clone(),
                    namespace: key.namespace.as_str().into(),
                    name: key.name.as_str().into(),
                };
                found.push((id, live));
            }
        }
        found
    }

    /// Takes the answer to a write, so that the next plan sees it.
    pub fn written(&self, kind: &GroupKind, object: &DynamicObject) -> Option<Arc<Live>> {
        let watch = self.0.kinds.read().get(kind).cloned()?;
        Some(watch.keep(object))
    }

    /// An object was deleted and nothing holds it back.
    pub fn deleted(&self, id: &ResourceId, uid: &str) {
        if let Some(watch) = self.0.kinds.read().get(&id.kind).cloned() {
            drop(watch.index.deleted(&id.key(), uid));
        }
    }
}

impl KindWatch {
    fn keep(&self, object: &DynamicObject) -> Arc<Live> {
        let resource = &self.served.resource;
        let live = Live::of(&resource.group, &resource.version, &resource.kind, object);
        // An own write is no news to the application that made it.
        drop(self.index.written(&object.metadata, live.clone()));
        self.index
            .get(&ObjectKey::of_meta(&object.metadata))
            .unwrap_or_else(|| Arc::new(live))
    }
}

impl LiveShared {
    /// Tells the applications that a change concerns: the ones it is or was tracked by, and the one that
    /// aims at it.
    fn tell(&self, aimed: &RwLock<HashMap<ObjectKey, ObjectKey>>, change: &Change<Live>) {
        let mut apps: Vec<ObjectKey> = [&change.old, &change.new]
            .into_iter()
            .flatten()
            .filter_map(|live| live.tracking.as_ref())
            .map(|tracking| instance_owner(&tracking.instance, &self.config.control_plane))
            .collect();
        apps.extend(aimed.read().get(&change.key).cloned());
        apps.sort();
        apps.dedup();
        for app in apps {
            (self.config.changed)(app);
        }
    }
}
