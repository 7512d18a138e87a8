//! From command line to running controllers, and back to a clean stop.
//!
//! ```text
//!   args ─► log ─► connection ─► admin server ─► watches warm up ─► leases ─► controllers
//!   SIGTERM ─► no new passes ─► passes in flight end ─► Events written ─► leases released ─► exit
//! ```
//!
//! A process holds any number of leases ([`Claims`]); [`Operator::leader_role`] is the one that its controllers need.
//! What serves needs none and uses [`Operator::serving`].

mod claims;
mod error;
mod identity;
mod kubeconfig;
mod process;
mod signal;

pub use claims::{ClaimError, Claims, OnLoss, Role};
pub use error::{EndError, StartError};
pub use identity::{Identity, Part};
pub use kubeconfig::kube_config;
pub use process::{install_tls, run};

use std::{
    panic::AssertUnwindSafe,
    sync::{Arc, OnceLock},
    time::Duration,
};

use futures::FutureExt;
use kube::{Api, Client, Config, core::NamespaceResourceScope};
use prometheus::Registry;
use tokio::sync::watch;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    admin::{self, AdminServer, Readiness, Ready},
    apply::EventSink,
    args::{KubeArgs, LeaderArgs},
    client::{self, ClientPolicy, Connection, Deadlines, Fence, RequestMetrics},
    clock::Clock,
    lease::Candidate,
    listen::{Budget, raise_limit},
    object::{Kind, Root},
    reconcile::QueueMetrics,
    watch::Guarded,
};
use claims::{Election, Elections, Foundation};
use process::host_name;

/// Time that passes in flight get after SIGTERM; under the 30 s that Kubernetes grants a pod.
const DRAIN: Duration = Duration::from_secs(20);
/// Time that the Events of the last passes get to be written.
const FLUSH: Duration = Duration::from_secs(2);

/// A started operator: connected, observable, not yet leading.
pub struct Operator {
    /// The client of the controllers; its writes need the lease of [`Operator::leader_role`].
    pub client: Client,
    /// A client whose writes need no lease: for what every replica does.
    pub serving: Client,
    /// The client's configuration, for clients that act as another account.
    pub config: Config,
    /// The clock.
    pub clock: Clock,
    /// Where metrics are registered.
    pub registry: Registry,
    /// The counts of requests to the API server.
    pub requests: RequestMetrics,
    /// Numbers about queues.
    pub queues: QueueMetrics,
    /// Parts that must be ready before the process is.
    pub readiness: Readiness,
    /// Where Events go.
    pub events: EventSink,
    /// What foreign clients may take of this process; every listener takes part.
    pub listeners: Budget,
    /// Cancelled when the process should stop.
    pub shutdown: CancellationToken,
    /// The namespace that the process runs in, or that of the kubeconfig's context.
    pub namespace: String,
    /// Makes further roles.
    pub claims: Claims,
    leader: Role,
    elections: Elections,
    tasks: TaskTracker,
    name: &'static str,
    /// Set when the parts of the operator are known; until then the process cannot be ready.
    begun: Ready,
    /// The part that ended although it should not.
    broken: Arc<OnceLock<&'static str>>,
}

impl Operator {
    /// Connects, starts the admin server and prepares the election. The log must be up already.
    pub async fn start(
        identity: Identity,
        kube: &KubeArgs,
        leader: &LeaderArgs,
    ) -> Result<Self, StartError> {
        Self::start_as(Part::Leader, identity, kube, leader).await
    }

