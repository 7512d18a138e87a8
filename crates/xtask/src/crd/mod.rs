//! CustomResourceDefinitions: from a compact table, or from Rust types, to the YAML that a cluster
//! takes.
//!
//! ```text
//!   table        the notation in which a kind is written down, and its schema and list of fields
//!   descriptions what `kubectl explain` says of the fields
//!   core_types   Kubernetes' own types (`core.PodTemplateSpec`), expanded
//!   open         a schema for kinds that take everything, as upstream's definitions of them have none
//!   structural   schemars output as a structural schema: no references, no unions, marks for merging
//!   marks        which lists are keyed by what, so that server-side apply merges containers
//!   definition   names, columns and subresources around a schema
//!   compare      what another definition of the same kind has and this one has not
//! ```
//!
//! Pod templates are expanded and never left open: an open blob makes the list of containers atomic
//! under server-side apply, so that two appliers take it from each other.

mod compare;
mod core_types;
mod definition;
mod descriptions;
mod marks;
mod open;
mod structural;
mod table;

#[cfg(test)]
mod tests;

pub use compare::{Difference, compare};
pub use core_types::core_type;
pub use definition::{Column, Definition, Scope};
pub use descriptions::Descriptions;
pub use structural::structural;
pub use table::{Row, Table, TableError, Types};
