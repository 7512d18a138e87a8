//! Live objects of the kinds that applications use, as small values.
//!
//! One watch per kind, opened when the first application uses it. The index keeps only objects that an application
//! tracks or that a target of an application names; memory follows the managed objects, not the cluster.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
    time::Duration,
};

use futures::{StreamExt, stream};
use kube::{Client, api::DynamicObject};
use parking_lot::{Mutex, RwLock};
use reconcile_core::{
    apply::{ApplyError, get},
    clock::Clock,
    error::{Classify, ErrorClass},
    object::ObjectKey,
    watch::Change,
};
use thiserror::Error;

use super::{
    Discovery, GroupKind, Live, ManagedScope, ResourceId, Served, instance_owner,
    kind_watch::{FollowedObjects, KindWatch, KindWatchConfig, agree},
};
use crate::{health::Checks, settings::SettingsHandle};

/// A first list that takes longer is reported as a failure; the watch keeps trying.
const FIRST_LIST: Duration = Duration::from_secs(20);
/// Single reads at the same time for one application.
const READS: usize = 16;

/// The live objects of a kind cannot be read.
#[derive(Debug, Error)]
pub enum LiveError {
    /// The first list did not end in time.
    #[error(
        "cannot list objects of kind {0} in time: check that the controller may list and watch them"
    )]
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
    /// The settings; health is found by them.
    pub settings: SettingsHandle,
    /// The clock that health checks see.
    pub clock: Clock,
    /// What is managed on the cluster.
    pub scope: ManagedScope,
    /// Called with each application that should look at its objects.
    pub changed: Box<dyn Fn(ObjectKey) + Send + Sync>,
}

/// Whether to read objects that are not in the index.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lookup {
    /// Read them.
    Read,
    /// Take them for missing.
    Skip,
}

/// Live objects of the kinds in use. Cloning shares them.
#[derive(Clone)]
pub struct LiveIndex(Arc<LiveIndexState>);

struct LiveIndexState {
    config: LiveIndexConfig,
    kinds: RwLock<HashMap<GroupKind, Arc<KindWatch>>>,
    /// The objects that each application follows.
    followed: Mutex<HashMap<ObjectKey, Vec<ResourceId>>>,
}

impl LiveIndex {
    /// An index without any watch.
    pub fn new(config: LiveIndexConfig) -> Self {
        Self(Arc::new(LiveIndexState {
            config,
            kinds: RwLock::default(),
            followed: Mutex::default(),
        }))
    }

    /// Opens the watches of `kinds` and waits for their first lists. Kinds that the cluster does not
    /// serve have no objects and are left out.
    pub async fn ensure(&self, kinds: &HashSet<GroupKind>) -> Result<(), LiveError> {
        // All of them begin to list before the first one is waited for.
        let opened: Vec<_> = kinds
            .iter()
            .filter_map(|kind| Some((kind, self.open(kind)?)))
            .collect();
        for (kind, watch) in opened {
            if tokio::time::timeout(FIRST_LIST, watch.listed())
                .await
                .is_err()
            {
                return Err(LiveError::NotListed(kind.clone()));
            }
        }
        Ok(())
    }

    fn open(&self, kind: &GroupKind) -> Option<Arc<KindWatch>> {
        let served = self.0.config.discovery.preferred(kind);
        let checks = self.checks();
        let fits = |known: &KindWatch| {
            served
                .as_ref()
                .is_none_or(|served| served.resource == known.served.resource)
                && agree(&known.checks, &checks, kind)
        };
        if let Some(known) = self.0.kinds.read().get(kind).filter(|known| fits(known)) {
            return Some(known.clone());
        }
        let mut kinds = self.0.kinds.write();
        let followers = match kinds.get(kind) {
            Some(known) if fits(known) => return Some(known.clone()),
            // The server likes another version now; the one of before may not be served any more. Or health is
            // found in another way, and the objects that it is found from are not kept.
            Some(known) => known.followers.clone(),
            None => Arc::default(),
        };
        let watch = Arc::new(self.start(kind, served?, checks, followers));
        kinds.insert(kind.clone(), watch.clone());
        Some(watch)
    }

    fn checks(&self) -> Checks {
        let LiveIndexConfig {
            settings, clock, ..
        } = &self.0.config;
        Checks::new(settings.current(), clock.clone())
    }

    fn start(
        &self,
        kind: &GroupKind,
        served: Arc<Served>,
        checks: Checks,
        followers: Arc<FollowedObjects>,
    ) -> KindWatch {
        tracing::info!(%kind, version = served.resource.version, "watching");
        let config = KindWatchConfig {
            client: &self.0.config.client,
            served,
            checks,
            followers,
            scope: &self.0.config.scope,
        };
        let index = Arc::downgrade(&self.0);
        KindWatch::start(config, move |followers, change| {
            if let Some(shared) = index.upgrade() {
                shared.notify(followers, change);
            }
        })
    }

