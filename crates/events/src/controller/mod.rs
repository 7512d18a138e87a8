//! The controllers of the three kinds. Each follows observe, plan, apply, report; what runs is the data
//! plane ([`crate::worker`]), which they start, change and stop.

pub mod conditions;
pub mod context;
pub mod dedicated;
mod elsewhere;
pub mod error;
pub mod eventbus;
pub mod eventsource;
pub mod object_state;
pub mod sensor;

pub use context::ControllerContext;
pub use error::ReconcileError;
pub use object_state::ObjectState;

#[cfg(test)]
mod tests;
