//! From the command line to a running controller.

use std::{sync::Arc, time::Duration};

use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use kube::Api;
use parking_lot::RwLock;
use reconcile_core::{
    admin::Readiness,
    apply::{create, get, resource_of},
    object::{Kind, ObjectKey, Root},
    operator::{Identity, Operator},
    reconcile::{Driver, DriverConfig, Queue},
    watch::{Guarded, Index, Watch, WatchConfig},
};

use tokio_util::sync::CancellationToken;

use crate::{
    api::{AppProject, Application, DEFAULT_NAMESPACE, FIELD_MANAGER},
    app::{Applications, Context, Memory, Settings},
    applicationset,
    args::ControllerArgs,
    cluster::{Discovery, LiveIndex, LiveIndexConfig},
    diff::{Differ, VerdictCache},
    metrics::{AppInfo, AppMetrics, GitMetrics},
    project::{DEFAULT_PROJECT, default_spec},
    render::RenderCache,
    repo::{Credentials, HubConfig, RepoHub, RepositorySecret},
    server::{self, WebhookSecrets},
};

/// Name of the Lease; upstream's controllers shard instead of electing, so there is none to share.
const LEASE: &str = "argo-cd-lite-controller";
/// First pause after the project `default` could not be made.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
/// Longest pause between two tries.
const LONGEST_PAUSE: Duration = Duration::from_secs(15);
/// The ConfigMap that holds upstream's settings.
const SETTINGS_MAP: &str = "argocd-cm";
/// The Secret that holds the webhook secrets.
const SETTINGS_SECRET: &str = "argocd-secret";

/// Runs the controller until it is told to stop.
pub async fn run(args: ControllerArgs) -> anyhow::Result<()> {
    let ControllerArgs {
        kube,
        mut leader,
        namespace,
        pod_namespace,
        application_namespaces,
        app_resync,
        app_resync_jitter,
        repo_error_grace_period_seconds,
        status_processors,
        operation_processors: _,
        sync_wave_delay,
        log: _,
        metrics_port,
        port,
        cache_dir,
    } = args;
    let control_plane = namespace
        .or(pod_namespace)
        .unwrap_or_else(|| DEFAULT_NAMESPACE.to_owned());
    leader
        .namespace
        .get_or_insert_with(|| control_plane.clone());
    let identity = Identity {
        name: "argo-cd-lite",
        lease: LEASE.to_owned(),
        ports: vec![metrics_port],
    };
    let operator = Operator::start(identity, &kube, &leader).await?;
    let settings = Settings {
        control_plane,
        application_namespaces,
        wave_delay: sync_wave_delay,
        repo_grace: repo_error_grace_period_seconds,
    };
    let hub = HubConfig {
        folder: cache_dir.unwrap_or_else(|| std::env::temp_dir().join("argo-cd-lite")),
        poll: app_resync,
        jitter: app_resync_jitter,
    };
    start(&operator, settings, hub, status_processors, port).await?;
    operator.run().await?;
    Ok(())
}

/// Starts watches, polls, the webhook on `port` and the controller with `workers` passes at the same time.
/// All of it stops with the operator.
pub async fn start(
    operator: &Operator,
    settings: Settings,
    hub: HubConfig,
    workers: usize,
    port: u16,
) -> anyhow::Result<()> {
    Parts::new(operator, settings, hub)?
        .start(operator, workers, port)
        .await
}

/// The parts of the controller before they run.
struct Parts {
    context: Context,
    credentials: Credentials,
    secrets: WebhookSecrets,
    queue: Queue,
    roots: Index<Root<Application>>,
}

