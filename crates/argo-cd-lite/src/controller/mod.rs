//! From the command line to a running controller.

mod default_project;
mod original;
mod pool;
mod revoked;
mod upstream;
mod watches;

use std::{sync::Arc, time::Duration};

use parking_lot::RwLock;
use reconcile_core::{
    admin::Readiness,
    client::Deadlines,
    egress::EgressPolicy,
    listen::ListenAddress,
    object::{ObjectKey, Root},
    operator::{Identity, Operator, Part},
    reconcile::{Driver, DriverConfig, Queue},
    watch::Index,
};
use tokio_util::sync::CancellationToken;

use crate::{
    api::{Application, DEFAULT_NAMESPACE},
    app::{AppNotes, Applications, Context, OriginalController, Settings},
    applicationset,
    args::{ControllerArgs, environment_variable},
    clusters::{ClusterSurroundings, Clusters, Connector},
    metrics::{AppMetrics, GitMetrics, OwnApplications, register_requests},
    redis::Changes,
    render::{Renders, ToolPaths},
    repo::{
        ChartConfig, ChartHub, Credentials, FileRepositories, GitLimits, HubConfig, RepoHub,
        Signatures, Trust,
    },
    server::{RefreshRequests, WebhookSecrets, WebhookServer},
    settings::SettingsHandle,
};
use original::watch_original;
use upstream::serve_upstream;
pub use upstream::{Ports, RedisPort};
use watches::{
    watch_certificates, watch_clusters, watch_known_hosts, watch_projects, watch_secrets,
    watch_settings, watch_signature_keys,
};

/// Name of the Lease; upstream's controllers shard instead of electing, so there is none to share.
const LEASE: &str = "argo-cd-lite-controller";

/// Longest time of a pass: a sync of 10,000 objects, or a Helm chart that is fetched first.
const PASS_DEADLINE: Duration = Duration::from_secs(30 * 60);

/// Time of a request of a sync, with its repetitions: the limit of the API server itself, because several admission
/// webhooks may each take 30 s over one object.
const SYNC_DEADLINE: Duration = Duration::from_secs(60);

/// Runs the controller until it is asked to stop.
pub async fn run(mut args: ControllerArgs) -> anyhow::Result<()> {
    anyhow::ensure!(
        args.shards == 1 || args.upstream.redis_port.is_none(),
        "--redis-port needs --shards=1: the port answers for all Applications, and a process knows those of its shards"
    );
    let control_plane = args
        .namespace
        .take()
        .or_else(|| args.pod_namespace.take())
        .unwrap_or_else(|| DEFAULT_NAMESPACE.to_owned());
    args.leader
        .namespace
        .get_or_insert_with(|| control_plane.clone());
    let identity = Identity {
        name: "argo-cd-lite",
        lease: LEASE.to_owned(),
        address: args.admin.metrics_address,
        ports: vec![args.metrics_port],
    };
    let part = Part::of_controller(args.shards);
    let operator = Operator::start_as(part, identity, &args.kube, &args.leader).await?;
    let settings = settings(&args, control_plane);
    let hub = hub_config(&args, settings.egress);
    let ports = args.upstream.ports(ListenAddress {
        address: args.address,
        port: args.port,
    });
    let (tools, workers) = (args.tools.paths(), args.status_processors);
    start(&operator, settings, hub, tools, workers, ports).await?;
    operator.run().await?;
    Ok(())
}

fn settings(args: &ControllerArgs, control_plane: String) -> Settings {
    Settings {
        control_plane,
        application_namespaces: args.application_namespaces.clone(),
        wave_delay: args.sync_wave_delay,
        repo_grace: args.repo_error_grace_period_seconds,
        egress: EgressPolicy::of_flag(
            "--repositories-allow-link-local",
            args.repositories_allow_link_local,
        ),
        cluster_egress: EgressPolicy::of_local_flag(
            "--allow-local-clusters",
            args.allow_local_clusters,
        ),
        shards: args.shards,
        take_over: args.take_over,
        metrics_labels: args.metrics_application_labels.clone(),
    }
}

