//! The languages users write inside Argo manifests.

pub mod arguments;
pub mod conditions;
pub mod expr;
pub mod gjson;
pub mod go_text;
pub mod govaluate;
pub mod sjson;

pub use expr::analysis;
