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

use super::{Candidate, Decision, LeaseRecord, Observed, Timing, decide};
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
    /// Who runs for it.
    pub candidate: Candidate,
    /// Durations.
    pub timing: Timing,
}

/// A lease was lost before it was released; its role may not write any more.
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
    held: watch::Sender<bool>,
    seen: Option<Observed>,
    version: Option<String>,
    /// The moment before the last renewal that the server confirmed was sent.
    renewed: Option<Reading>,
}

/// What one attempt found out about the lease.
enum Attempt {
    /// It is ours.
    Ours,
    /// Another process holds it.
    Theirs,
    /// Another client wrote it between read and write; the next attempt reads what.
    Changed,
}

impl Elector {
    /// An elector; `client` must not be behind the fence that it opens.
    pub fn new(
        client: Client,
        config: LeaseConfig,
        fence: Fence,
        clock: Clock,
        held: watch::Sender<bool>,
    ) -> Self {
        let api = Api::namespaced(client, &config.namespace);
        Self {
            api,
            config,
            fence,
            clock,
            held,
            seen: None,
            version: None,
            renewed: None,
        }
    }

    /// As an elector that saw the lease so before: a holder that was silent all the time need not be waited for again.
    #[must_use]
    pub fn that_saw(mut self, seen: Option<Observed>) -> Self {
        self.seen = seen;
        self
    }

    /// Runs for the lease and holds it until `stop`, then gives it back when the work in flight has ended. Ends with
    /// an error when the lease is lost; then it can be run again.
    pub async fn run(
        &mut self,
        stop: &CancellationToken,
        drained: impl Future<Output = ()>,
    ) -> Result<(), LeaseLost> {
        let outcome = tokio::select! {
            () = stop.cancelled() => Ok(()),
            lost = self.campaign() => Err(lost),
        };
        if outcome.is_ok() {
            if self.holds() {
                // Work in flight ends before another process gets the lease; keep it meanwhile.
                tokio::select! {
                    () = drained => {}
                    lost = self.campaign() => tracing::warn!(reason = %lost, "work in flight cannot write any more"),
                }
            } else {
                drained.await;
            }
            self.release().await;
        }
        self.fence.close();
        outcome
    }

    fn holds(&self) -> bool {
        *self.held.borrow()
    }

    /// How long the next try may take: what is left of the renew deadline to a holder, all of it to a candidate.
    fn patience(&self) -> Duration {
        let deadline = self.config.timing.renew_deadline;
        let passed = self
            .renewed
            .filter(|_| self.holds())
            .map(|at| self.clock.steady().duration_since(at.steady))
            .and_then(|passed| Duration::try_from(passed).ok());
        deadline.saturating_sub(passed.unwrap_or_default())
    }

    /// Takes and renews the lease; returns only when it was lost.
    async fn campaign(&mut self) -> LeaseLost {
        loop {
            let before = self.clock.read();
            let attempt = tokio::time::timeout(self.patience(), self.attempt());
            let outcome = match attempt.await {
                Ok(Ok(attempt)) => Ok(attempt),
                Ok(Err(error)) => Err(error_chain(&error)),
                Err(_) => Err("the API server did not answer in time".to_owned()),
            };
            match outcome {
                Ok(Attempt::Ours) => self.ours_since(before),
                Ok(Attempt::Theirs) if self.holds() => {
                    return self.lost("another replica holds it");
                }
                Ok(Attempt::Theirs | Attempt::Changed) => {}
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
                return self.lost("it was not renewed in time");
            }
        }
    }

    fn ours_since(&mut self, before: Reading) {
        self.renewed = Some(before);
        let deadline = SignedDuration::try_from(self.config.timing.renew_deadline);
        self.fence.extend(before, deadline.unwrap_or_default());
        if !self.holds() {
            tracing::info!(lease = %self.config.name, identity = %self.config.candidate.identity, "acquired the lease");
            self.held.send_replace(true);
        }
    }

    fn lost(&self, reason: &str) -> LeaseLost {
        self.fence.close();
        self.held.send_replace(false);
        LeaseLost {
            namespace: self.config.namespace.clone(),
            name: self.config.name.clone(),
            reason: reason.to_owned(),
        }
    }

    /// One read and, if due, one write.
    async fn attempt(&mut self) -> Result<Attempt, kube::Error> {
        let found = self.api.get_opt(&self.config.name).await?;
        let now = self.clock.read();
        self.observe(found.as_ref(), now.steady);
        let params = PostParams::default();
        let written = match decide(self.seen.as_ref(), &self.config.candidate, now.steady) {
            Decision::Wait => return Ok(Attempt::Theirs),
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
                Ok(Attempt::Ours)
            }
            Err(kube::Error::Api(status)) if status.code == 409 => Ok(Attempt::Changed),
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
        let record = LeaseRecord::of(lease);
        if self.seen.as_ref().is_none_or(|seen| seen.record != record) {
            self.seen = Some(Observed { record, since: now });
        }
    }

    /// The lease as ours, guarded by the version that was last seen.
    fn lease(&self, now: Timestamp, acquired: MicroTime, transitions: i32) -> Lease {
        // Rounded up: other processes must not take it before the duration that this process counts with.
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
                holder_identity: Some(self.config.candidate.identity.clone()),
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
        self.held.send_replace(false);
        self.fence.close();
        match tokio::time::timeout(PATIENCE, self.give_back()).await {
            Ok(Ok(true)) => tracing::info!(lease = %self.config.name, "released the lease"),
            Ok(Ok(false)) => {}
            Ok(Err(error)) => {
                tracing::warn!(lease = %self.config.name, error = error_chain(&error), "cannot release the lease");
            }
            Err(_) => tracing::warn!(lease = %self.config.name, "cannot release the lease in time"),
        }
    }

    /// False when it is not ours. It is read again, because the stop may have cut off a write whose answer was not
    /// seen.
    async fn give_back(&mut self) -> Result<bool, kube::Error> {
        let found = self.api.get_opt(&self.config.name).await?;
        let now = self.clock.read();
        self.observe(found.as_ref(), now.steady);
        let holder = self.seen.as_ref().map(|seen| seen.record.holder.as_str());
        if holder != Some(self.config.candidate.identity.as_str()) {
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
