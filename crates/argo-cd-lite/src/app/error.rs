//! What can go wrong in a pass over an Application.

use reconcile_core::{
    apply::ApplyError,
    error::{Classify, ErrorClass},
    object::FieldError,
};
use thiserror::Error;

use crate::{
    clusters::{ClusterError, DiscoveryError, LiveError, ResourceId, Unreachable},
    diff::DiffError,
    project::ServiceAccountError,
};

/// The field `operation` cannot be acted on.
#[derive(Clone, Debug, Error)]
pub enum InvalidOperation {
    /// It has another form.
    #[error("{0}")]
    Form(String),
    /// It holds fields that have no effect here.
    #[error("not supported yet: {0}")]
    Unsupported(String),
}

/// Reading or writing failed.
#[derive(Debug, Error)]
pub enum ObserveError {
    /// The spec has a wrong form.
    #[error(transparent)]
    Spec(#[from] FieldError),
    /// The cluster.
    #[error(transparent)]
    Cluster(#[from] ClusterError),
    /// Kinds.
    #[error(transparent)]
    Discovery(#[from] DiscoveryError),
    /// Live objects.
    #[error(transparent)]
    Live(#[from] LiveError),
    /// Comparison.
    #[error(transparent)]
    Diff(#[from] DiffError),
    /// The kind of a hook is not served.
    #[error("cannot create {0}: the cluster does not serve its kind; is its definition installed?")]
    Unserved(ResourceId),
    /// There is no account to write as.
    #[error(transparent)]
    ServiceAccount(#[from] ServiceAccountError),
    /// The Application went to another process during the pass.
    #[error("the lease of the Application is not held any more; nothing is written")]
    NotHeld,
    /// A read or write of a single object.
    #[error(transparent)]
    Api(#[from] ApplyError),
}

impl From<Unreachable> for ObserveError {
    fn from(error: Unreachable) -> Self {
        Self::Cluster(error.into())
    }
}

impl Classify for ObserveError {
    fn class(&self) -> ErrorClass {
        match self {
            Self::Spec(error) => error.class(),
            Self::Cluster(error) => error.class(),
            Self::Discovery(error) => error.class(),
            Self::Live(error) => error.class(),
            Self::Diff(error) => error.class(),
            Self::ServiceAccount(_) => ErrorClass::Invalid,
            Self::Unserved(_) | Self::NotHeld => ErrorClass::Transient,
            Self::Api(error) => error.class(),
        }
    }
}
