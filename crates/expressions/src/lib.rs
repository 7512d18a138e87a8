//! The languages users write inside Argo manifests.

pub mod arguments;
pub mod conditions;
pub mod cron;
pub mod expr;
pub mod gjson;
pub mod go_text;
pub mod gotemplate;
pub mod govaluate;
pub mod jsonpath;
pub mod sjson;
pub mod sprig;

pub use expr::{analysis, filter};
