//! The clusters that are in use: opened by the first Application that needs one, closed when none does.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
    time::Duration,
};

use parking_lot::Mutex;
use reconcile_core::{
    error::{Classify, ErrorClass},
    object::ObjectKey,
};
use thiserror::Error;

use super::{
    Cluster, ClusterSecret, ClusterSpec, ClusterSurroundings, ConnectError, ConnectionState,
    Connector, Destination, DestinationError, GroupKind, Turn, Unreachable,
    registry::{Registry, concerns},
};
use crate::api::ApplicationDestination;

/// Work on a cluster is not possible.
#[derive(Debug, Error)]
pub enum ClusterError {
    /// No client can be made.
    #[error("Failed to load live state: cluster {server:?}")]
    Connect {
        /// URL of the cluster.
        server: String,
        /// Why.
        #[source]
        source: ConnectError,
    },
    /// It does not answer.
    #[error(transparent)]
    Unreachable(#[from] Unreachable),
    /// The destination leads to no cluster that can be used.
    #[error(transparent)]
    Unusable(DestinationError),
    /// Its Secret has been removed or changed since the pass began.
    #[error("the cluster {0:?} was closed")]
    Closed(String),
}

impl Classify for ClusterError {
    fn class(&self) -> ErrorClass {
        match self {
            Self::Connect { .. } | Self::Unusable(_) => ErrorClass::Invalid,
            Self::Unreachable(_) | Self::Closed(_) => ErrorClass::Transient,
        }
    }
}

/// What is known of a cluster, for metrics.
#[derive(Clone, Debug)]
pub struct ClusterReport {
    /// Server and name.
    pub destination: Destination,
    /// The connection; `None` while no Application uses the cluster.
    pub connection: Option<ConnectionState>,
    /// Versions of kinds that the server serves.
    pub kinds: usize,
    /// Live objects that are kept.
    pub objects: usize,
    /// Since when the cluster is watched; `None` while no Application uses it.
    pub age: Option<Duration>,
    /// Changes that watches reported, by kind.
    pub events: Vec<(GroupKind, u64)>,
}

/// All clusters. Cloning shares them.
#[derive(Clone)]
pub struct Clusters(Arc<OpenClusters>);

struct OpenClusters {
    connector: Connector,
    around: ClusterSurroundings,
    /// Passes that run at the same time, over all clusters.
    workers: usize,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    registry: Registry,
    open: BTreeMap<Arc<str>, Arc<Cluster>>,
    /// Which cluster each Application uses.
    held: HashMap<ObjectKey, Arc<Cluster>>,
}

impl Clusters {
    /// No cluster is open yet. `workers` passes run at the same time.
    pub fn new(connector: Connector, around: ClusterSurroundings, workers: usize) -> Self {
        Self(Arc::new(OpenClusters {
            connector,
            around,
            workers,
            state: Mutex::default(),
        }))
    }

    /// The cluster that a destination names.
    pub fn resolve(
        &self,
        destination: &ApplicationDestination,
    ) -> Result<Arc<ClusterSpec>, DestinationError> {
        self.0.state.lock().registry.resolve(destination)
    }

    /// URL of the cluster that a destination names, or what it says itself.
    pub fn server_of(&self, destination: &ApplicationDestination) -> String {
        match self.resolve(destination) {
            Ok(spec) => spec.destination.server.to_string(),
            Err(_) => destination.server.clone(),
        }
    }

    /// Opens the cluster for an Application, which leaves the one that it used before.
    pub fn open(
        &self,
        app: &ObjectKey,
        spec: &Arc<ClusterSpec>,
    ) -> Result<Arc<Cluster>, ClusterError> {
        let mut state = self.0.state.lock();
        let server = &spec.destination.server;
        if let Some(held) = state.held.get(app) {
            if held.spec == *spec {
                return Ok(held.clone());
            }
            state.release(app);
        }
        let cluster = match state.open.get(server) {
            Some(known) if known.spec == *spec => known.clone(),
            _ => {
                let clients = self.0.connector.connect(spec);
                let clients = clients.map_err(|source| ClusterError::Connect {
                    server: server.to_string(),
                    source,
                })?;
                tracing::info!(cluster = %spec.destination, "connecting to cluster");
                let cluster = Arc::new(Cluster::open(spec.clone(), clients, &self.0.around));
                state.open.insert(server.clone(), cluster.clone());
                cluster
            }
        };
        cluster.holders.add(app);
        state.held.insert(app.clone(), cluster.clone());
        Ok(cluster)
    }

