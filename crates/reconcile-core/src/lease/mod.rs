//! Leader election on a client-go compatible Lease.
//!
//! Own code, because the record has to be shared with the Go controllers during a migration: their
//! holder must be taken over when it dies, although its fields belong to another field manager, and its
//! clock must not be trusted. `docs/decisions/0001-leader-election.md` has the test of the library that
//! was tried.
//!
//! [`decide`] is pure; [`Elector`] is the loop around it. The [`crate::client::Fence`] is extended only
//! by a renewal that the server confirmed, counted from the moment before it was sent. A leader gives up at its renew
//! deadline, whatever request is under way then, and the process ends; so what it had sent is dropped before
//! anybody else may take over.

mod decide;
mod elector;

pub use decide::{Decision, LeaseRecord, Observed, Timing, decide};
pub use elector::{Elector, LeaseConfig, LeaseLost};
