//! What can go wrong in a pass.

use reconcile_core::{
    apply::ApplyError,
    error::{Classify, ErrorClass},
    object::FieldError,
};
use thiserror::Error;

use crate::bus::BusError;

/// A pass failed.
#[derive(Debug, Error)]
pub enum ReconcileError {
    /// The object is not valid.
    #[error(transparent)]
    Invalid(#[from] FieldError),
    /// The shard of the object went to another process during the pass.
    #[error("another process acts for this object")]
    NotHeld,
    /// The API server refused or did not answer.
    #[error(transparent)]
    Apply(#[from] ApplyError),
    /// The bus cannot be connected to with these settings.
    #[error(transparent)]
    Bus(#[from] BusError),
}

impl Classify for ReconcileError {
    fn class(&self) -> ErrorClass {
        match self {
            Self::Invalid(_) => ErrorClass::Invalid,
            Self::NotHeld => ErrorClass::Fenced,
            Self::Apply(error) => error.class(),
            Self::Bus(_) => ErrorClass::Transient,
        }
    }
}
