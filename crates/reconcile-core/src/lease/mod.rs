//! Leader election on a client-go compatible Lease.
//!
//! Own code, because the record has to be shared with the Go controllers during a migration: their
//! holder must be taken over when it dies, although its fields belong to another field manager, and its
//! clock must not be trusted. `docs/decisions/0001-leader-election.md` has the test of the library that
//! was tried.
//!
//! [`decide`] is pure; [`Elector`] is the loop around it. The [`crate::client::Fence`] is extended only
//! by a renewal that the server confirmed, counted from the moment before it was sent. A holder gives up at its renew
//! deadline, whatever request is in flight then, and its writes in flight end with the fence; so all of them are
//! dropped before another process may take over.
//!
//! A process in a pod takes the lease of its predecessor in the same pod at once ([`Candidate`]).

mod decide;
mod elector;

pub use decide::{Candidate, Decision, LeaseRecord, Observed, Timing, TimingError, decide};
pub use elector::{Elector, LeaseConfig, LeaseLost};
