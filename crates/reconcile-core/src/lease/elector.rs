//! The election loop.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::{
    api::coordination::v1::{Lease, LeaseSpec},
    apimachinery::pkg::apis::meta::v1::MicroTime,
};
use kube::{
    Api, Client,
    api::{ObjectMeta, PostParams},
};
use thiserror::Error;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::{Decision, LeaseRecord, Observed, Timing, decide};
use crate::{
    client::Fence,
    clock::{Clock, Reading},
    error::error_chain,
};

/// Which lease to run for.
#[derive(Clone, Debug)]
pub struct LeaseConfig {
    /// Namespace of the Lease.
    pub namespace: String,
    /// Name of the Lease; upstream's, so that a Go controller and this one exclude each other.
    pub name: String,
    /// Name of this candidate; must differ between replicas.
    pub identity: String,
    /// Durations.
    pub timing: Timing,
}

/// Leadership ended although nobody asked for it; the process must end.
#[derive(Debug, Error)]
#[error("lost the lease {namespace}/{name}: {reason}")]
pub struct LeaseLost {
    namespace: String,
    name: String,
    reason: String,
}

/// Runs for a lease, holds it, and gives it back.
pub struct Elector {
    /// Unfenced: the election comes before the fence.
    api: Api<Lease>,
    config: LeaseConfig,
    fence: Fence,
    clock: Clock,
    leads: watch::Sender<bool>,
    seen: Option<Observed>,
    version: Option<String>,
    /// The moment before the last renewal that the server confirmed was sent.
    renewed: Option<Reading>,
}

/// What a look at the lease, and a write if one was due, brought.
enum Look {
    /// It is ours.
    Ours,
    /// Somebody else holds it.
    Theirs,
    /// Somebody else wrote it between look and write; the next look shows what.
    Changed,
}

impl Elector {
    /// An elector; `client` must not be behind the fence that it opens.
    pub fn new(
        client: Client,
        config: LeaseConfig,
        fence: Fence,
        clock: Clock,
        leads: watch::Sender<bool>,
    ) -> Self {
        let api = Api::namespaced(client, &config.namespace);
        Self {
            api,
            config,
            fence,
            clock,
            leads,
            seen: None,
            version: None,
            renewed: None,
        }
    }

    /// Runs until `stop`, then gives the lease back. Ends with an error when leadership is lost.
    pub async fn run(
        mut self,
        stop: CancellationToken,
        drained: impl Future<Output = ()>,
    ) -> Result<(), LeaseLost> {
        let outcome = tokio::select! {
            () = stop.cancelled() => Ok(()),
            lost = self.campaign() => Err(lost),
        };
        if outcome.is_ok() {
            if self.leads() {
                // Work in flight ends before the lease goes to somebody else; keep it alive meanwhile.
                tokio::select! {
                    () = drained => {}
                    lost = self.campaign() => tracing::warn!(%lost, "while stopping"),
                }
            } else {
                drained.await;
            }
            self.release().await;
        }
        self.fence.close();
        outcome
    }

    fn leads(&self) -> bool {
        *self.leads.borrow()
    }

    /// How long the next try may take: what is left of the renew deadline to a leader, all of it to a candidate.
    fn patience(&self) -> Duration {
        let deadline = self.config.timing.renew_deadline;
        let passed = self
            .renewed
            .filter(|_| self.leads())
            .map(|at| self.clock.steady().duration_since(at.steady))
            .and_then(|passed| Duration::try_from(passed).ok());
        deadline.saturating_sub(passed.unwrap_or_default())
    }

    /// Takes and renews for ever; returns only when leadership was lost.
    async fn campaign(&mut self) -> LeaseLost {
        loop {
            let before = self.clock.read();
            let attempt = tokio::time::timeout(self.patience(), self.attempt());
            let outcome = match attempt.await {
                Ok(Ok(look)) => Ok(look),
                Ok(Err(error)) => Err(error_chain(&error)),
                Err(_) => Err("the API server did not answer in time".to_owned()),
            };
            match outcome {
                Ok(Look::Ours) => self.ours_since(before),
                Ok(Look::Theirs) if self.leads() => {
                    return self.lost("another replica holds it");
                }
                Ok(Look::Theirs | Look::Changed) => {}
                Err(reason) => {
                    tracing::warn!(lease = %self.config.name, %reason, "cannot renew or take the lease");
                    // Not after another pause: others may take it soon.
                    if self.patience().is_zero() {
                        return self.lost(&reason);
                    }
                }
            }
            let pause = self.config.timing.retry_period.min(self.patience());
            tokio::time::sleep(pause).await;
            if self.patience().is_zero() {
                return self.lost("it could not be renewed in time");
            }
        }
    }

    fn ours_since(&mut self, before: Reading) {
        self.renewed = Some(before);
        let deadline = SignedDuration::try_from(self.config.timing.renew_deadline);
        self.fence.extend(before, deadline.unwrap_or_default());
        if !self.leads() {
            tracing::info!(lease = %self.config.name, identity = %self.config.identity, "became the leader");
            self.leads.send_replace(true);
        }
    }

