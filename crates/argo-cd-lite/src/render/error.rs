//! Sources that cannot be turned into objects.

use expressions::glob::GlobError;
use git_fetch::FetchError;
use thiserror::Error;

use super::ToolError;
use crate::repo::{ChartError, GitError};

/// Why a source cannot be rendered. The text never holds the value of a parameter or the content of a file.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum RenderError {
    /// A file cannot be read as manifests.
    #[error("failed to read manifests from {path:?}: {reason}")]
    File {
        /// Path below the source folder.
        path: String,
        /// What is wrong.
        reason: String,
    },
    /// An object lacks what every object has.
    #[error("an object in {path:?} has no {field}")]
    Incomplete {
        /// Path below the source folder.
        path: String,
        /// The field that is missing.
        field: &'static str,
    },
    /// A pattern of the source is malformed or too costly. Taking it for a mismatch would leave out
    /// files, and what leaves the targets is pruned.
    #[error("spec.source.{field}: {error}")]
    Pattern {
        /// Field of the source.
        field: &'static str,
        /// What is wrong with it.
        error: GlobError,
    },
    /// A field of the source cannot be honoured.
    #[error("spec.source.{field}: {reason}")]
    Field {
        /// Field of the source.
        field: &'static str,
        /// What is wrong, and what would be right.
        reason: String,
    },
    /// A chart that a chart depends on, or a file of values, cannot be downloaded.
    #[error("cannot download {what} from {url:?}: {error}")]
    Download {
        /// What it is.
        what: String,
        /// Its URL or that of its repository, without credentials.
        url: String,
        /// What is wrong.
        error: Box<ChartError>,
    },
    /// A repository that a kustomization names cannot be read.
    #[error("cannot read the base {url:?}: {reason}")]
    Base {
        /// URL of the repository, without credentials.
        url: String,
        /// What is wrong.
        reason: String,
        /// It may pass by itself.
        transient: bool,
    },
    /// The files cannot be read.
    #[error(transparent)]
    Git(#[from] GitError),
    /// A program did not do its work.
    #[error(transparent)]
    Tool(#[from] ToolError),
    /// The disk refuses a private folder, or a file in it.
    #[error("cannot write the files for {tool}: {reason}")]
    Sandbox {
        /// The program that needs them.
        tool: &'static str,
        /// What is wrong.
        reason: String,
    },
    /// The result is no longer needed.
    #[error("rendering was interrupted")]
    Interrupted,
}

impl RenderError {
    /// An error about a field of the source.
    pub(super) fn field(field: &'static str, reason: impl Into<String>) -> Self {
        Self::Field {
            field,
            reason: reason.into(),
        }
    }

    /// True when the same inputs may be rendered later.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Git(
                GitError::Fetch(FetchError::Store(_))
                | GitError::Interrupted
                | GitError::LargeFiles,
            )
            | Self::Sandbox { .. }
            | Self::Interrupted => true,
            Self::Tool(error) => error.is_transient(),
            Self::Download { error, .. } => error.is_transient(),
            Self::Base { transient, .. } => *transient,
            _ => false,
        }
    }
}
