//! How processes share out Applications.

use std::sync::Arc;

use reconcile_core::{
    object::Root,
    operator::{Operator, StartError},
    shards::{Authority, ShardConfig, weights_of},
    watch::Index,
};

use crate::api::Application;

/// The leases of shards begin with this.
const SHARDS: &str = "argo-cd-lite-shard";

/// For which Applications this process acts: those of its shards, weighed by their number; with one shard the leader acts
/// for all.
pub(super) fn authority(
    operator: &Operator,
    shards: u32,
    roots: &Index<Root<Application>>,
) -> Result<Authority, StartError> {
    let roots = roots.clone();
    let pool = (shards > 1).then(|| ShardConfig {
        prefix: SHARDS.to_owned(),
        count: shards,
        weigh: Some(Arc::new(move || weights_of(roots.keys(), shards))),
        role: None,
    });
    Authority::start(operator, pool)
}