    fn lost(&self, reason: &str) -> LeaseLost {
        self.fence.close();
        self.leads.send_replace(false);
        LeaseLost {
            namespace: self.config.namespace.clone(),
            name: self.config.name.clone(),
            reason: reason.to_owned(),
        }
    }

    /// One look and, if due, one write.
    async fn attempt(&mut self) -> Result<Look, kube::Error> {
        let found = self.api.get_opt(&self.config.name).await?;
        let now = self.clock.read();
        self.observe(found.as_ref(), now.steady);
        let params = PostParams::default();
        let written = match decide(self.seen.as_ref(), &self.config.identity, now.steady) {
            Decision::Wait => return Ok(Look::Theirs),
            Decision::Create => {
                let lease = self.lease(now.wall, MicroTime(now.wall), 0);
                self.api.create(&params, &lease).await
            }
            Decision::Take { transitions } => {
                let lease = self.lease(now.wall, MicroTime(now.wall), transitions);
                self.api.replace(&self.config.name, &params, &lease).await
            }
            Decision::Renew => {
                let acquired = found
                    .and_then(|lease| lease.spec?.acquire_time)
                    .unwrap_or(MicroTime(now.wall));
                let lease = self.lease(now.wall, acquired, self.transitions());
                self.api.replace(&self.config.name, &params, &lease).await
            }
        };
        match written {
            Ok(lease) => {
                self.observe(Some(&lease), now.steady);
                Ok(Look::Ours)
            }
            Err(kube::Error::Api(status)) if status.code == 409 => Ok(Look::Changed),
            Err(error) => Err(error),
        }
    }

    fn transitions(&self) -> i32 {
        self.seen.as_ref().map_or(0, |seen| seen.record.transitions)
    }

    fn observe(&mut self, lease: Option<&Lease>, now: Timestamp) {
        let Some(lease) = lease else {
            self.seen = None;
            self.version = None;
            return;
        };
        self.version.clone_from(&lease.metadata.resource_version);
        let spec = lease.spec.clone().unwrap_or_default();
        let record = LeaseRecord {
            holder: spec.holder_identity.unwrap_or_default(),
            duration_seconds: spec.lease_duration_seconds.unwrap_or_default(),
            transitions: spec.lease_transitions.unwrap_or_default(),
            renewed: spec.renew_time.map(|time| time.0.to_string()),
        };
        if self.seen.as_ref().is_none_or(|seen| seen.record != record) {
            self.seen = Some(Observed { record, since: now });
        }
    }

    /// The lease as ours, guarded by the version that was last seen.
    fn lease(&self, now: Timestamp, acquired: MicroTime, transitions: i32) -> Lease {
        // Rounded up: nobody may take it before the duration that this process counts with.
        let seconds = self.config.timing.lease_duration.as_secs_f64().ceil();
        #[expect(
            clippy::cast_possible_truncation,
            reason = "saturates, and a lease lasts seconds"
        )]
        let seconds = seconds as i32;
        Lease {
            metadata: ObjectMeta {
                name: Some(self.config.name.clone()),
                namespace: Some(self.config.namespace.clone()),
                resource_version: self.version.clone(),
                ..ObjectMeta::default()
            },
            spec: Some(LeaseSpec {
                holder_identity: Some(self.config.identity.clone()),
                lease_duration_seconds: Some(seconds),
                acquire_time: Some(acquired),
                renew_time: Some(MicroTime(now)),
                lease_transitions: Some(transitions),
                ..LeaseSpec::default()
            }),
        }
    }

    /// Gives the lease back, so that a standby takes over at once.
    async fn release(&mut self) {
        const PATIENCE: Duration = Duration::from_secs(3);
        self.leads.send_replace(false);
        self.fence.close();
        match tokio::time::timeout(PATIENCE, self.give_back()).await {
            Ok(Ok(true)) => tracing::info!(lease = %self.config.name, "released the lease"),
            Ok(Ok(false)) => {}
            Ok(Err(error)) => {
                tracing::warn!(error = error_chain(&error), "cannot release the lease")
            }
            Err(_) => tracing::warn!("cannot release the lease in time"),
        }
    }

    /// False when it is not ours. It is read anew, because the stop may have cut off a write whose answer was not
    /// seen.
    async fn give_back(&mut self) -> Result<bool, kube::Error> {
        let found = self.api.get_opt(&self.config.name).await?;
        let now = self.clock.read();
        self.observe(found.as_ref(), now.steady);
        let holder = self.seen.as_ref().map(|seen| seen.record.holder.as_str());
        if holder != Some(self.config.identity.as_str()) {
            return Ok(false);
        }
        let mut lease = self.lease(now.wall, MicroTime(now.wall), self.transitions());
        if let Some(spec) = &mut lease.spec {
            spec.holder_identity = Some(String::new());
            // The API server demands a positive duration; client-go writes one second too.
            spec.lease_duration_seconds = Some(1);
        }
        let params = PostParams::default();
        self.api.replace(&self.config.name, &params, &lease).await?;
        Ok(true)
    }
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
