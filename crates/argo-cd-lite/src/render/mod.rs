//! From files to target objects.
//!
//! ```text
//!   files ──► documents ──► objects ──► targets (namespace filled in, ownership stamped, settings read, hash)
//! ```

mod cache;
mod directory;
mod document;
mod target;

pub use cache::{RenderCache, RenderKey};
pub use directory::{DirectoryFilter, RenderError, RenderRequest, render};
#[cfg(test)]
pub(crate) use target::build;
pub(crate) use target::images;
pub use target::{Placement, Scope, Target, TargetSet};

/// Combined size of the manifests of one application; upstream's default.
pub const MAX_MANIFEST_BYTES: u64 = 10 * 1024 * 1024;

#[cfg(test)]
mod tests;
