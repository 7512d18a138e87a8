//! What a pass may write.

use std::collections::BTreeMap;

use kube::Client;
use tokio_util::task::task_tracker::TaskTrackerToken;

use super::Driver;
use crate::{
    object::ObjectKey,
    reconcile::Controller,
    shards::{Authority, Claim, shard_of},
};

/// What a pass may write. Holds up the hand-over of the object's shard.
pub(super) struct Rights {
    /// Writes while the lease is held.
    pub(super) client: Client,
    claim: Option<(Claim, TaskTrackerToken)>,
}

impl Rights {
    /// Whether the pass acts for the object.
    pub(super) fn acts(&self) -> bool {
        self.claim
            .as_ref()
            .is_some_and(|(claim, _)| claim.role().is_held())
    }

    /// Whether the shard of the object went while the pass ran.
    pub(super) fn went(&self) -> bool {
        self.claim
            .as_ref()
            .is_some_and(|(claim, _)| claim.leaving().is_cancelled())
    }

    /// Ends when the lease of the object's shard is lost, or the time to hand it over is up.
    pub(super) async fn lost(&self) {
        match &self.claim {
            Some((claim, _)) => claim.lost().cancelled().await,
            None => std::future::pending().await,
        }
    }
}

impl<C: Controller> Driver<C> {
    pub(super) fn rights(&self, key: &ObjectKey) -> Rights {
        let claim = self.authority.claim_of(key);
        let client = match (&self.authority, &claim) {
            // Making one starts a task.
            (Authority::Shards(_), Some(claim)) => self.clients.of(claim, || {
                claim.role().with_deadlines(self.config.report_deadlines)
            }),
            _ => self.client.clone(),
        };
        let claim = claim.map(|claim| {
            let work = claim.work();
            (claim, work)
        });
        Rights { client, claim }
    }

    /// Lets go of the objects of shards that went since `before`, and queues those of shards that came.
    pub(super) fn shards_changed(&self, before: &mut BTreeMap<u32, Claim>) {
        let Authority::Shards(shards) = &self.authority else {
            return;
        };
        let now = shards.claims();
        let without = |ours: &BTreeMap<u32, Claim>, others: &BTreeMap<u32, Claim>, shard| {
            let claim = ours.get(&shard);
            claim.is_some_and(|claim| others.get(&shard).is_none_or(|other| !other.is(claim)))
        };
        for key in self.roots.keys() {
            let shard = shard_of(&key, shards.count());
            let (went, came) = (without(before, &now, shard), without(&now, before, shard));
            if went {
                self.controller.let_go(&key);
            }
            if came || (went && C::EVERY_REPLICA) {
                self.queue.add(key);
            }
        }
        *before = now;
    }
}
