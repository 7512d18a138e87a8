//! From sources to target objects.
//!
//! ```text
//!   trees ──► renderer (directory, helm, kustomize) ──► manifests ──► objects ──► targets
//!      └──────────► inputs: what was read ──► caches: in memory and on disk
//! ```
//!
//! A renderer is a file with a `Renderer`, and a line in `registry.rs`. Targets have the namespace filled in,
//! ownership stamped, settings read and a hash.

mod cache;
mod confinement;
mod directory;
mod document;
mod environment;
mod error;
mod facts;
mod generate;
mod helm;
mod jsonnet;
mod kustomize;
mod large_files;
mod objects;
mod process;
mod registry;
mod remotes;
mod renderer;
mod renders;
mod sandbox;
mod store;
mod target;
mod tools;

pub use error::RenderError;
pub use facts::{AppFacts, ClusterFacts};
pub use generate::{Files, OpenSource, RenderRequest};
pub use jsonnet::run as evaluate_jsonnet;
pub use objects::local_targets;
pub use registry::source_type;
pub use remotes::{Logins, Remotes};
pub use renderer::SourceType;
pub use renders::{RenderFailure, RenderFor, Renders, render_once};
#[cfg(test)]
pub(crate) use target::build;
pub(crate) use target::images;
pub use target::{Placement, Scope, Target, TargetSet};
pub use tools::{ToolError, ToolPaths, Tools};

/// Combined size of the manifests of one application; upstream's default.
pub const MAX_MANIFEST_BYTES: u64 = 10 * 1024 * 1024;

#[cfg(test)]
mod tests;
