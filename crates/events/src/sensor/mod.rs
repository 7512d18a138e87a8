//! Sensors, as far as they can be decided without doing anything: which events count, when a trigger
//! fires, what its template becomes, when to try again.
//!
//! ```text
//!   event ─► dependency (filters) ─► state (conditions over saved events) ─► parameter ─► trigger
//!                                                         retry, rate_limit ─┘
//! ```

pub mod annotations;
pub mod checked;
pub mod dependency;
pub mod filter;
pub mod language;
pub mod parameter;
pub mod payload;
pub mod rate_limit;
pub mod retry;
pub mod script;
pub mod state;
pub mod transform;

pub use checked::{CheckedSensor, CheckedTrigger};

#[cfg(test)]
mod tests;
