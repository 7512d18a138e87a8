//! The live side: which kinds the cluster serves, which objects belong to which application.
//!
//! ```text
//!   discovery ──► kind ──► one watch per kind in use ──► Live (small values) ──► application to look at
//! ```

mod discovery;
mod index;
mod live;
mod resource_id;
mod tracking;

pub use discovery::{Discovery, DiscoveryError, Served};
pub use index::{LiveError, LiveIndex, LiveIndexConfig, Lookup};
pub use live::{Live, content_hash};
pub use resource_id::{GroupKind, ResourceId};
pub use tracking::{Owner, Tracking, instance_name, instance_owner, stamp, tracking_id};

#[cfg(test)]
mod tests;
