//! The loop that takes shards and hands them over.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use jiff::SignedDuration;
use k8s_openapi::api::coordination::v1::Lease;
use kube::{
    Api, ResourceExt,
    api::{DeleteParams, ListParams, Preconditions},
};
use tokio::sync::Notify;

use super::{
    Claim, Moves, Names, Shards, Sightings, View,
    ending::{Guarded, hand_over, wake_when_held},
    metrics::ShardMetrics,
    moves,
};
use crate::{
    clock::Clock,
    error::error_chain,
    lease::LeaseRecord,
    operator::{Claims, OnLoss, Operator, Role, StartError},
};

/// Shortest pause between looks at the leases.
const SHORTEST_PAUSE: Duration = Duration::from_millis(100);
/// Leases of processes that have been gone for so long are deleted.
const OLD: SignedDuration = SignedDuration::from_mins(5);

/// Says how much work each shard is.
pub type Weigh = Arc<dyn Fn() -> Vec<u64> + Send + Sync>;

/// What makes a pool.
#[derive(Clone)]
pub struct ShardConfig {
    /// What the names of its leases begin with.
    pub prefix: String,
    /// Number of shards; at least 1.
    pub count: u32,
    /// How much work each shard is; `None` when all are equal.
    pub weigh: Option<Weigh>,
    /// The role that a process must hold to take part; `None` when every process takes part. With one shard and the role
    /// of the leader it is the leader that acts for all, and never beside processes with another number of shards.
    pub role: Option<Role>,
}

impl Shards {
    /// Takes part in the pool from the moment on that the operator runs.
    pub fn start(operator: &Operator, config: ShardConfig) -> Result<Self, StartError> {
        let count = config.count.max(1);
        let shards = Self::new(count, ShardMetrics::register(&operator.registry, count)?);
        let names = Names {
            prefix: config.prefix,
            count,
        };
        let claims = &operator.claims;
        let part = Part {
            weigh: config.weigh,
            role: config.role,
        };
        let Some(pool) = Pool::new(&shards, names.clone(), operator, part) else {
            // The only process.
            for index in 0..count {
                let role = claims.claim(&names.shard(index), OnLoss::RunAgain)?;
                shards.take(index, Claim::of_role(role));
            }
            return Ok(shards);
        };
        operator.spawn("shards", pool.run());
        Ok(shards)
    }
}

/// A shard that this process runs for, holds or leaves.
struct Candidacy {
    role: Role,
    phase: Phase,
}

enum Phase {
    /// Its lease is not held, or is held and nobody acts for it yet.
    Running,
    Active(Claim),
    /// Until its lease is released.
    Leaving,
}

/// How this process takes part in a pool.
struct Part {
    weigh: Option<Weigh>,
    role: Option<Role>,
}

struct Pool {
    shards: Shards,
    claims: Claims,
    leases: Api<Lease>,
    clock: Clock,
    pause: Duration,
    margin: Duration,
    names: Names,
    identity: String,
    sightings: Sightings,
    part: Part,
    /// By which others know this process; `None` until it takes part.
    member: Option<Role>,
    candidacies: BTreeMap<u32, Candidacy>,
    wake: Arc<Notify>,
    waits: bool,
}

impl Pool {
    /// `None` when there is no election.
    fn new(shards: &Shards, names: Names, operator: &Operator, part: Part) -> Option<Self> {
        let claims = operator.claims.clone();
        let election = claims.election()?;
        let candidate = election.candidate.clone();
        let timing = election.timing;
        let leases = Api::namespaced(election.client.clone(), &election.namespace);
        Some(Self {
            shards: shards.clone(),
            leases,
            clock: operator.clock.clone(),
            pause: timing.retry_period,
            margin: timing.renew_deadline / 5,
            identity: candidate.identity.clone(),
            sightings: Sightings::new(names.clone(), candidate),
            names,
            part,
            member: None,
            candidacies: BTreeMap::new(),
            wake: Arc::default(),
            waits: false,
            claims,
        })
    }

    async fn run(mut self) {
        if let Some(role) = self.part.role.clone() {
            wake_when_held(&role, &self.wake);
        }
        let mut reported = String::new();
        loop {
            self.join();
            match self.look().await {
                Ok(()) => reported.clear(),
                Err(error) => {
                    let reason = error_chain(&error);
                    if reported != reason {
                        tracing::warn!(reason, "cannot read the leases of shards");
                        reported = reason;
                    }
                }
            }
            tokio::time::sleep(SHORTEST_PAUSE.min(self.pause)).await;
            tokio::select! {
                () = tokio::time::sleep(self.pause) => {}
                () = self.wake.notified() => {}
            }
        }
    }

    /// Lets the others know of this process when it may take part: they share out their shards with it.
    fn join(&mut self) {
        let may = self.part.role.as_ref().is_none_or(Role::is_held);
        if self.member.is_some() || !may {
            return;
        }
        let id = self.sightings.own_id();
        match self.claims.claim(&self.names.worker(&id), OnLoss::RunAgain) {
            Ok(member) => {
                wake_when_held(&member, &self.wake);
                self.member = Some(member);
            }
            Err(error) => tracing::warn!(%error, "cannot take part in the shards"),
        }
    }

