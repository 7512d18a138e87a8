//! Is the live object what Git says? Two stages: a cheap look at the structure, then, only when that is
//! not clean, one server-side dry-run, whose verdict is kept per state of both sides.
//!
//! ```text
//!   desired ⊆ live, nothing of ours beyond desired ──► same
//!   otherwise ──► dry-run apply ──► answer == live ? same : differs
//! ```

mod cache;
mod client_side;
mod ignore;
mod outcome;
mod server_side;
mod structure;

pub use cache::{DiffCache, DiffResult};
pub use client_side::{
    client_side_patch, has_unknown_fields, repeats_list_items, with_last_applied,
};
pub use expressions::jq::{JqError, JqPaths};
pub use ignore::{IgnoreRules, IgnoredPlaces, StatusField, WebhookChanges, jq_problem};
pub use outcome::equal_outcome;
pub use server_side::{DiffError, Differ, Prediction};
pub use structure::{has_legacy_manager, leftover, looks_same, status_differs, take_over};

#[cfg(test)]
mod tests;
