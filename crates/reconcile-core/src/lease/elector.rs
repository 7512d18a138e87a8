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
use crate::{client::Fence, clock::Clock};

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
            // Work in flight ends before the lease goes to somebody else; keep it alive meanwhile.
            tokio::select! {
                () = drained => {}
                lost = self.campaign() => tracing::warn!(%lost, "while stopping"),
            }
            self.release().await;
        }
        self.fence.close();
        outcome
    }

    /// Takes and renews for ever; returns only when leadership was lost.
    async fn campaign(&mut self) -> LeaseLost {
        let mut renewed: Option<Timestamp> = None;
        loop {
            let before = self.clock.now();
            let attempt = tokio::time::timeout(self.config.timing.renew_deadline, self.attempt());
            let outcome = match attempt.await {
                Ok(Ok(holds)) => Ok(holds),
                Ok(Err(error)) => Err(error.to_string()),
                Err(_) => Err("the API server did not answer in time".to_owned()),
            };
            let leads = *self.leads.borrow();
            match outcome {
                Ok(true) => {
                    renewed = Some(before);
                    self.fence
                        .extend(before + signed(self.config.timing.renew_deadline));
                    if !leads {
                        tracing::info!(lease = %self.config.name, identity = %self.config.identity, "became the leader");
                        self.leads.send_replace(true);
                    }
                }
                Ok(false) if leads => return self.lost("another replica holds it"),
                Ok(false) => {}
                Err(reason) => {
                    tracing::warn!(lease = %self.config.name, %reason, "cannot renew or take the lease");
                    let deadline = signed(self.config.timing.renew_deadline);
                    let late =
                        renewed.is_some_and(|at| self.clock.now().duration_since(at) >= deadline);
                    if leads && late {
                        return self.lost(&reason);
                    }
                }
            }
            tokio::time::sleep(self.config.timing.retry_period).await;
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

    /// One look and, if due, one write. True when the lease is ours afterwards.
    async fn attempt(&mut self) -> Result<bool, kube::Error> {
        let found = self.api.get_opt(&self.config.name).await?;
        let now = self.clock.now();
        self.observe(found.as_ref(), now);
        let decision = decide(self.seen.as_ref(), &self.config.identity, now);
        let acquired = found
            .as_ref()
            .and_then(|lease| lease.spec.as_ref())
            .and_then(|spec| spec.acquire_time.clone());
        let written = match decision {
            Decision::Wait => return Ok(false),
            Decision::Create => {
                let lease = self.lease(now, MicroTime(now), 0, None);
                self.api.create(&PostParams::default(), &lease).await
            }
            Decision::Take { transitions } => {
                let version = self.version.clone();
                let lease = self.lease(now, MicroTime(now), transitions, version);
                self.api
                    .replace(&self.config.name, &PostParams::default(), &lease)
                    .await
            }
            Decision::Renew => {
                let transitions = self.seen.as_ref().map_or(0, |seen| seen.record.transitions);
                let acquired = acquired.unwrap_or(MicroTime(now));
                let lease = self.lease(now, acquired, transitions, self.version.clone());
                self.api
                    .replace(&self.config.name, &PostParams::default(), &lease)
                    .await
            }
        };
        match written {
            Ok(lease) => {
                self.observe(Some(&lease), now);
                Ok(true)
            }
            // Somebody else was faster; the next look shows who.
            Err(kube::Error::Api(status)) if status.code == 409 => Ok(false),
            Err(error) => Err(error),
        }
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

    fn lease(
        &self,
        now: Timestamp,
        acquired: MicroTime,
        transitions: i32,
        version: Option<String>,
    ) -> Lease {
        let seconds = self.config.timing.lease_duration.as_secs();
        Lease {
            metadata: ObjectMeta {
                name: Some(self.config.name.clone()),
                namespace: Some(self.config.namespace.clone()),
                resource_version: version,
                ..ObjectMeta::default()
            },
            spec: Some(LeaseSpec {
                holder_identity: Some(self.config.identity.clone()),
                lease_duration_seconds: Some(i32::try_from(seconds).unwrap_or(i32::MAX)),
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
        if !*self.leads.borrow() {
            return;
        }
        self.leads.send_replace(false);
        self.fence.close();
        let now = self.clock.now();
        let transitions = self.seen.as_ref().map_or(0, |seen| seen.record.transitions);
        let mut lease = self.lease(now, MicroTime(now), transitions, self.version.clone());
        if let Some(spec) = &mut lease.spec {
            spec.holder_identity = Some(String::new());
            // The API server demands a positive duration; client-go writes one second too.
            spec.lease_duration_seconds = Some(1);
        }
        let params = PostParams::default();
        let release = self.api.replace(&self.config.name, &params, &lease);
        match tokio::time::timeout(PATIENCE, release).await {
            Ok(Ok(_)) => tracing::info!(lease = %self.config.name, "released the lease"),
            Ok(Err(error)) => tracing::warn!(%error, "cannot release the lease"),
            Err(_) => tracing::warn!("cannot release the lease in time"),
        }
    }
}

fn signed(duration: Duration) -> SignedDuration {
    SignedDuration::try_from(duration).unwrap_or(SignedDuration::MAX)
}
