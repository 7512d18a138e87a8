//! The cluster that an Application goes to.

use std::{fmt, sync::Arc};

use thiserror::Error;

/// A cluster that `spec.destination` was resolved to.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Destination {
    /// URL of the API server, without a slash at the end; identifies the cluster.
    pub server: Arc<str>,
    /// Name of the cluster.
    pub name: Arc<str>,
    /// Project that the cluster belongs to; empty for one that every project may use.
    pub project: Arc<str>,
}

impl fmt::Display for Destination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.server, self.name)
    }
}

/// Why `spec.destination` leads to no cluster. The messages are upstream's, as far as it has them.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum DestinationError {
    /// Neither a server nor a name.
    #[error("destination server missing from app spec: spec.destination needs server or name")]
    Missing,
    /// Both a server and a name.
    #[error("application destination can't have both name and server defined: {name} {server}")]
    NameAndServer {
        /// The name.
        name: String,
        /// The server.
        server: String,
    },
    /// No cluster has this URL.
    #[error(
        "error getting cluster by server {0:?}: cluster {0:?} not found; is there a cluster Secret for it?"
    )]
    UnknownServer(String),
    /// No cluster has this name.
    #[error("there are no clusters with this name: {0}")]
    UnknownName(String),
    /// Several clusters have this name.
    #[error("there are {} clusters with the same name: {}", .0.len(), .0.join(", "))]
    Ambiguous(Vec<String>),
    /// The cluster's Secret cannot be used.
    #[error("cluster Secret {secret}: {reason}")]
    Unusable {
        /// Name of the Secret.
        secret: String,
        /// What is wrong with it.
        reason: String,
    },
}

impl DestinationError {
    /// True when nothing is known by which the cluster could be found: its Secret was removed, or the spec names none.
    pub fn is_unknown(&self) -> bool {
        !matches!(self, Self::Ambiguous(_) | Self::Unusable { .. })
    }
}