    /// Reads the leases once and does what follows.
    async fn look(&mut self) -> Result<(), kube::Error> {
        self.notice_losses();
        // Only of these the list shows who else held what when they were won.
        let won: Vec<u32> = self
            .candidacies
            .iter()
            .filter(|(_, one)| matches!(one.phase, Phase::Running) && one.role.is_held())
            .map(|(shard, _)| *shard)
            .collect();
        let listed = self.leases.list(&ListParams::default()).await?;
        let now = self.clock.steady();
        let records = listed
            .iter()
            .map(|lease| (lease.name_any(), LeaseRecord::of(lease)));
        self.sightings.see(records, now);
        let others = self.sightings.others(now);
        let held = self
            .candidacies
            .iter()
            .filter(|(_, one)| one.role.is_held());
        let mine: BTreeSet<u32> = held.map(|(shard, _)| *shard).collect();
        let mut view = self.sightings.view(&mine, now);
        let pool_holds = view.holders.iter().any(Option::is_some);
        let waits = others.hold || (others.larger && !pool_holds);
        if waits && !self.waits {
            tracing::info!(
                shards = self.names.count,
                "waiting for processes with another number of shards"
            );
        }
        self.waits = waits;
        if others.hold {
            self.give_up_running();
        } else {
            for shard in won {
                self.activate(shard);
            }
        }
        view.weights = self
            .part
            .weigh
            .as_ref()
            .map(|weigh| weigh())
            .unwrap_or_default();
        self.carry_out(&view, waits);
        self.delete_old().await;
        Ok(())
    }

    /// Gives up the leases that [`Guarded`] stopped the work of.
    fn notice_losses(&mut self) {
        for one in self.candidacies.values_mut() {
            if let Phase::Active(claim) = &one.phase
                && claim.leaving().is_cancelled()
            {
                tokio::spawn(hand_over(claim.clone(), self.wake.clone()));
                one.phase = Phase::Leaving;
            }
        }
        self.candidacies.retain(|_, one| !one.role.has_ended());
    }

    fn carry_out(&mut self, view: &View, waits: bool) {
        let Moves { claim, release } = moves(view, &self.identity);
        for (shard, one) in &mut self.candidacies {
            match &one.phase {
                Phase::Active(held) if release.contains(shard) => {
                    tracing::info!(lease = one.role.lease(), "handing over a shard");
                    self.shards.leave(*shard, held, "handed_over");
                    tokio::spawn(hand_over(held.clone(), self.wake.clone()));
                    one.phase = Phase::Leaving;
                }
                Phase::Running if !one.role.is_held() && (waits || !claim.contains(shard)) => {
                    one.leave(&self.wake);
                }
                Phase::Running | Phase::Active(_) | Phase::Leaving => {}
            }
        }
        if waits || !self.member.as_ref().is_some_and(Role::is_held) {
            return;
        }
        for shard in claim {
            if !self.candidacies.contains_key(&shard) {
                self.run_for(shard);
            }
        }
    }

    fn run_for(&mut self, shard: u32) {
        let lease = self.names.shard(shard);
        let seen = self.sightings.observed(&lease).cloned();
        let role = match self.claims.claim_observed(&lease, OnLoss::RunAgain, seen) {
            Ok(role) => role,
            Err(error) => {
                tracing::warn!(%error, "cannot run for a shard");
                return;
            }
        };
        wake_when_held(&role, &self.wake);
        let phase = Phase::Running;
        self.candidacies.insert(shard, Candidacy { role, phase });
    }

    /// Acts for a shard from now on.
    fn activate(&mut self, shard: u32) {
        let Some(one) = self.candidacies.get_mut(&shard) else {
            return;
        };
        if !one.role.is_held() {
            return;
        }
        let claim = Claim::of_role(one.role.clone());
        let guarded = Guarded {
            shards: self.shards.clone(),
            shard,
            claim: claim.clone(),
        };
        tokio::spawn(guarded.run(self.margin, self.wake.clone()));
        one.phase = Phase::Active(claim.clone());
        self.shards.take(shard, claim);
    }

    /// Nobody has acted for these yet.
    fn give_up_running(&mut self) {
        for one in self.candidacies.values_mut() {
            if matches!(one.phase, Phase::Running) {
                one.leave(&self.wake);
            }
        }
    }

    /// Deletes leases of processes that are gone.
    async fn delete_old(&self) {
        for name in self.sightings.old(self.clock.steady(), OLD) {
            if let Err(error) = self.delete_unless_changed(&name).await {
                tracing::debug!(
                    lease = name,
                    error = error_chain(&error),
                    "cannot delete an old lease"
                );
            }
        }
    }

    async fn delete_unless_changed(&self, name: &str) -> Result<(), kube::Error> {
        let Some(lease) = self.leases.get_opt(name).await? else {
            return Ok(());
        };
        let seen = self.sightings.observed(name);
        if seen.is_none_or(|seen| seen.record != LeaseRecord::of(&lease)) {
            return Ok(());
        }
        let params = DeleteParams {
            preconditions: Some(Preconditions {
                uid: lease.uid(),
                resource_version: lease.resource_version(),
            }),
            ..DeleteParams::default()
        };
        match self.leases.delete(name, &params).await {
            Err(kube::Error::Api(status)) if matches!(status.code, 404 | 409) => Ok(()),
            other => other.map(drop),
        }
    }
}

impl Candidacy {
    fn leave(&mut self, wake: &Arc<Notify>) {
        self.role.release();
        self.phase = Phase::Leaving;
        let (role, wake) = (self.role.clone(), wake.clone());
        tokio::spawn(async move {
            role.ended().await;
            wake.notify_one();
        });
    }
}