    /// As [`Operator::start`], for a process that works on shards.
    pub async fn start_as(
        part: Part,
        identity: Identity,
        kube: &KubeArgs,
        leader: &LeaderArgs,
    ) -> Result<Self, StartError> {
        install_tls();
        // From the beginning: the first process of a container is not stopped by a signal that it does not listen for.
        let shutdown = CancellationToken::new();
        tokio::spawn(signal::cancel_on_stop(shutdown.clone()));
        if leader.enabled {
            leader.timing().check()?;
        }
        let listeners = Budget::for_descriptors(raise_limit());
        let clock = Clock::system();
        let config = kube_config(kube).await?;
        let registry = Registry::new();
        let metrics = RequestMetrics::register(&registry)?;
        registry.register(Box::new(admin::ProcessCollector::new()?))?;
        listeners.register(&registry)?;
        let election = leader
            .enabled
            .then(|| election(leader, &config, &clock, &metrics))
            .transpose()?;
        let foundation = Foundation {
            connection: Connection::new(config.clone())?,
            clock,
            metrics,
            election,
            shutdown,
        };
        let readiness = Readiness::default();
        let begun = readiness.register("start");
        let admin = AdminServer::new(registry.clone(), readiness.clone());
        for port in &identity.ports {
            let (bound, server) = admin.serve(identity.address, *port).await?;
            tracing::info!(%bound, "serving /metrics, /healthz and /readyz");
            // Not tracked: probes are answered until the very end.
            tokio::spawn(server);
        }
        let environment = Environment {
            config,
            registry,
            readiness,
            listeners,
            begun,
            instance: pod_of(leader).unwrap_or_else(host_name),
            part,
        };
        Self::assemble(&identity, foundation, environment)
    }

    fn assemble(
        identity: &Identity,
        foundation: Foundation,
        environment: Environment,
    ) -> Result<Self, StartError> {
        let Environment {
            config,
            registry,
            readiness,
            listeners,
            begun,
            instance,
            part,
        } = environment;
        let (clock, shutdown) = (foundation.clock.clone(), foundation.shutdown.clone());
        let (requests, queues) = (
            foundation.metrics.clone(),
            QueueMetrics::register(&registry)?,
        );
        let (claims, elections) = Claims::new(foundation);
        let leader = match part {
            Part::Leader | Part::LeaderAndShards => {
                claims.claim(&identity.lease, OnLoss::EndProcess)?
            }
            Part::Shards => claims.never(&identity.lease),
        };
        let recorder = match part {
            Part::Leader => leader.client().clone(),
            // Who holds a shard tells of its objects.
            Part::LeaderAndShards | Part::Shards => claims.serving(),
        };
        let (events, writer) = EventSink::new(recorder, clock.clone(), instance);
        tokio::spawn(writer);
        Ok(Self {
            client: leader.client().clone(),
            serving: claims.serving(),
            namespace: config.default_namespace.clone(),
            config,
            clock,
            registry,
            requests,
            queues,
            readiness,
            events,
            listeners,
            shutdown,
            claims,
            leader,
            elections,
            tasks: TaskTracker::new(),
            name: identity.name,
            begun,
            broken: Arc::default(),
        })
    }

    /// An operator around a client that exists already, without election, log and admin server: it
    /// leads at once. For tests of controllers.
    #[cfg(any(test, feature = "testkit"))]
    pub fn detached(client: Client, clock: Clock) -> Self {
        Self::around(client, clock, None)
    }

    /// As [`Operator::detached`], and `candidate` runs for leases with `timing`.
    #[cfg(any(test, feature = "testkit"))]
    pub fn detached_candidate(
        client: Client,
        clock: Clock,
        candidate: Candidate,
        timing: crate::lease::Timing,
    ) -> Self {
        let election = Election {
            client: client.clone(),
            namespace: "default".to_owned(),
            candidate,
            timing,
        };
        Self::around(client, clock, Some(election))
    }

    #[cfg(any(test, feature = "testkit"))]
    fn around(client: Client, clock: Clock, election: Option<Election>) -> Self {
        let registry = Registry::new();
        let foundation = Foundation {
            connection: Connection::of_client(client),
            clock,
            metrics: RequestMetrics::register(&registry)
                .expect("the registry of this operator is new"),
            election,
            shutdown: CancellationToken::new(),
        };
        let environment = Environment {
            config: Config::new(http::Uri::from_static("http://localhost")),
            registry,
            readiness: Readiness::default(),
            listeners: Budget::for_descriptors(Some(1024)),
            begun: Ready::default(),
            instance: "test".to_owned(),
            part: Part::Leader,
        };
        let identity = Identity {
            name: "test",
            lease: "leader".to_owned(),
            address: None,
            ports: Vec::new(),
        };
        Self::assemble(&identity, foundation, environment).expect("one claim has room")
    }

    /// Whether this process leads; changes are seen by every receiver.
    pub fn leader(&self) -> watch::Receiver<bool> {
        self.leader.held()
    }