impl Parts {
    fn new(operator: &Operator, settings: Settings, hub: HubConfig) -> anyhow::Result<Self> {
        let queue = Queue::new();
        let roots: Index<Root<Application>> = Index::default();
        let credentials = Credentials::default();
        let wake = |queue: &Queue| {
            let queue = queue.clone();
            move |app: ObjectKey| queue.add(app)
        };
        let repos = RepoHub::new(
            hub,
            credentials.clone(),
            operator.clock.clone(),
            GitMetrics::register(&operator.registry)?,
            wake(&queue),
        );
        let discovery = Discovery::new(operator.client.clone(), operator.clock.clone());
        let live = LiveIndex::new(LiveIndexConfig {
            client: operator.client.clone(),
            discovery: discovery.clone(),
            control_plane: settings.control_plane.clone(),
            changed: Box::new(wake(&queue)),
        });
        operator
            .registry
            .register(Box::new(AppInfo::new(roots.clone())?))?;
        let context = Context {
            client: operator.client.clone(),
            clock: operator.clock.clone(),
            settings,
            repos,
            rendered: RenderCache::default(),
            discovery,
            live,
            differ: Differ::new(operator.client.clone(), VerdictCache::default()),
            projects: Index::default(),
            memory: Memory::default(),
            metrics: AppMetrics::register(&operator.registry)?,
        };
        Ok(Self {
            context,
            credentials,
            secrets: Arc::new(RwLock::default()),
            queue,
            roots,
        })
    }

