//! Why a pass failed.

use crate::error::{Classify, ErrorClass, error_chain};

/// What decides about the next pass, and what is logged.
#[derive(Clone, Debug)]
pub(super) struct Failure {
    pub(super) class: ErrorClass,
    pub(super) text: String,
}

impl Failure {
    pub(super) fn of<E: std::error::Error + Classify + 'static>(error: &E) -> Self {
        Self {
            class: error.class(),
            text: error_chain(error),
        }
    }

    /// What was being done.
    pub(super) fn during(mut self, action: &impl std::fmt::Display) -> Self {
        self.text = format!("{action}: {}", self.text);
        self
    }
}
