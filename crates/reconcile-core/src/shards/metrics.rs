//! Numbers about the shards of a process.

use prometheus::{IntCounterVec, IntGauge, Opts, Registry};

/// What the pool counts.
#[derive(Clone, Debug)]
pub(super) struct ShardMetrics {
    held: IntGauge,
    changes: IntCounterVec,
}

impl ShardMetrics {
    /// Registers `shards`, `shards_held` and `shard_changes_total`.
    pub(super) fn register(registry: &Registry, count: u32) -> Result<Self, prometheus::Error> {
        let all = IntGauge::new("shards", "Shards that the processes of this pool share.")?;
        all.set(count.into());
        let held = IntGauge::new("shards_held", "Shards that this process holds.")?;
        let changes = IntCounterVec::new(
            Opts::new(
                "shard_changes_total",
                "Shards that this process took, handed over or lost.",
            ),
            &["change"],
        )?;
        for change in ["taken", "handed_over", "lost"] {
            changes.with_label_values(&[change]);
        }
        registry.register(Box::new(all))?;
        registry.register(Box::new(held.clone()))?;
        registry.register(Box::new(changes.clone()))?;
        Ok(Self { held, changes })
    }

    pub(super) fn holds(&self, shards: usize) {
        self.held.set(i64::try_from(shards).unwrap_or(i64::MAX));
    }

    pub(super) fn changed(&self, change: &str) {
        self.changes.with_label_values(&[change]).inc();
    }
}