    async fn start(self, operator: &Operator, workers: usize, port: u16) -> anyhow::Result<()> {
        let Self {
            context,
            credentials,
            secrets,
            queue,
            roots,
        } = self;
        let control_plane = context.settings.control_plane.clone();
        let config = DriverConfig {
            workers,
            ..DriverConfig::default()
        };
        let driver = Driver::with_queue(
            Applications::new(context.clone()),
            operator,
            config,
            queue.clone(),
            roots.clone(),
        );
        let apps: Api<Guarded<Root<Application>>> =
            if context.settings.application_namespaces.is_empty() {
                Api::namespaced(operator.client.clone(), &control_plane)
            } else {
                Api::all(operator.client.clone())
            };
        let ready = operator.readiness.register("applications");
        operator.spawn("applications", driver.watch_roots(apps).ready(ready).run());
        watch_projects(operator, &context, &roots, &queue);
        watch_secrets(operator, &control_plane, credentials, secrets.clone());
        watch_settings(operator, &control_plane);
        applicationset::start(operator, &control_plane);
        let poll = context.repos.clone();
        operator.spawn("poll", async move { poll.poll().await });
        let webhook = server::serve(
            port,
            context.repos.clone(),
            secrets,
            context.metrics.webhooks().clone(),
        )
        .await?;
        operator.spawn("webhook", webhook);
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
        ensure_default_project(&context, leader, trying).await;
        std::future::pending::<()>().await;
    };
    let passes = async {
        // The sender is dropped after the first try, or with success.
        let stopped = tokio::select! {
            () = shutdown.cancelled() => true,
            _ = tried => false,
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

fn watch_projects(
    operator: &Operator,
    context: &Context,
    roots: &Index<Root<Application>>,
    queue: &Queue,
) {
    let api: Api<Guarded<Root<AppProject>>> =
        Api::namespaced(operator.client.clone(), &context.settings.control_plane);
    let (roots, queue) = (roots.clone(), queue.clone());
    let watch = Watch::named(AppProject::PLURAL, api, context.projects.clone(), Some).on_change(
        move |change: reconcile_core::watch::Change<Root<AppProject>>| {
            let name = change.key.name;
            roots.each(|key, root| {
                if root
                    .parse_spec()
                    .is_ok_and(|spec| spec.project_name() == name)
                {
                    queue.add(key.clone());
                }
            });
        },
    );
    let ready = operator.readiness.register("projects");
    operator.spawn("projects", watch.ready(ready).run());
}

fn watch_secrets(
    operator: &Operator,
    control_plane: &str,
    credentials: Credentials,
    secrets: WebhookSecrets,
) {
    let api: Api<Guarded<Secret>> = Api::namespaced(operator.client.clone(), control_plane);
    // The values go to where they are used; the index only tells what changed.
    let repositories: Index<Option<RepositorySecret>> = Index::default();
    let watch = Watch::new(api.clone(), repositories, |secret: Secret| {
        let labels = secret.metadata.labels.unwrap_or_default();
        Some(RepositorySecret::read(
            &labels,
            &secret.data.unwrap_or_default(),
        ))
    })
    .config(WatchConfig {
        labels: Some("argocd.argoproj.io/secret-type in (repository, repo-creds)".to_owned()),
        fields: None,
    })
    .on_change(move |change| {
        let secret = change.new.and_then(|secret| secret.as_ref().clone());
        credentials.set(&change.key.name, secret);
    });
    operator.spawn(
        "repository secrets",
        watch
            .ready(operator.readiness.register("repository secrets"))
            .run(),
    );
    let settings = Watch::new(api, Index::default(), |secret: Secret| {
        Some(secret.data.unwrap_or_default())
    })
    .config(WatchConfig {
        labels: None,
        fields: Some(format!("metadata.name={SETTINGS_SECRET}")),
    })
    .on_change(move |change| {
        let data = change
            .new
            .map(|data| data.as_ref().clone())
            .unwrap_or_default();
        let text =
            |bytes: k8s_openapi::ByteString| String::from_utf8_lossy(&bytes.0).trim().to_owned();
        *secrets.write() = data
            .into_iter()
            .filter(|(key, _)| key.starts_with("webhook."))
            .map(|(key, value)| (key, text(value)))
            .collect();
    });
    operator.spawn(
        "settings",
        settings
            .ready(operator.readiness.register("settings"))
            .run(),
    );
}

/// Says which settings of upstream's ConfigMap have no effect here, so that nobody relies on them.
fn watch_settings(operator: &Operator, control_plane: &str) {
    let api: Api<Guarded<ConfigMap>> = Api::namespaced(operator.client.clone(), control_plane);
    let watch = Watch::new(api, Index::default(), |map: ConfigMap| {
        Some(
            map.data
                .unwrap_or_default()
                .into_keys()
                .collect::<Vec<String>>(),
        )
    })
    .config(WatchConfig {
        labels: None,
        fields: Some(format!("metadata.name={SETTINGS_MAP}")),
    })
    .on_change(|change| {
        let keys = change.new.map(|keys| keys.join(", ")).unwrap_or_default();
        if !keys.is_empty() {
            tracing::warn!(
                keys,
                "settings in {SETTINGS_MAP} are not supported yet and have no effect"
            );
        }
    });
    operator.spawn("settings map", watch.run());
}

/// The project `default` always exists; like upstream we make it when it is missing, and try until it is
/// there, because without it most Applications are invalid. Others need not wait for it longer than for
/// the first try, whose end `tried` tells.
async fn ensure_default_project(
    context: &Context,
    mut leader: tokio::sync::watch::Receiver<bool>,
    tried: tokio::sync::oneshot::Sender<()>,
) {
    if leader.wait_for(|leads| *leads).await.is_err() {
        return;
    }
    let mut tried = Some(tried);
    let mut pause = FIRST_PAUSE;
    while let Err(error) = create_default_project(context).await {
        tracing::warn!(%error, "cannot make sure that the project default exists");
        drop(tried.take());
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

async fn create_default_project(
    context: &Context,
) -> Result<(), reconcile_core::apply::ApplyError> {
    let gvk =
        kube::core::GroupVersionKind::gvk(AppProject::GROUP, AppProject::VERSION, AppProject::KIND);
    let resource = resource_of(&gvk, AppProject::PLURAL);
    let key = ObjectKey::new(&*context.settings.control_plane, DEFAULT_PROJECT);
    if get(&context.client, &resource, &key).await?.is_some() {
        return Ok(());
    }
    let mut project =
        kube::api::DynamicObject::new(DEFAULT_PROJECT, &resource).within(&key.namespace);
    let spec = serde_json::to_value(default_spec()).unwrap_or_default();
    project.data = serde_json::json!({ "spec": spec });
    match create(&context.client, &resource, &key, &project, FIELD_MANAGER).await {
        Err(error) if error.code() == Some(409) => Ok(()),
        other => other.map(|object| {
            if let Ok(root) = serde_json::to_value(&object)
                && let Ok(root) = Root::<AppProject>::from_value(&root)
            {
                let meta = root.metadata.clone();
                drop(context.projects.written(&meta, root));
            }
        }),
    }
}

#[cfg(test)]
mod tests;
