//! What can go wrong in a pass.

use std::time::Duration;

use reconcile_core::{
    apply::ApplyError,
    error::{Classify, ErrorClass},
    object::FieldError,
};
use thiserror::Error;

use super::traffic::RouterError;
use crate::analysis::{CreateError, TemplateError, build::BuildError};

/// Pause before route objects that are missing or unfit are read again. No watch tells of them.
const ROUTES_AGAIN: Duration = Duration::from_secs(10);

/// A pass failed.
#[derive(Debug, Error)]
pub enum RolloutError {
    /// The manifest is wrong, or names something that does not exist.
    #[error("{0}")]
    Invalid(#[from] FieldError),
    /// A route object is missing or does not fit the manifest.
    #[error("{0}")]
    Unrouted(#[source] FieldError),
    /// The API server refused or did not answer.
    #[error(transparent)]
    Api(Box<ApplyError>),
    /// The ReplicaSet of the newest template could not be created.
    #[error("Failed to create new replica set {name:?}: {source}")]
    CreateReplicaSet {
        /// Its name.
        name: String,
        /// Why.
        #[source]
        source: Box<ApplyError>,
    },
    /// The analysis could not be put together.
    #[error("{0}")]
    Analysis(#[from] BuildError),
    /// A template is missing or malformed.
    #[error("{0}")]
    Template(#[from] TemplateError),
    /// An AnalysisRun could not be created.
    #[error(transparent)]
    Run(Box<CreateError>),
    /// A traffic router cannot write its routes.
    #[error("traffic routing: {0}")]
    Route(#[source] RouterError),
    /// The Rollout or a ReplicaSet changed since the pass read it.
    #[error("the object changed since it was read")]
    Stale,
    /// The program asked for something impossible.
    #[error("{0}")]
    Bug(String),
}

impl RolloutError {
    /// True when the API server said no in a way that a person has to mend: a missing right, a webhook, a
    /// quota. What heals by itself, as a conflict, an overload or an outage, is none of it.
    pub fn is_refusal(&self) -> bool {
        let code = match self {
            Self::Api(source)
            | Self::CreateReplicaSet { source, .. }
            | Self::Route(RouterError::Api(source)) => source.code(),
            Self::Run(run) => match &**run {
                CreateError::Api(source) => source.code(),
                CreateError::Form(..) | CreateError::NoName(_) => return true,
            },
            Self::Route(RouterError::Invalid(_))
            | Self::Invalid(_)
            | Self::Unrouted(_)
            | Self::Analysis(_)
            | Self::Template(_)
            | Self::Stale
            | Self::Bug(_) => None,
        };
        code.is_some_and(|code| (400..500).contains(&code) && !matches!(code, 404 | 409 | 429))
    }
}

impl Classify for RolloutError {
    fn class(&self) -> ErrorClass {
        match self {
            Self::Invalid(_) | Self::Analysis(_) | Self::Template(_) => ErrorClass::Invalid,
            Self::Unrouted(_) => ErrorClass::RetryAfter(ROUTES_AGAIN),
            Self::Api(error) => error.class(),
            // What the API server calls invalid stays so; a quota may let it through later.
            Self::CreateReplicaSet { source, .. } => source.class(),
            Self::Run(error) => error.class(),
            Self::Route(error) => error.class(),
            // What was observed is old: it is read and planned again.
            Self::Stale => ErrorClass::Conflict,
            Self::Bug(_) => ErrorClass::Bug,
        }
    }
}

impl From<ApplyError> for RolloutError {
    fn from(error: ApplyError) -> Self {
        Self::Api(Box::new(error))
    }
}

impl From<CreateError> for RolloutError {
    fn from(error: CreateError) -> Self {
        Self::Run(Box::new(error))
    }
}

/// What a router finds while it reads is either wrong in the manifest or a failed request.
impl From<RouterError> for RolloutError {
    fn from(error: RouterError) -> Self {
        match error {
            RouterError::Invalid(error) => Self::Unrouted(error),
            RouterError::Api(error) => Self::Api(error),
        }
    }
}
