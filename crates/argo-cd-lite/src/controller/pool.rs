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

/// For which Applications this process acts: those of its shards, weighed by their number. With one shard the leader acts
/// for all; that is a shard too, so it never acts beside processes that share out the Applications.
pub(super) fn authority(
    operator: &Operator,
    shards: u32,
    roots: &Index<Root<Application>>,
) -> Result<Authority, StartError> {
    let roots = roots.clone();
    let by_leader = shards <= 1;
    let pool = ShardConfig {
        prefix: SHARDS.to_owned(),
        count: shards,
        weigh: Some(Arc::new(move || weights_of(roots.keys(), shards))),
        role: by_leader.then(|| operator.leader_role().clone()),
    };
    Authority::start(operator, Some(pool))
}
