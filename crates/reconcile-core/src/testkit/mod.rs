//! What the tests of operators need instead of a cluster (feature `testkit`).
//!
//! - [`FakeApi`]: an API server in memory that hands out a real [`kube::Client`]. It has ordered
//!   resourceVersions and conflicts, watches with bookmarks and streamed lists, all patch types with
//!   a light form of field ownership, the status subresource, finalizers, owner references, label
//!   and field selectors, faults on demand and a log of every request.
//! - [`Simulation`]: named actors in seeded random order over one world, with invariants after each
//!   step and a bound on the number of steps; [`pass_in_memory`](crate::reconcile::pass_in_memory) is one pass of a
//!   controller in it.
//! - [`Transcript`]: what happened, one line per step, for golden files.
//! - [`check_command_line`], [`check_metrics_address`]: what the built binary of every operator must do.
//! - [`histories`], [`seeds`]: which random histories a simulation plays.
//! - [`count_skipped`], [`skip_where`]: lists a test that lacks a program it needs, and fails it unless that is allowed.
//!
//! Nothing here is built into a binary.

mod api;
mod call;
mod command_line;
mod fault;
mod follow;
mod kinds;
mod ownership;
mod patch;
mod seeds;
mod simulation;
mod skipped;
mod store;
mod transcript;
mod verbs;

#[cfg(test)]
mod tests;

pub use api::{FakeApi, FakeServer, Health, Logged};
pub use command_line::{check_command_line, check_metrics_address};
pub use fault::Fault;
pub use kinds::FakeKind;
pub use seeds::{histories, seeds};
pub use simulation::{Act, Failure, Finished, Random, Simulation};
pub use skipped::{count_skipped, skip_where};
pub use transcript::Transcript;
