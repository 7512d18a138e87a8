//! The sync engine: from targets and live objects to an ordered set of effects, step by step.
//!
//! ```text
//!   phases   PreSync ─► Sync ─► PostSync        (SyncFail when something failed)
//!   waves    … -1 ─► 0 ─► 1 …                   next wave when all of this one is healthy
//!   kinds    prunes, Namespace, … , APIService  objects of one kind at the same time
//! ```
//!
//! The engine has no memory of its own: everything it must know after a restart is in
//! `status.operationState.syncResult.resources`, and hooks carry the operation that created them.

mod options;
pub mod plan;
mod settings;

pub use options::SyncOptions;
pub use settings::{DeletePolicy, DeletionPhase, Hook, SyncPhase, SyncSettings};
