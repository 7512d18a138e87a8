//! The next step of an operation.

use crate::api::OperationState;

/// When the operation began.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    /// In this pass; nothing of it is in the status yet.
    Now,
    /// In an earlier pass.
    Earlier,
}

/// The next step of the operation.
#[derive(Clone, Debug, PartialEq)]
pub enum OperationStep {
    /// No operation.
    Idle,
    /// Write the start to the status before anything is done; the next pass continues.
    Begin(Box<OperationState>),
    /// The state has changed without any effect, or waits.
    Hold(Box<OperationState>),
    /// The plan has effects; what they bring is added to the state.
    Act {
        /// The state before the effects.
        state: Box<OperationState>,
        /// When the operation began.
        start: Start,
        /// Success of the effects ends the operation.
        last: bool,
    },
    /// The operation has ended.
    End(Box<OperationState>, Start),
}
