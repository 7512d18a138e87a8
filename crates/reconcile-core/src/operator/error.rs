//! Why a process does not start, or ends without a request.

use super::ClaimError;
use crate::{
    lease::{LeaseLost, TimingError},
    listen::BindError,
};

/// The operator could not be started.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The durations of the election do not go together.
    #[error("leader election: {0}")]
    Election(#[from] TimingError),
    /// No usable connection settings.
    #[error("cannot find the API server: {0}")]
    Config(String),
    /// The client could not be built.
    #[error("cannot build the Kubernetes client: {0}")]
    Client(#[from] kube::Error),
    /// The admin server could not be started.
    #[error("metrics and probes: {0}")]
    Admin(#[from] BindError),
    /// A metric could not be registered.
    #[error("cannot register a metric: {0}")]
    Metrics(#[from] prometheus::Error),
    /// The lease could not be claimed.
    #[error(transparent)]
    Claim(#[from] ClaimError),
}

/// The process ended without a request to stop.
#[derive(Debug, thiserror::Error)]
pub enum EndError {
    /// Another process may hold the lease now.
    #[error(transparent)]
    Lease(#[from] LeaseLost),
    /// A part of the process ended or panicked.
    #[error("{0} ended unexpectedly")]
    Broken(&'static str),
}
