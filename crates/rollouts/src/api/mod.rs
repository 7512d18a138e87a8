//! The kinds as Rust types.

pub mod analysis;
pub mod analysis_fields;
pub mod experiment;
pub mod experiment_fields;
pub mod fields;
pub mod rollout;
pub mod schema;