    /// Follows `ids` for `app`, which are kept even when they do not carry its tracking annotation. With
    /// [`Lookup::Read`], objects that were not followed before and are not in the index are read one by one; with
    /// [`Lookup::Skip`] they count as missing until they are applied. Returns objects that no application follows any more.
    pub async fn follow(
        &self,
        app: &ObjectKey,
        ids: Vec<ResourceId>,
        lookup: Lookup,
    ) -> Result<Vec<ResourceId>, LiveError> {
        let known = {
            let mut followed = self.0.followed.lock();
            if followed.get(app).is_some_and(|known| *known == ids) {
                return Ok(Vec::new());
            }
            followed
                .insert(app.clone(), ids.clone())
                .unwrap_or_default()
        };
        let (old, new): (HashSet<&ResourceId>, HashSet<&ResourceId>) =
            (known.iter().collect(), ids.iter().collect());
        let released: Vec<ResourceId> = old
            .difference(&new)
            .filter(|id| self.release(app, id))
            .map(|id| (*id).clone())
            .collect();
        let mut unseen = Vec::new();
        for id in new.difference(&old) {
            let Some(watch) = self.open(&id.kind) else {
                continue;
            };
            let key = id.key();
            let was_listed = watch.has_listed(&key);
            watch.followers.add(&key, app);
            if was_listed && watch.get(&key).is_none() {
                unseen.push((watch, key));
            }
        }
        if lookup == Lookup::Skip {
            return Ok(released);
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
                    self.0.followed.lock().remove(app);
                    return Err(error.into());
                }
            }
        }
        Ok(released)
    }

    /// `app` no longer names the object. True when no application does.
    fn release(&self, app: &ObjectKey, id: &ResourceId) -> bool {
        let Some(watch) = self.0.kinds.read().get(&id.kind).cloned() else {
            return true;
        };
        let key = id.key();
        let nobody = watch.followers.remove(&key, app);
        if nobody {
            watch.drop_untracked(&key);
        }
        nobody
    }

    /// The application is gone. Returns objects that no application follows any more.
    pub fn forget(&self, app: &ObjectKey) -> Vec<ResourceId> {
        let mut old = self.0.followed.lock().remove(app).unwrap_or_default();
        old.retain(|id| self.release(app, id));
        old
    }

    /// The applications whose targets name an object.
    pub fn followers(&self, id: &ResourceId) -> Vec<ObjectKey> {
        let watch = self.0.kinds.read().get(&id.kind).cloned();
        watch.map_or_else(Vec::new, |watch| watch.followers.by(&id.key()))
    }

    /// Number of objects that are kept.
    pub fn count(&self) -> usize {
        self.0
            .kinds
            .read()
            .values()
            .map(|watch| watch.count())
            .sum()
    }

    /// Changes that watches reported, by kind.
    pub fn events(&self) -> Vec<(GroupKind, u64)> {
        let kinds = self.0.kinds.read();
        kinds
            .iter()
            .map(|(kind, watch)| (kind.clone(), watch.events()))
            .collect()
    }

    /// One live object.
    pub fn get(&self, id: &ResourceId) -> Option<Arc<Live>> {
        self.0.kinds.read().get(&id.kind)?.get(&id.key())
    }

    /// Everything that is tracked under `instance`, in every watched kind.
    pub fn of_instance(&self, instance: &str) -> Vec<(ResourceId, Arc<Live>)> {
        let kinds = self.0.kinds.read();
        let mut found = Vec::new();
        for (kind, watch) in kinds.iter() {
            for (key, live) in watch.of_instance(instance) {
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

    /// The deletion of an object was accepted and a finalizer holds it back. Returns the object as it is from now on,
    /// before the watch reports it.
    pub fn going(&self, id: &ResourceId, uid: &str) -> Option<Arc<Live>> {
        let watch = self.0.kinds.read().get(&id.kind).cloned()?;
        watch.going(&id.key(), uid)
    }

    /// An object was deleted and nothing holds it back.
    pub fn deleted(&self, id: &ResourceId, uid: &str) {
        if let Some(watch) = self.0.kinds.read().get(&id.kind).cloned() {
            watch.deleted(&id.key(), uid);
        }
    }
}

impl LiveIndexState {
    /// Notifies the applications that a change concerns: those that track or tracked the object, and those whose
    /// targets name it.
    fn notify(&self, followers: &FollowedObjects, change: &Change<Live>) {
        if let (Some(old), Some(new)) = (&change.old, &change.new)
            && new.is_ignored_update_of(old)
        {
            return;
        }
        let mut apps: Vec<ObjectKey> = [&change.old, &change.new]
            .into_iter()
            .flatten()
            .filter_map(|live| live.tracking.as_ref())
            .map(|tracking| instance_owner(&tracking.instance, &self.config.control_plane))
            .collect();
        apps.extend(followers.by(&change.key));
        apps.sort();
        apps.dedup();
        for app in apps {
            (self.config.changed)(app);
        }
    }
}
