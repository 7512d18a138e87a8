//! From command line to running controllers, and back to a clean stop.
//!
//! ```text
//!   args ─► log ─► client ─► admin server ─► watches warm up ─► lease ─► controllers
//!   SIGTERM ─► no new passes ─► passes in flight end ─► Events written ─► lease released ─► exit
//! ```

mod kubeconfig;
mod signal;

use std::{
    error::Error,
    io::{self, Write as _},
    panic::AssertUnwindSafe,
    process::ExitCode,
    sync::{Arc, OnceLock},
    time::Duration,
};

use futures::FutureExt;
use kube::{Api, Client, Config, core::NamespaceResourceScope};
use prometheus::Registry;
use tokio::sync::watch;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    admin::{self, AdminError, Readiness, Ready},
    apply::EventSink,
    args::{KubeArgs, LeaderArgs, LogArgs},
    client::{self, Fence, RequestMetrics},
    clock::Clock,
    error::error_chain,
    lease::{Elector, LeaseConfig, LeaseLost},
    object::{Kind, Root},
    telemetry,
    watch::Guarded,
};

/// Time that passes in flight get after SIGTERM; under the 30 s that Kubernetes grants a pod.
const DRAIN: Duration = Duration::from_secs(20);
/// Time that the Events of the last passes get to be written.
const FLUSH: Duration = Duration::from_secs(2);
/// Time that is left to threads after the end, such as one that reads from a Git server: enough to finish a file, and
/// short, because a process that lost its lease must be gone before another one leads.
const LAST_THREADS: Duration = Duration::from_secs(1);

/// What tells one operator from another at start.
#[derive(Clone, Debug)]
pub struct Identity {
    /// Name of the process, for logs, Events and the lease holder.
    pub name: &'static str,
    /// Name of the Lease.
    pub lease: String,
    /// Ports of the admin server; each serves all endpoints. 0 takes a free one.
    pub ports: Vec<u16>,
}

/// A started operator: connected, observable, not yet leading.
pub struct Operator {
    /// The client; its writes pass the fence.
    pub client: Client,
    /// The client's configuration, for clients that act as somebody else.
    pub config: Config,
    /// The clock.
    pub clock: Clock,
    /// Where metrics are registered.
    pub registry: Registry,
    /// Counters of requests, for further clients of this process.
    pub requests: RequestMetrics,
    /// Parts that must be ready before the process is.
    pub readiness: Readiness,
    /// Where Events go.
    pub events: EventSink,
    /// Cancelled when the process should stop.
    pub shutdown: CancellationToken,
    /// The namespace that the process runs in, or that of the kubeconfig's context.
    pub namespace: String,
    fence: Fence,
    leads: watch::Sender<bool>,
    elector: Option<Elector>,
    tasks: TaskTracker,
    name: &'static str,
    /// Set when the parts of the operator are known; until then nobody can say whether all of them are ready.
    begun: Ready,
    /// The part that ended although it should not.
    broken: Arc<OnceLock<&'static str>>,
}

