//! Why the manifests of an Application cannot be rendered on this machine.

use std::{io, path::PathBuf};

use thiserror::Error;

use crate::{
    render::RenderError,
    repo::{ChartError, RepoError},
};

/// What failed on the way from a source to its manifests.
#[derive(Debug, Error)]
pub enum SourceError {
    /// The spec has no source.
    #[error("spec.source is missing")]
    NoSource,
    /// A chart cannot be downloaded.
    #[error(transparent)]
    Chart(#[from] ChartError),
    /// A folder that takes the place of a repository cannot be opened.
    #[error("{}: {error}", .path.display())]
    Folder {
        /// The folder.
        path: PathBuf,
        /// What the machine says.
        #[source]
        error: io::Error,
    },
    /// There is no folder for the stores of this answer.
    #[error("cannot make a folder: {0}")]
    Workspace(#[source] io::Error),
    /// The client of repositories cannot be started.
    #[error("cannot start the client of repositories: {0}")]
    Client(#[source] io::Error),
    /// Its metrics cannot be registered.
    #[error("cannot register the metrics of repositories: {0}")]
    Metrics(#[from] prometheus::Error),
    /// A repository cannot be read.
    #[error(transparent)]
    Repository(#[from] RepoError),
    /// The manifests cannot be rendered.
    #[error(transparent)]
    Render(#[from] RenderError),
}
