//! Why the sources give no targets.

use crate::{
    render::RenderFailure,
    repo::{ChartError, RepoError},
};

/// Why there are no targets.
pub(super) struct Failure {
    pub(super) message: String,
    pub(super) transient: bool,
}

impl Failure {
    /// The credentials of the repository are not for this Application.
    pub(super) fn of_other_project(repository: &str) -> Self {
        Self {
            transient: false,
            message: format!(
                "Failed to load target state: the Secret of the repository {repository} belongs to another project"
            ),
        }
    }
}

impl From<RepoError> for Failure {
    fn from(error: RepoError) -> Self {
        Self {
            transient: error.is_transient(),
            message: format!("Failed to load target state: {error}"),
        }
    }
}

impl From<ChartError> for Failure {
    fn from(error: ChartError) -> Self {
        Self {
            transient: error.is_transient(),
            message: format!("Failed to load target state: {error}"),
        }
    }
}

impl From<RenderFailure> for Failure {
    fn from(error: RenderFailure) -> Self {
        Self {
            transient: error.is_transient(),
            message: format!("Failed to load target state: failed to generate manifest: {error}"),
        }
    }
}