/// The operator could not be started.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The durations of the election do not go together.
    #[error("leader election: {0}")]
    Election(String),
    /// No usable connection settings.
    #[error("cannot find the API server: {0}")]
    Config(String),
    /// The client could not be built.
    #[error("cannot build the Kubernetes client: {0}")]
    Client(#[from] kube::Error),
    /// The admin server could not be started.
    #[error(transparent)]
    Admin(#[from] AdminError),
    /// A metric could not be registered.
    #[error("cannot register a metric: {0}")]
    Metrics(#[from] prometheus::Error),
}

/// The process ended although nobody asked for it.
#[derive(Debug, thiserror::Error)]
pub enum EndError {
    /// Another process may lead now.
    #[error(transparent)]
    Lease(#[from] LeaseLost),
    /// A part of the process ended or panicked.
    #[error("a part of the process ended: {0}")]
    Broken(&'static str),
}

/// Installs the one TLS provider of the process. Several libraries bring one along, and rustls refuses
/// to choose; so every binary and test calls this first. Calling it twice is harmless.
pub fn install_tls() {
    drop(rustls::crypto::ring::default_provider().install_default());
}

/// Runs `main` on a runtime sized for an operator: two workers, because the work is waiting, and few
/// blocking threads, because each has a stack.
fn block_on<T>(main: impl Future<Output = T>) -> std::io::Result<T> {
    const WORKERS: usize = 2;
    const BLOCKING: usize = 8;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(WORKERS)
        .max_blocking_threads(BLOCKING)
        .enable_all()
        .build()?;
    let outcome = runtime.block_on(main);
    runtime.shutdown_timeout(LAST_THREADS);
    Ok(outcome)
}

/// The frame of every `main`: the log, a word on each flag that was ignored, the runtime, and an end that says why.
pub fn run<E: Into<Box<dyn Error + Send + Sync>>>(
    log: &LogArgs,
    ignored: &[String],
    main: impl Future<Output = Result<(), E>>,
) -> ExitCode {
    if let Err(error) = telemetry::init(&log.level, log.format) {
        // The log is what failed. Nobody is left to be told when standard error is gone too.
        let _ = writeln!(io::stderr(), "{error}");
        return ExitCode::from(2);
    }
    for flag in ignored {
        tracing::warn!(flag, "flag accepted and without effect");
    }
    let ended = match block_on(main) {
        Ok(ended) => ended.map_err(Into::into),
        Err(error) => Err(error.into()),
    };
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!(error = error_chain(&*error), "stopped");
            ExitCode::FAILURE
        }
    }
}

impl Operator {
    /// Connects, starts the admin server and prepares the election. The log must be up already.
    pub async fn start(
        identity: Identity,
        kube: &KubeArgs,
        leader: &LeaderArgs,
    ) -> Result<Self, StartError> {
        install_tls();
        // From the beginning: the first process of a container is not stopped by a signal that it does not listen for.
        let shutdown = CancellationToken::new();
        tokio::spawn(signal::cancel_on_stop(shutdown.clone()));
        if leader.enabled {
            leader.timing().check().map_err(StartError::Election)?;
        }
        let clock = Clock::system();
        let config = kubeconfig::load(kube).await?;
        let registry = Registry::new();
        let requests = RequestMetrics::register(&registry)?;
        register_process(&registry)?;
        let fence = if leader.enabled {
            Fence::closed(clock.clone())
        } else {
            Fence::open(clock.clone())
        };
        let client = client::connect(config.clone(), fence.clone(), requests.clone())?;
        let namespace = config.default_namespace.clone();
        let (leads, _) = watch::channel(!leader.enabled);
        // A container that is restarted in its pod has the same name and goes on at once: its predecessor is dead.
        let holder = format!("{}_{}", host_name(), std::process::id());
        let elector = if leader.enabled {
            let lease = LeaseConfig {
                namespace: leader
                    .namespace
                    .clone()
                    .unwrap_or_else(|| namespace.clone()),
                name: identity.lease.clone(),
                identity: holder.clone(),
                timing: leader.timing(),
            };
            // The election itself must be able to write while the fence is closed.
            let open = Fence::open(clock.clone());
            let unfenced = client::connect(config.clone(), open, requests.clone())?;
            let (fence, clock) = (fence.clone(), clock.clone());
            Some(Elector::new(unfenced, lease, fence, clock, leads.clone()))
        } else {
            None
        };
        let readiness = Readiness::default();
        let begun = readiness.register("start");
        let tasks = TaskTracker::new();
        for port in &identity.ports {
            let (bound, server) = admin::serve(*port, registry.clone(), readiness.clone()).await?;
            tracing::info!(%bound, "serving /metrics, /healthz and /readyz");
            // Not tracked: probes are answered until the very end.
            tokio::spawn(server);
        }
        let (events, writer) = EventSink::new(client.clone(), clock.clone(), holder);
        tokio::spawn(writer);
        Ok(Self {
            client,
            config,
            clock,
            registry,
            requests,
            readiness,
            events,
            shutdown,
            namespace,
            fence,
            leads,
            elector,
            tasks,
            name: identity.name,
            begun,
            broken: Arc::default(),
        })
    }

    /// An operator around a client that exists already, without election, log and admin server: it
    /// leads at once. For tests of controllers.
    #[cfg(any(test, feature = "testkit"))]
    pub fn detached(client: Client, clock: Clock) -> Self {
        let (events, writer) = EventSink::new(client.clone(), clock.clone(), "test".to_owned());
        tokio::spawn(writer);
        let registry = Registry::new();
        Self {
            client,
            config: Config::new(http::Uri::from_static("http://localhost")),
            fence: Fence::open(clock.clone()),
            clock,
            requests: RequestMetrics::register(&registry)
                .expect("the registry of this operator is new"),
            registry,
            readiness: Readiness::default(),
            events,
            shutdown: CancellationToken::new(),
            namespace: "default".to_owned(),
            leads: watch::channel(true).0,
            elector: None,
            tasks: TaskTracker::new(),
            name: "test",
            begun: Ready::default(),
            broken: Arc::default(),
        }
    }

    /// Whether this process leads; changes are seen by every receiver.
    pub fn leader(&self) -> watch::Receiver<bool> {
        self.leads.subscribe()
    }

    /// The fence, for writers other than the client.
    pub fn fence(&self) -> &Fence {
        &self.fence
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
                        tracing::error!(task = name, "a part of the process ended; stopping");
                        // The first one to break is the reason.
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

    /// Waits for SIGTERM or Ctrl-C, drains, releases the lease.
    pub async fn run(mut self) -> Result<(), EndError> {
        tracing::info!(operator = self.name, "started");
        self.begun.set();
        self.tasks.close();
        let drained = {
            let (tasks, events) = (self.tasks.clone(), self.events.clone());
            async move {
                if tokio::time::timeout(DRAIN, tasks.wait()).await.is_err() {
                    tracing::warn!("work in flight did not end in time");
                }
                if tokio::time::timeout(FLUSH, events.flush()).await.is_err() {
                    tracing::warn!("Events were not written in time");
                }
            }
        };
        match self.elector.take() {
            None => {
                self.shutdown.cancelled().await;
                drained.await;
            }
            Some(elector) => elector.run(self.shutdown.clone(), drained).await?,
        }
        match self.broken.get() {
            Some(part) => Err(EndError::Broken(part)),
            None => Ok(()),
        }
    }
}

fn register_process(registry: &Registry) -> Result<(), prometheus::Error> {
    registry.register(Box::new(crate::admin::ProcessCollector::new()?))
}

/// The pod's name, which the kubelet sets as host name.
fn host_name() -> String {
    std::fs::read_to_string("/proc/sys/kernel/hostname")
        .map_or_else(|_| "unknown".to_owned(), |name| name.trim().to_owned())
}