    /// The cluster that a pass has observed.
    pub fn get(&self, destination: &Destination) -> Result<Arc<Cluster>, ClusterError> {
        let state = self.0.state.lock();
        let known = state.open.get(&destination.server);
        let known = known.filter(|cluster| cluster.spec.destination == *destination);
        known
            .cloned()
            .ok_or_else(|| ClusterError::Closed(destination.server.to_string()))
    }

    /// A turn for a pass over `app` on its cluster; `None` when enough passes work there, and then the Application is
    /// woken when its turn has come. While other clusters are in use, none takes all workers.
    pub fn turn(&self, app: &ObjectKey, cluster: &Cluster) -> Option<Turn> {
        let workers = self.0.workers;
        let alone = self.0.state.lock().open.len() < 2;
        let limit = if alone { workers } else { workers * 3 / 4 };
        cluster.turns.take(app, limit)
    }

    /// The cluster that an Application uses.
    pub fn of(&self, app: &ObjectKey) -> Option<Arc<Cluster>> {
        self.0.state.lock().held.get(app).cloned()
    }

    /// The Application is gone, or has no cluster any more.
    pub fn forget(&self, app: &ObjectKey) {
        self.0.state.lock().release(app);
    }

    /// Takes in what a cluster Secret says now; `None` when it was removed. Returns a test for the destinations that
    /// it concerns.
    pub fn set_secret(
        &self,
        name: &str,
        secret: Option<Arc<ClusterSecret>>,
    ) -> impl Fn(&ApplicationDestination) -> bool + use<> {
        let mut state = self.0.state.lock();
        let old = state.registry.set(name, secret.clone());
        state.close_changed();
        drop(state);
        move |destination: &ApplicationDestination| {
            let known = [&old, &secret].into_iter().flatten();
            known
                .into_iter()
                .any(|secret| concerns(destination, secret))
        }
    }

    /// Whether the cluster of the control plane is a destination without a Secret.
    pub fn set_in_cluster(&self, enabled: bool) {
        let mut state = self.0.state.lock();
        state.registry.set_in_cluster(enabled);
        state.close_changed();
    }

    /// What is known of all clusters.
    pub fn reports(&self) -> Vec<ClusterReport> {
        let state = self.0.state.lock();
        let specs = state.registry.specs();
        let reports = specs.into_iter().map(|spec| {
            let open = state.open.get(&spec.destination.server);
            ClusterReport {
                destination: spec.destination.clone(),
                connection: open.map(|cluster| cluster.connection.state()),
                kinds: open.map_or(0, |cluster| cluster.discovery.count()),
                objects: open.map_or(0, |cluster| cluster.live.count()),
                age: open.map(|cluster| cluster.opened.elapsed()),
                events: open.map_or_else(Vec::new, |cluster| cluster.live.events()),
            }
        });
        reports.collect()
    }
}

impl State {
    fn release(&mut self, app: &ObjectKey) {
        let Some(cluster) = self.held.remove(app) else {
            return;
        };
        cluster.forget(app);
        if cluster.holders.remove(app) {
            let server = &cluster.spec.destination.server;
            let is_this = |known: &Arc<Cluster>| Arc::ptr_eq(known, &cluster);
            if self.open.get(server).is_some_and(is_this) {
                self.open.remove(server);
                tracing::info!(cluster = %cluster.spec.destination, "closing cluster: no Application uses it");
            }
        }
    }

    /// Closes the clusters whose Secrets say something else by now. Passes that work on them come to their end.
    fn close_changed(&mut self) {
        let registry = &self.registry;
        self.open.retain(|server, cluster| {
            let now = registry.by_server(server);
            let same = matches!(&now, Some(Ok(spec)) if *spec == cluster.spec);
            if !same {
                tracing::info!(cluster = %cluster.spec.destination, "closing cluster: its Secret has changed");
            }
            same
        });
        let open = &self.open;
        self.held.retain(|_, cluster| {
            let known = open.get(&cluster.spec.destination.server);
            known.is_some_and(|known| Arc::ptr_eq(known, cluster))
        });
    }
}
