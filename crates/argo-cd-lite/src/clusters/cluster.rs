//! One cluster that Applications use: its clients, and what is known of it.

use std::{collections::BTreeSet, sync::Arc, time::Instant};

use kube::Client;
use parking_lot::Mutex;
use reconcile_core::{clock::Clock, object::ObjectKey, shards::Claim};

use super::{
    ClusterSpec, ConnectionMonitor, ConnectionState, Destination, Discovery, Inventory, LiveIndex,
    LiveIndexConfig, Turns,
    connector::{ClusterClients, SyncClients},
    impersonation::impersonated,
    turns::Wake,
};
use crate::{
    diff::{DiffCache, Differ},
    render::ClusterFacts,
    settings::SettingsHandle,
};

/// What every cluster needs from its surroundings.
#[derive(Clone)]
pub struct ClusterSurroundings {
    /// Namespace of the control plane.
    pub control_plane: String,
    /// The settings; health is found by them.
    pub settings: SettingsHandle,
    /// The clock.
    pub clock: Clock,
    /// Called with each Application that should be reconciled.
    pub wake: Wake,
}

/// The Applications that use a cluster. Cloning shares them.
#[derive(Clone, Default)]
pub(super) struct Holders(Arc<Mutex<BTreeSet<ObjectKey>>>);

impl Holders {
    /// True when the Application did not use the cluster before.
    pub(super) fn add(&self, app: &ObjectKey) -> bool {
        self.0.lock().insert(app.clone())
    }

    /// True when no Application uses the cluster any more.
    pub(super) fn remove(&self, app: &ObjectKey) -> bool {
        let mut apps = self.0.lock();
        apps.remove(app);
        apps.is_empty()
    }

    /// All of them.
    pub(super) fn all(&self) -> Vec<ObjectKey> {
        self.0.lock().iter().cloned().collect()
    }
}

/// A cluster while Applications use it. Its watches and connections end when it is dropped.
pub struct Cluster {
    /// What it was made from.
    pub(super) spec: Arc<ClusterSpec>,
    /// The client for reads.
    pub reads: Client,
    /// The clients of syncs.
    syncs: SyncClients,
    /// Kinds.
    pub discovery: Discovery,
    /// Live objects.
    pub live: LiveIndex,
    /// What its namespaces hold beside managed objects.
    pub inventory: Inventory,
    /// Comparisons.
    pub differ: Differ,
    /// Whether it answers.
    pub connection: ConnectionMonitor,
    /// Its passes.
    pub(super) turns: Turns,
    pub(super) holders: Holders,
    /// When the watches began.
    pub(super) opened: Instant,
    /// What charts may ask about it, with the state of discovery that it belongs to.
    facts: tokio::sync::Mutex<Option<(u64, ClusterFacts)>>,
    /// Namespaces that were seen.
    namespaces: Mutex<BTreeSet<String>>,
}

impl Cluster {
    pub(super) fn open(
        spec: Arc<ClusterSpec>,
        clients: ClusterClients,
        around: &ClusterSurroundings,
    ) -> Self {
        let ClusterClients { reads, syncs } = clients;
        let discovery = Discovery::new(reads.clone(), around.clock.clone());
        let holders = Holders::default();
        let changed = {
            let (holders, wake) = (holders.clone(), around.wake.clone());
            move || {
                for app in holders.all() {
                    wake(app);
                }
            }
        };
        let wake = around.wake.clone();
        let live = LiveIndex::new(LiveIndexConfig {
            client: reads.clone(),
            discovery: discovery.clone(),
            control_plane: around.control_plane.clone(),
            settings: around.settings.clone(),
            clock: around.clock.clone(),
            scope: spec.scope.clone(),
            changed: Box::new(move |app| wake(app)),
        });
        Self {
            syncs,
            inventory: Inventory::new(reads.clone(), discovery.clone()),
            discovery,
            live,
            differ: Differ::new(reads.clone(), DiffCache::default()),
            connection: ConnectionMonitor::start(&spec, reads.clone(), changed),
            reads,
            turns: Turns::new(around.wake.clone()),
            holders,
            opened: Instant::now(),
            facts: tokio::sync::Mutex::default(),
            namespaces: Mutex::default(),
            spec,
        }
    }

    /// Server, name and project.
    pub fn destination(&self) -> &Destination {
        &self.spec.destination
    }

    /// The cluster as its Secret describes it.
    pub fn spec(&self) -> &ClusterSpec {
        &self.spec
    }

    /// The client of syncs by a claim; with the rights of another user where one is named.
    pub fn writer(&self, claim: &Claim, user: Option<&str>) -> Client {
        let client = self.syncs.of(claim);
        match user {
            Some(user) => impersonated(&client, user),
            None => client,
        }
    }

    /// What charts may ask about the cluster. Without an answer of the server its version is left out.
    pub async fn facts(&self) -> ClusterFacts {
        let generation = self.discovery.generation();
        let mut known = self.facts.lock().await;
        if let Some((at, facts)) = known.as_ref()
            && *at == generation
        {
            return facts.clone();
        }
        let state = self.connection.state();
        let facts = ClusterFacts {
            kube_version: state.version().to_owned(),
            api_versions: self.discovery.api_versions(),
        };
        if matches!(state, ConnectionState::Connected { .. }) {
            *known = Some((generation, facts.clone()));
        }
        facts
    }

    /// True when the namespace was seen.
    pub fn knows_namespace(&self, name: &str) -> bool {
        self.namespaces.lock().contains(name)
    }

    /// Notes that a namespace exists.
    pub fn namespace_exists(&self, name: &str) {
        self.namespaces.lock().insert(name.to_owned());
    }

    /// Notes that a namespace may be missing, so that the next pass looks.
    pub fn namespace_is_missing(&self, name: &str) {
        self.namespaces.lock().remove(name);
    }

    /// The Application does not use the cluster any more.
    pub(super) fn forget(&self, app: &ObjectKey) {
        let followed = self.live.forget(app);
        self.differ.cache().forget(&followed);
    }
}
