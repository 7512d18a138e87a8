//! Roles: parts of the process that write only while they hold a lease of their own.
//!
//! ```text
//!   Claims::claim("leader")  ──► Role: client fenced by that lease ──► controllers
//!   Claims::claim("shard-3") ──► Role: client fenced by that lease ──► workers of the shard
//!   Operator::serving        ──► client that needs no lease        ──► webhooks, reads
//! ```

use std::{fmt, sync::Arc};

use kube::{Client, Config};
use thiserror::Error;
use tokio::{
    sync::{mpsc, watch},
    task::JoinSet,
};
use tokio_util::sync::{CancellationToken, DropGuard};

use super::EndError;
use crate::{
    client::{self, ClientPolicy, Connection, Deadlines, Fence, RequestMetrics},
    clock::Clock,
    lease::{Candidate, Elector, LeaseConfig, LeaseLost, Observed, Timing},
};

/// Claims that were made and not begun yet.
const QUEUE: usize = 256;

/// What follows when a role loses its lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnLoss {
    /// The process ends; Kubernetes starts it again.
    EndProcess,
    /// The process runs for the lease again. Until it holds it, the role's writes are refused.
    RunAgain,
}

/// A lease could not be claimed.
#[derive(Debug, Error)]
#[error("cannot run for the lease {0}: the process is stopping or runs for too many leases")]
pub struct ClaimError(String);

/// A part of the process that writes only while it holds its lease. Clones share it.
#[derive(Clone)]
pub struct Role {
    lease: Arc<str>,
    connection: Connection,
    client: Client,
    policy: ClientPolicy,
    held: watch::Sender<bool>,
    stop: CancellationToken,
    /// Cancelled when the election has ended.
    ended: CancellationToken,
}

impl fmt::Debug for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Role").field(&self.lease).finish()
    }
}

impl Role {
    /// Name of the lease.
    pub fn lease(&self) -> &str {
        &self.lease
    }

    /// The client of the role; its writes pass the fence of the lease.
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// A client of the role with other deadlines, on the same connection.
    pub fn with_deadlines(&self, deadlines: Deadlines) -> Client {
        self.connection.client(ClientPolicy {
            deadlines,
            ..self.policy.clone()
        })
    }

    /// A client of the role for another API server, or one that acts as another account. Its writes pass the fence
    /// of the same lease.
    pub fn connect(&self, config: Config) -> Result<Client, kube::Error> {
        client::connect(config, self.policy.clone())
    }

    /// What the role's requests must pass.
    pub fn policy(&self) -> &ClientPolicy {
        &self.policy
    }

    /// The fence of the lease, for writes that do not go through a client.
    pub fn fence(&self) -> &Fence {
        &self.policy.fence
    }

    /// Whether the lease is held; receivers see every change.
    pub fn held(&self) -> watch::Receiver<bool> {
        self.held.subscribe()
    }

    /// Whether the lease is held now.
    pub fn is_held(&self) -> bool {
        *self.held.borrow()
    }

    /// Ends when the lease was released after [`Role::release`], or given up: from then on it may be claimed again.
    pub async fn ended(&self) {
        self.ended.cancelled().await;
    }

    /// Whether [`Role::ended`] would end at once.
    pub fn has_ended(&self) -> bool {
        self.ended.is_cancelled()
    }

    /// Gives the lease back, so that another process can take it at once. The role's work must have ended.
    pub fn release(&self) {
        self.stop.cancel();
    }
}

/// Makes roles. Clones share the process's elections.
#[derive(Clone)]
pub struct Claims(Arc<Inner>);

struct Inner {
    connection: Connection,
    clock: Clock,
    metrics: RequestMetrics,
    /// `None` when leader election is off: every role may write at once.
    election: Option<Election>,
    queue: mpsc::Sender<Claim>,
    shutdown: CancellationToken,
}

/// How this process runs for leases.
#[derive(Clone)]
pub(crate) struct Election {
    /// On a connection of its own and without a fence: an election comes before the fence that it opens.
    pub(crate) client: Client,
    /// Namespace of the leases.
    pub(crate) namespace: String,
    pub(crate) candidate: Candidate,
    pub(crate) timing: Timing,
}

/// What claims are made of.
pub(super) struct Foundation {
    pub(super) connection: Connection,
    pub(super) clock: Clock,
    pub(super) metrics: RequestMetrics,
    pub(super) election: Option<Election>,
    pub(super) shutdown: CancellationToken,
}

impl Claims {
    pub(super) fn new(foundation: Foundation) -> (Self, Elections) {
        let Foundation {
            connection,
            clock,
            metrics,
            election,
            shutdown,
        } = foundation;
        let (queue, claims) = mpsc::channel(QUEUE);
        let elections = Elections {
            claims,
            shutdown: shutdown.clone(),
        };
        let inner = Inner {
            connection,
            clock,
            metrics,
            election,
            queue,
            shutdown,
        };
        (Self(Arc::new(inner)), elections)
    }

