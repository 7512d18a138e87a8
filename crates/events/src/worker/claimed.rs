//! What acts by a claim: it stops with it, and acts with its client.

use kube::Config;
use reconcile_core::shards::{ByClaim, Claim};
use tokio_util::sync::CancellationToken;

use crate::trigger::{Executor, identity::Identities};

/// Executors by claim: their writes pass the fence of its lease.
pub(super) struct Executors {
    /// The executor of the leader's claim; the others share its connections.
    base: Executor,
    config: Config,
    others: ByClaim<Executor>,
}

impl Executors {
    pub(super) fn new(base: Executor, config: Config) -> Self {
        Self {
            base,
            config,
            others: ByClaim::default(),
        }
    }

    pub(super) fn of(&self, claim: &Claim) -> Executor {
        if self.base.identities.are_of(claim.role()) {
            return self.base.clone();
        }
        self.others.of(claim, || Executor {
            identities: Identities::new(claim.role().clone(), self.config.clone()),
            fence: claim.role().fence().clone(),
            ..self.base.clone()
        })
    }
}

/// Runs `work` by a claim: `stop` is cancelled when the claim is about to go, and the work is dropped when it is lost.
/// Until the work has ended the claim is not handed over.
pub(super) fn by_claim<T>(
    claim: Claim,
    stop: CancellationToken,
    work: impl Future<Output = Option<T>>,
) -> impl Future<Output = Option<T>> {
    // Boxed before the future is made, which would have room for the work itself too.
    let mut work = Box::pin(work);
    async move {
        let _held = claim.work();
        tokio::select! {
            ended = &mut work => return ended,
            () = claim.leaving().cancelled() => stop.cancel(),
        }
        tokio::select! {
            ended = work => ended,
            () = claim.lost().cancelled() => None,
        }
    }
}