    /// The role of the controllers. The process ends when it loses this lease.
    pub fn leader_role(&self) -> &Role {
        &self.leader
    }

    /// The fence of the leader, for writers other than the client.
    pub fn fence(&self) -> &Fence {
        self.leader.fence()
    }

    /// The objects of a kind in one namespace, or in all of them.
    pub fn api<K>(&self, namespace: Option<&str>) -> Api<Guarded<Root<K>>>
    where
        K: Kind<Scope = NamespaceResourceScope>,
    {
        match namespace {
            Some(namespace) => Api::namespaced(self.client.clone(), namespace),
            None => Api::all(self.client.clone()),
        }
    }

    /// Runs a watch or server beside the controllers; it is dropped at shutdown. When it ends by itself or panics,
    /// the process stops, because a missing part must not go unnoticed.
    pub fn spawn(&self, name: &'static str, task: impl Future<Output = ()> + Send + 'static) {
        let shutdown = self.shutdown.clone();
        let broken = self.broken.clone();
        tokio::spawn(async move {
            tokio::select! {
                () = shutdown.cancelled() => {}
                _ = AssertUnwindSafe(task).catch_unwind() => {
                    if !shutdown.is_cancelled() {
                        // The first one to end is the reason, which is logged when the process has stopped.
                        broken.get_or_init(|| name);
                        shutdown.cancel();
                    }
                }
            }
        });
    }

    /// Runs work that must end by itself after shutdown before the lease is released, such as
    /// [`crate::reconcile::Driver::run`]. When it panics, the process stops.
    pub fn spawn_drained(&self, task: impl Future<Output = ()> + Send + 'static) {
        let shutdown = self.shutdown.clone();
        let broken = self.broken.clone();
        self.tasks.spawn(async move {
            if AssertUnwindSafe(task).catch_unwind().await.is_err() {
                broken.get_or_init(|| "controller");
                shutdown.cancel();
            }
        });
    }

    /// Waits for SIGTERM or Ctrl-C, drains, releases the leases.
    pub async fn run(self) -> Result<(), EndError> {
        tracing::info!(operator = self.name, "started");
        self.begun.set();
        self.tasks.close();
        let drained = CancellationToken::new();
        let draining = {
            let (tasks, events) = (self.tasks.clone(), self.events.clone());
            let (shutdown, drained) = (self.shutdown.clone(), drained.clone());
            async move {
                shutdown.cancelled().await;
                if tokio::time::timeout(DRAIN, tasks.wait()).await.is_err() {
                    tracing::warn!("work in flight did not end in time");
                }
                if tokio::time::timeout(FLUSH, events.flush()).await.is_err() {
                    tracing::warn!("Events were not written in time");
                }
                drained.cancel();
                std::future::pending::<()>().await;
            }
        };
        let ended = tokio::select! {
            ended = self.elections.run(drained) => ended,
            () = draining => Ok(()),
        };
        // After a lost lease too: parts that end with the process are not the reason for its end.
        self.shutdown.cancel();
        ended?;
        match self.broken.get() {
            Some(part) => Err(EndError::Broken(part)),
            None => Ok(()),
        }
    }
}

/// How the process runs for leases, on a connection of its own.
fn election(
    leader: &LeaderArgs,
    config: &Config,
    clock: &Clock,
    metrics: &RequestMetrics,
) -> Result<Election, kube::Error> {
    let policy = ClientPolicy {
        fence: Fence::open(clock.clone()),
        deadlines: Deadlines::default(),
        metrics: metrics.clone(),
    };
    let namespace = leader.namespace.as_ref();
    Ok(Election {
        client: client::connect(config.clone(), policy)?,
        namespace: namespace.unwrap_or(&config.default_namespace).clone(),
        candidate: Candidate::new(pod_of(leader), &host_name()),
        timing: leader.timing(),
    })
}

fn pod_of(leader: &LeaderArgs) -> Option<String> {
    leader.pod_name.clone().filter(|name| !name.is_empty())
}

/// What surrounds the connection.
struct Environment {
    config: Config,
    registry: Registry,
    readiness: Readiness,
    listeners: Budget,
    begun: Ready,
    /// Name of this replica in Events.
    instance: String,
    part: Part,
}