fn hub_config(args: &ControllerArgs, egress: EgressPolicy) -> HubConfig {
    let folder = args.cache_dir.clone();
    HubConfig {
        folder: folder.unwrap_or_else(|| std::env::temp_dir().join("argo-cd-lite")),
        disk_budget: args.cache_size,
        limits: GitLimits::default(),
        file_repositories: FileRepositories::from_flag(args.allow_file_repositories),
        egress,
        trust: Trust::default(),
        poll: args.app_resync,
        jitter: args.app_resync_jitter,
    }
}

/// Starts watches, polls, the webhook server and the controller with `workers` passes at the same time.
/// All of it stops with the operator.
pub async fn start(
    operator: &Operator,
    settings: Settings,
    hub: HubConfig,
    tools: ToolPaths,
    workers: usize,
    ports: impl Into<Ports>,
) -> anyhow::Result<()> {
    Parts::new(operator, settings, hub, tools, workers)?
        .start(operator, workers, ports.into())
        .await
}

/// Divides the space on disk: what programs rendered and charts have an eighth of it each, Git stores the rest.
fn share(mut hub: HubConfig) -> (HubConfig, u64) {
    let eighth = hub.disk_budget / 8;
    hub.disk_budget -= 2 * eighth;
    (hub, eighth)
}

/// How clusters are reached.
fn connector(operator: &Operator, egress: EgressPolicy) -> Connector {
    let sync_deadlines = Deadlines {
        unary: SYNC_DEADLINE,
        ..Deadlines::default()
    };
    Connector {
        role: operator.leader_role().clone(),
        clock: operator.clock.clone(),
        environment: Arc::new(environment_variable),
        sync_deadlines,
        egress,
    }
}

/// Puts an Application into the queue, and notes that it has changed.
fn waking(queue: &Queue, changes: &Changes) -> impl Fn(ObjectKey) + Send + Sync + use<> {
    let (queue, changes) = (queue.clone(), changes.clone());
    move |app: ObjectKey| {
        changes.note(&app);
        queue.add(app);
    }
}

/// The parts of the controller before they run.
struct Parts {
    context: Context,
    credentials: Credentials,
    trust: Trust,
    secrets: WebhookSecrets,
    queue: Queue,
    roots: Index<Root<Application>>,
    changes: Changes,
    stores: HubConfig,
}

impl Parts {
    fn new(
        operator: &Operator,
        settings: Settings,
        hub: HubConfig,
        tools: ToolPaths,
        workers: usize,
    ) -> anyhow::Result<Self> {
        let queue = Queue::new();
        let roots: Index<Root<Application>> = Index::default();
        let credentials = Credentials::default();
        let changes = Changes::default();
        let wake = |queue: &Queue| waking(queue, &changes);
        let (hub, budget) = share(hub);
        let renders = Renders::new(tools, &hub.folder, budget, &operator.registry)?;
        let (trust, stores) = (hub.trust.clone(), hub.clone());
        let charts = ChartConfig {
            folder: hub.folder.join("charts"),
            budget,
            egress: settings.egress,
            trust: trust.clone(),
        };
        let repos = RepoHub::new(
            hub,
            credentials.clone(),
            operator.clock.clone(),
            GitMetrics::register(&operator.registry)?,
            wake(&queue),
        );
        let charts = ChartHub::new(charts, repos.clone(), credentials.clone(), wake(&queue));
        let argo = SettingsHandle::default();
        let around = ClusterSurroundings {
            control_plane: settings.control_plane.clone(),
            settings: argo.clone(),
            clock: operator.clock.clone(),
            wake: Arc::new(wake(&queue)),
        };
        let clusters = Clusters::new(
            connector(operator, settings.cluster_egress),
            around,
            workers,
        );
        register_requests(&operator.registry, &operator.requests)?;
        let authority = pool::authority(operator, settings.shards, &roots)?;
        let own = OwnApplications {
            roots: roots.clone(),
            authority: authority.clone(),
        };
        own.register(&operator.registry, &clusters, &settings.metrics_labels)?;
        let context = Context {
            client: operator.client.clone(),
            authority,
            clock: operator.clock.clone(),
            settings,
            repos,
            signatures: Signatures::default(),
            charts,
            renders,
            clusters,
            roots: roots.clone(),
            projects: Index::default(),
            argo,
            original: OriginalController::default(),
            notes: AppNotes::default(),
            metrics: AppMetrics::register(&operator.registry)?,
        };
        Ok(Self {
            context,
            credentials,
            trust,
            secrets: Arc::new(RwLock::default()),
            queue,
            roots,
            changes,
            stores,
        })
    }