    /// A client that needs no lease: for serving, and for writes that every replica may do.
    pub(super) fn serving(&self) -> Client {
        let fence = Fence::open(self.0.clock.clone());
        self.0.connection.client(self.policy(fence))
    }

    fn policy(&self, fence: Fence) -> ClientPolicy {
        ClientPolicy {
            fence,
            deadlines: Deadlines::default(),
            metrics: self.0.metrics.clone(),
        }
    }

    /// Runs for a lease from the moment on that the operator runs. Its name is unique among the roles of the process.
    pub fn claim(&self, lease: &str, on_loss: OnLoss) -> Result<Role, ClaimError> {
        self.claim_observed(lease, on_loss, None)
    }

    /// As [`Claims::claim`], of a lease that was seen so before on the clock of this process: a holder that has been
    /// silent since then is not waited for again.
    pub fn claim_observed(
        &self,
        lease: &str,
        on_loss: OnLoss,
        seen: Option<Observed>,
    ) -> Result<Role, ClaimError> {
        let inner = &self.0;
        let role = self.role(lease, inner.election.is_none());
        if let Some(election) = &inner.election {
            let claim = Claim {
                elector: election.elector(&role, &inner.clock).that_saw(seen),
                on_loss,
                stop: role.stop.clone(),
                _ended: role.ended.clone().drop_guard(),
            };
            let queued = inner.queue.try_send(claim);
            queued.map_err(|_| ClaimError(lease.to_owned()))?;
        }
        Ok(role)
    }

    /// The role of a lease that this process does not run for.
    pub(super) fn never(&self, lease: &str) -> Role {
        self.role(lease, false)
    }

    fn role(&self, lease: &str, held: bool) -> Role {
        let inner = &self.0;
        let fence = if held {
            Fence::open(inner.clock.clone())
        } else {
            Fence::closed(inner.clock.clone())
        };
        let policy = self.policy(fence);
        Role {
            lease: lease.into(),
            connection: inner.connection.clone(),
            client: inner.connection.client(policy.clone()),
            policy,
            held: watch::Sender::new(held),
            stop: inner.shutdown.child_token(),
            ended: CancellationToken::new(),
        }
    }

    /// How this process runs for leases; `None` when leader election is off.
    pub(crate) fn election(&self) -> Option<&Election> {
        self.0.election.as_ref()
    }
}

impl Election {
    fn elector(&self, role: &Role, clock: &Clock) -> Elector {
        let config = LeaseConfig {
            namespace: self.namespace.clone(),
            name: role.lease().to_owned(),
            candidate: self.candidate.clone(),
            timing: self.timing,
        };
        let (fence, held) = (role.fence().clone(), role.held.clone());
        Elector::new(self.client.clone(), config, fence, clock.clone(), held)
    }
}

/// A lease that the process runs for.
struct Claim {
    elector: Elector,
    on_loss: OnLoss,
    stop: CancellationToken,
    _ended: DropGuard,
}

impl Claim {
    async fn run(
        mut self,
        shutdown: CancellationToken,
        drained: CancellationToken,
    ) -> Result<(), LeaseLost> {
        loop {
            let work_ends = async {
                // A role that is released has ended its work.
                if shutdown.is_cancelled() {
                    drained.cancelled().await;
                }
            };
            match self.elector.run(&self.stop, work_ends).await {
                Err(lost) if self.on_loss == OnLoss::RunAgain => {
                    tracing::warn!(
                        "{lost}; its role writes nothing until the lease is acquired again"
                    );
                }
                ended => return ended,
            }
        }
    }
}

/// The elections of the process.
pub(super) struct Elections {
    claims: mpsc::Receiver<Claim>,
    shutdown: CancellationToken,
}

impl Elections {
    /// Runs them until shutdown. Leases are held until `drained`, then released. Ends with an error when a lease is
    /// lost that the process cannot do without.
    pub(super) async fn run(mut self, drained: CancellationToken) -> Result<(), EndError> {
        let mut running = JoinSet::new();
        loop {
            tokio::select! {
                () = self.shutdown.cancelled() => break,
                Some(claim) = self.claims.recv() => {
                    running.spawn(claim.run(self.shutdown.clone(), drained.clone()));
                }
                Some(ended) = running.join_next() => end_of(ended)?,
            }
        }
        while let Some(ended) = running.join_next().await {
            end_of(ended)?;
        }
        drained.cancelled().await;
        Ok(())
    }
}

fn end_of(ended: Result<Result<(), LeaseLost>, tokio::task::JoinError>) -> Result<(), EndError> {
    match ended {
        Ok(ended) => Ok(ended?),
        Err(_) => Err(EndError::Broken("leader election")),
    }
}
