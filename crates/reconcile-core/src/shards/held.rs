//! The shards that this process holds.

use std::{collections::BTreeMap, fmt, sync::Arc};

use parking_lot::RwLock;
use tokio::sync::watch;

use super::{Claim, metrics::ShardMetrics, shard_of};
use crate::object::ObjectKey;

/// The shards of a pool that this process holds. Clones share them.
#[derive(Clone)]
pub struct Shards(Arc<Held>);

struct Held {
    count: u32,
    claims: RwLock<BTreeMap<u32, Claim>>,
    changed: watch::Sender<()>,
    metrics: ShardMetrics,
}

impl fmt::Debug for Shards {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Shards").field(&self.held()).finish()
    }
}

impl Shards {
    pub(super) fn new(count: u32, metrics: ShardMetrics) -> Self {
        Self(Arc::new(Held {
            count,
            claims: RwLock::default(),
            changed: watch::Sender::new(()),
            metrics,
        }))
    }

    /// Number of shards of the pool.
    pub fn count(&self) -> u32 {
        self.0.count
    }

    /// The shards that are held.
    pub fn held(&self) -> Vec<u32> {
        self.0.claims.read().keys().copied().collect()
    }

    /// The shards that are held, and by which claims.
    pub fn claims(&self) -> BTreeMap<u32, Claim> {
        self.0.claims.read().clone()
    }

    /// The claim by which this process may act for an object now.
    pub fn claim_of(&self, key: &ObjectKey) -> Option<Claim> {
        let claims = self.0.claims.read();
        // Known at once while nothing is held, or everything in one shard.
        if claims.is_empty() {
            return None;
        }
        let claim = claims.get(&shard_of(key, self.0.count))?;
        (!claim.leaving().is_cancelled()).then(|| claim.clone())
    }

    /// Changes whenever a shard is taken or goes.
    pub fn changes(&self) -> watch::Receiver<()> {
        self.0.changed.subscribe()
    }

    pub(super) fn take(&self, shard: u32, claim: Claim) {
        let mut claims = self.0.claims.write();
        claims.insert(shard, claim);
        self.0.metrics.holds(claims.len());
        drop(claims);
        self.0.metrics.changed("taken");
        self.0.changed.send_replace(());
    }

    /// Nobody takes this claim any more; nothing happens when that is so already.
    pub(super) fn leave(&self, shard: u32, claim: &Claim, change: &str) {
        claim.leaving().cancel();
        let mut claims = self.0.claims.write();
        if !claims.get(&shard).is_some_and(|held| held.is(claim)) {
            return;
        }
        claims.remove(&shard);
        self.0.metrics.holds(claims.len());
        drop(claims);
        self.0.metrics.changed(change);
        self.0.changed.send_replace(());
    }
}
