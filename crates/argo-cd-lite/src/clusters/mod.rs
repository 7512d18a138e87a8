//! The live side: which clusters there are, which kinds they serve, which objects belong to which application.
//!
//! ```text
//!   cluster Secrets ──► Registry ──► Clusters::open ──► Cluster (one for each that is in use)
//!   Cluster: discovery ──► kind ──► one watch per kind in use ──► Live (small values) ──► application to look at
//!            connection: asked now and then; no pass waits for a cluster that does not answer
//! ```

mod aws;
mod cluster;
mod connector;
mod credentials;
mod destination;
mod discovery;
mod exec;
mod impersonation;
mod index;
mod inventory;
mod kind_watch;
mod live;
mod metrics;
mod open;
mod registry;
mod resource_id;
mod spec;
mod state;
mod tokens;
mod tracking;
mod turns;

pub use cluster::{Cluster, ClusterSurroundings};
pub use connector::{ClusterClients, ConnectError, Connector, SyncClients};
pub use credentials::ConfigError;
pub use destination::{Destination, DestinationError};
pub use discovery::{Discovery, DiscoveryError, Served};
pub use index::{LiveError, LiveIndex, LiveIndexConfig, Lookup};
pub use inventory::{Inventory, Unmanaged};
pub use live::{Live, content_hash};
pub use metrics::ClusterMetrics;
pub use open::{ClusterError, ClusterReport, Clusters};
pub use resource_id::{GroupKind, ResourceId};
pub use spec::{ClusterSecret, ClusterSpec, ManagedScope};
pub use state::{ConnectionMonitor, ConnectionState, Unreachable};
pub use tracking::{Owner, Tracking, instance_name, instance_owner, stamp, tracking_id};
pub use turns::{Turn, Turns, Wake};

#[cfg(test)]
mod tests;
