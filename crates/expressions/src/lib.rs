//! The languages users write inside Argo manifests.

pub mod arguments;
pub mod conditions;
pub mod expr;
pub mod go_text;

pub use expr::analysis;
