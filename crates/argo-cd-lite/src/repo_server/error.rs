//! Why a call has no answer. The texts hold no credentials.

use reconcile_core::error::error_chain;
use thiserror::Error;
use tonic::{Code, Status};

use crate::{
    render::{RenderError, RenderFailure},
    repo::{ChartError, GitError, PoolError, RepoError, UnsupportedMembers},
};

/// Why a call has no answer.
#[derive(Debug, Error)]
pub(super) enum CallError {
    /// The request lacks something, or has it in a wrong form.
    #[error("{0}")]
    Invalid(String),
    /// The repository.
    #[error(transparent)]
    Repository(#[from] RepoError),
    /// The chart.
    #[error(transparent)]
    Chart(#[from] ChartError),
    /// The files.
    #[error(transparent)]
    Git(#[from] GitError),
    /// The manifests.
    #[error("failed to generate manifest: {0}")]
    Render(#[from] RenderFailure),
    /// A source that no renderer takes.
    #[error(transparent)]
    Source(#[from] RenderError),
    /// No thread gave a result.
    #[error(transparent)]
    Pool(#[from] PoolError),
    /// Credentials that cannot be used.
    #[error(transparent)]
    Credentials(#[from] UnsupportedMembers),
    /// The parts of a request that is sent in parts.
    #[error("cannot receive the files: {}", .0.message())]
    Parts(Status),
    /// A folder of its own for the call.
    #[error("cannot keep the files of the call: {0}")]
    Folder(#[from] std::io::Error),
}

impl CallError {
    /// A request that lacks a field.
    pub(super) fn missing(field: &str) -> Self {
        Self::Invalid(format!("the request has no {field}"))
    }
}

impl From<CallError> for Status {
    fn from(error: CallError) -> Self {
        let code = match error {
            CallError::Invalid(_) => Code::InvalidArgument,
            // What Go code returns as a plain error.
            _ => Code::Unknown,
        };
        Self::new(code, error_chain(&error))
    }
}
