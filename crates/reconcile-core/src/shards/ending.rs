//! The end of a shard: its work stops in time, and its lease is released when that has ended.

use std::{sync::Arc, time::Duration};

use tokio::sync::Notify;

use super::{Claim, Shards};
use crate::operator::Role;

/// Time that work gets to end when a shard is handed over.
const HAND_OVER: Duration = Duration::from_secs(20);
/// Time that work gets to be dropped after that.
const DROP: Duration = Duration::from_secs(5);

/// Wakes the loop when the lease is held, or given up before.
pub(super) fn wake_when_held(role: &Role, wake: &Arc<Notify>) {
    let (role, wake) = (role.clone(), wake.clone());
    tokio::spawn(async move {
        let mut held = role.held();
        tokio::select! {
            _ = held.wait_for(|held| *held) => {}
            () = role.ended() => {}
        }
        wake.notify_one();
    });
}

/// A shard whose work is stopped in time when its lease is not renewed.
pub(super) struct Guarded {
    /// The pool.
    pub(super) shards: Shards,
    /// Its number.
    pub(super) shard: u32,
    /// By which it is held.
    pub(super) claim: Claim,
}

impl Guarded {
    pub(super) async fn run(self, margin: Duration, wake: Arc<Notify>) {
        let role = self.claim.role();
        role.fence().until_remaining(margin).await;
        if !self.claim.leaving().is_cancelled() {
            tracing::warn!(
                lease = role.lease(),
                "the lease of a shard is not renewed; its work stops"
            );
            self.shards.leave(self.shard, &self.claim, "lost");
            wake.notify_one();
        }
        role.fence().until_closed().await;
        self.claim.lost().cancel();
    }
}

/// Gives the lease of a shard back when its work has ended.
pub(super) async fn hand_over(claim: Claim, wake: Arc<Notify>) {
    let lease = claim.role().lease();
    if tokio::time::timeout(HAND_OVER, claim.idle()).await.is_err() {
        tracing::warn!(lease, "work of a shard did not end in time and is dropped");
        claim.lost().cancel();
        if tokio::time::timeout(DROP, claim.idle()).await.is_err() {
            tracing::error!(lease, "work of a shard cannot be dropped; this is a bug");
        }
    }
    claim.role().release();
    claim.role().ended().await;
    wake.notify_one();
}
