//! What can go wrong in a pass.

use reconcile_core::{
    apply::ApplyError,
    error::{Classify, ErrorClass},
    object::FieldError,
};
use thiserror::Error;

use crate::analysis::{CreateError, TemplateError, build::BuildError};

/// A pass failed.
#[derive(Debug, Error)]
pub enum ExperimentError {
    /// The manifest is wrong.
    #[error("{0}")]
    Invalid(#[from] FieldError),
    /// The API server refused or did not answer.
    #[error(transparent)]
    Api(Box<ApplyError>),
    /// An AnalysisRun could not be created.
    #[error(transparent)]
    Run(Box<CreateError>),
    /// The object of a former Experiment with the same name is not deleted yet.
    #[error("waiting until {0} of a former Experiment with this name is deleted")]
    Leftover(String),
    /// The program asked for something impossible.
    #[error("{0}")]
    Bug(String),
}

impl Classify for ExperimentError {
    fn class(&self) -> ErrorClass {
        match self {
            Self::Invalid(_) => ErrorClass::Invalid,
            Self::Api(error) => error.class(),
            Self::Run(error) => error.class(),
            Self::Leftover(_) => ErrorClass::Transient,
            Self::Bug(_) => ErrorClass::Bug,
        }
    }
}

impl From<ApplyError> for ExperimentError {
    fn from(error: ApplyError) -> Self {
        Self::Api(Box::new(error))
    }
}

impl From<CreateError> for ExperimentError {
    fn from(error: CreateError) -> Self {
        Self::Run(Box::new(error))
    }
}

/// Why there is no AnalysisRun for an analysis.
#[derive(Clone, Debug, Error)]
pub enum RunError {
    /// A template is missing or malformed.
    #[error(transparent)]
    Template(#[from] TemplateError),
    /// Templates and arguments do not make a run.
    #[error(transparent)]
    Build(#[from] BuildError),
    /// The value of an argument opens braces and does not close them.
    #[error("\"{0}\": missing }}}}")]
    OpenBraces(String),
    /// The value of an argument names something that an Experiment does not have.
    #[error("failed to resolve {{{{{0}}}}}")]
    UnknownName(String),
}
