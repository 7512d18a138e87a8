//! Work that is shared out between processes by named claims.
//!
//! ```text
//!   ObjectKey ──shard_of──► shard 0..N        a plain function: processes never disagree
//!   leases of the pool ──► Sightings ──► View ──moves──► take these free shards, hand over those
//!                                                (pure; every process computes the same)
//!   Shards::start(operator, config)  ──► the loop that does so; a lease for each shard
//!   Shards::claim_of(key)            ──► Claim: act for the object, with the client of the lease of its shard
//! ```
//!
//! How an operator uses it:
//!
//! 1. [`Authority::start`] at start, with a prefix of leases, the number of shards and a function that weighs them
//!    ([`weights_of`] counts objects). Without leader election the process holds all shards at once.
//! 2. `DriverConfig { authority: Some(Authority::Shards(shards)), .. }`: the driver runs passes over the objects of
//!    held shards only, writes with the client of the shard's lease, queues all objects of a shard that is gained, and
//!    calls [`Controller::let_go`](crate::reconcile::Controller::let_go) for those of a shard that goes.
//!    A pass that is not through when the time for a hand-over is up is dropped.
//! 3. What acts on its own, beside passes, takes the [`Claim`] of its object: it stops at [`Claim::leaving`], finishes
//!    what it began while it keeps a token of [`Claim::work`], and is dropped at [`Claim::lost`].
//!
//! What holds:
//!
//! - **One process acts for a shard.** It does so from the moment on that it holds the lease. It begins to stop when
//!   renewals fail, before the fence closes; when that closes its work is dropped, and nobody can take the lease before.
//! - **A hand-over loses nothing**: the lease is released when the work of the shard has ended.
//! - **A dead process is replaced** as soon as its leases run out: what was seen of a lease counts from the first look.
//! - **Another number of shards waits.** Processes that count differently never act at the same time: those that hold
//!   shards keep them until the last of them is gone, then the others begin.
//! - **A leader without shards is a pool of one shard** that only it may take ([`ShardConfig::role`]), so it never acts
//!   beside processes with shards.

mod assign;
mod authority;
mod balance;
mod by_claim;
mod claim;
mod ending;
mod held;
mod metrics;
mod pool;
mod sightings;

#[cfg(test)]
mod simulation;

pub use assign::{shard_of, weights_of};
pub use authority::{Authority, AuthorityChanges};
pub use balance::{Moves, View, distribution, moves};
pub use by_claim::ByClaim;
pub use claim::Claim;
pub use held::Shards;
pub use pool::{ShardConfig, Weigh};
pub use sightings::{Names, Others, Sightings};
