//! The small value types of the Kubernetes API, read and written exactly as Go does.
//!
//! - [`go_duration`]: `time.Duration` as text (`1h30m`), and fields where a bare number means seconds
//! - [`quantity`]: `resource.Quantity` (`500m`, `1Gi`) with comparison and canonical form
//! - [`int_or_percent`]: `intstr.IntOrString` used for counts (`3`, `25%`)
//! - [`selector`]: label selectors, structured and as text
//! - [`names`]: what may be a name, and the short hashes that Kubernetes puts into names

pub mod go_duration;
pub mod int_or_percent;
pub mod names;
pub mod quantity;
pub mod selector;

#[cfg(test)]
mod tests;

pub use go_duration::GoDuration;
pub use int_or_percent::IntOrString;
pub use quantity::Quantity;
pub use selector::{LabelSelector, Selector};