    async fn start(self, operator: &Operator, workers: usize, ports: Ports) -> anyhow::Result<()> {
        let Self {
            context,
            credentials,
            trust,
            secrets,
            queue,
            roots,
            changes,
            stores,
        } = self;
        let control_plane = context.settings.control_plane.clone();
        let config = DriverConfig {
            workers,
            pass_deadline: PASS_DEADLINE,
            authority: Some(context.authority.clone()),
            ..DriverConfig::default()
        };
        let driver = Driver::with_queue(
            Applications::new(context.clone()),
            operator,
            config,
            queue.clone(),
            roots.clone(),
        );
        let elsewhere = !context.settings.application_namespaces.is_empty();
        let apps = operator.api((!elsewhere).then_some(control_plane.as_str()));
        let ready = operator.readiness.register("applications");
        operator.spawn("applications", driver.watch_roots(apps).ready(ready).run());
        watch_original(operator, &context, &roots, &queue);
        watch_projects(operator, &context, &roots, &queue);
        let own = (changes, credentials.clone(), stores);
        serve_upstream(operator, &context, &ports, own);
        watch_secrets(operator, &control_plane, credentials, secrets.clone());
        watch_clusters(operator, &context, &roots, &queue);
        watch_settings(operator, &context, &roots, &queue);
        watch_certificates(operator, &control_plane, trust.clone());
        watch_known_hosts(operator, &control_plane, trust);
        watch_signature_keys(operator, &control_plane, context.signatures.clone());
        applicationset::start(operator, &control_plane);
        let poll = context.repos.clone();
        operator.spawn("poll", async move { poll.poll().await });
        let charts = context.charts.clone();
        operator.spawn("chart poll", async move { charts.poll().await });
        let webhook = WebhookServer {
            listen: ports.webhook,
            budget: operator.listeners.clone(),
            secrets,
            depth: context.metrics.webhooks().clone(),
            repos: context.repos.clone(),
            charts: context.charts.clone(),
            refreshes: RefreshRequests {
                client: operator.serving.clone(),
                apps: roots,
                authority: context.authority.clone(),
                clock: operator.clock.clone(),
            },
            stop: operator.shutdown.clone(),
        };
        operator.spawn("webhook server", webhook.bind().await?);
        let passes = run_passes(
            context,
            driver,
            operator.readiness.clone(),
            operator.leader(),
            operator.shutdown.clone(),
        );
        operator.spawn_drained(passes);
        Ok(())
    }
}

/// Runs the passes once everything that they look at is known.
async fn run_passes(
    context: Context,
    driver: Arc<Driver<Applications>>,
    readiness: Readiness,
    leader: tokio::sync::watch::Receiver<bool>,
    shutdown: CancellationToken,
) {
    // A pass that does not know the projects would call every Application invalid.
    tokio::select! {
        () = shutdown.cancelled() => return,
        () = readiness.wait() => {}
    }
    let (trying, tried) = tokio::sync::oneshot::channel();
    let project = async {
        default_project::ensure(&context, leader, trying).await;
        std::future::pending::<()>().await;
    };
    let passes = async {
        let first_try = async {
            // Shards do not wait for the leader: their passes run again when the project is there. The sender is dropped
            // after the first try, or with success.
            if context.settings.shards <= 1 {
                drop(tried.await);
            }
        };
        let stopped = tokio::select! {
            () = shutdown.cancelled() => true,
            () = first_try => false,
        };
        if !stopped {
            driver.run().await;
        }
    };
    tokio::select! {
        () = passes => {}
        () = project => {}
    }
}

/// What the controller acts through, and its credentials, without anything that runs.
#[cfg(test)]
pub(crate) fn context(
    operator: &Operator,
    settings: Settings,
    hub: HubConfig,
) -> (Context, Credentials) {
    let parts = Parts::new(operator, settings, hub, ToolPaths::default(), 4);
    let parts = parts.expect("parts of a controller");
    (parts.context, parts.credentials)
}

#[cfg(test)]
mod tests;
