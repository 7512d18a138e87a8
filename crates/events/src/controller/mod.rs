//! The controllers of the three kinds. Each follows observe, plan, apply, report; what runs is the data
//! plane ([`crate::worker`]), which they start, change and stop.

pub mod about;
pub mod conditions;
pub mod error;
pub mod eventbus;
pub mod eventsource;
pub mod sensor;
pub mod shared;

pub use about::About;
pub use error::ReconcileError;
pub use shared::Shared;

#[cfg(test)]
mod tests;
