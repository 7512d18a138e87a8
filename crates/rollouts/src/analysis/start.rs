//! Wires the AnalysisRun controller into the process.

use kube::Api;
use reconcile_core::{
    object::{Kind, ObjectKey, Root},
    operator::Operator,
    reconcile::{Controller, Driver, DriverConfig, Queue},
    watch::{Change, Guarded, Index, Watch, WatchConfig},
};
use serde_json::{json, value::to_raw_value};

use super::{AnalysisIndexes, AnalysisRuns, ProviderConfig, RunView, metrics};
use crate::{
    api::analysis::{AnalysisRun, AnalysisTemplate, ClusterAnalysisTemplate},
    instance,
};

/// What the command line says about analysis.
#[derive(Clone, Debug, Default)]
pub struct AnalysisConfig {
    /// The one namespace to work in; all of them when absent. Cluster templates are not read when set.
    pub namespace: Option<String>,
    /// `--instance-id`; only objects with this label value are handled, or only those without the label
    /// when empty.
    pub instance_id: String,
    /// `--analysis-threads`: passes at the same time; 0 means the default of the driver.
    pub workers: usize,
    /// The settings of all metric providers.
    pub providers: ProviderConfig,
}

/// Starts the watches of runs and templates and the AnalysisRun controller. `on_run` receives every
/// change of a run, and `on_template` the key of every template that was created, changed or deleted (cluster templates
/// have no namespace); both must not block. Fails only when a metric cannot be registered.
pub fn start(
    operator: &Operator,
    shared: &AnalysisIndexes,
    config: &AnalysisConfig,
    on_run: impl Fn(Change<RunView>) + Clone + Send + Sync + 'static,
    on_template: impl Fn(ObjectKey) + Clone + Send + Sync + 'static,
) -> Result<(), prometheus::Error> {
    let numbers = metrics::register(&operator.registry, shared)?;
    let queue = Queue::new();
    let controller = AnalysisRuns::new(
        operator.client.clone(),
        operator.clock.clone(),
        queue.clone(),
        config.providers.clone(),
    );
    let driver_config = DriverConfig {
        workers: config.workers,
        queue_name: Some("AnalysisRuns"),
        seconds: Some(numbers.seconds),
        errors: Some(numbers.errors),
        ..DriverConfig::default()
    };
    let roots: Index<Root<AnalysisRun>> = Index::default();
    let driver = Driver::with_queue(
        controller,
        operator,
        driver_config,
        queue.clone(),
        roots.clone(),
    );
    let runs = watch_runs(operator, shared, config, queue, roots, on_run);
    operator.spawn("watch of analysisruns", runs.run());
    operator.spawn(
        "watch of analysistemplates",
        watch_templates::<AnalysisTemplate>(
            operator,
            operator.api(config.namespace.as_deref()),
            shared.templates.namespaced.clone(),
            instance::objects(&config.instance_id),
            on_template.clone(),
        )
        .run(),
    );
    if config.namespace.is_none() {
        operator.spawn(
            "watch of clusteranalysistemplates",
            watch_templates::<ClusterAnalysisTemplate>(
                operator,
                Api::all(operator.client.clone()),
                shared.templates.cluster.clone(),
                instance::objects(&config.instance_id),
                on_template,
            )
            .run(),
        );
    }
    operator.spawn_drained(driver.run());
    Ok(())
}

fn watch_runs(
    operator: &Operator,
    shared: &AnalysisIndexes,
    config: &AnalysisConfig,
    queue: Queue,
    roots: Index<Root<AnalysisRun>>,
    on_run: impl Fn(Change<RunView>) + Clone + Send + Sync + 'static,
) -> Watch<Root<AnalysisRun>, Root<AnalysisRun>> {
    let (views, heard) = (shared.runs.clone(), on_run.clone());
    let gone_views = shared.runs.clone();
    // The view is taken while converting, not on change: the driver's own status write is already in
    // `roots` when its watch event arrives, so that event is no change there but is one for the owner.
    let kept = roots.clone();
    let convert = move |mut root: Root<AnalysisRun>| {
        root.slim();
        let view = RunView::of(&root);
        if view.is_completed() {
            retire(&mut root);
            // The driver has put the whole object there when it wrote the verdict, and an equal version
            // does not replace it.
            drop(kept.dropped(&view.key));
        }
        if let Some(change) = views.written(&root.metadata, view) {
            heard(change);
        }
        Some(root)
    };
    Watch::named(
        AnalysisRun::PLURAL,
        operator.api(config.namespace.as_deref()),
        roots,
        convert,
    )
    .config(instance::objects(&config.instance_id))
    .ready(operator.readiness.register(AnalysisRun::PLURAL))
    .on_change(move |change| {
        // It may only have left the selection, and come back.
        if let (Some(old), None) = (&change.old, &change.new)
            && let Some(gone) = gone_views.went(&old.metadata)
        {
            on_run(gone);
        }
        if !change.is_report_of(AnalysisRuns::NAME) {
            queue.add(change.key);
        }
    })
}

/// Leaves of a completed run only what its time to live needs. Rollouts keep ten completed runs each,
/// so they are most of all runs.
fn retire(root: &mut Root<AnalysisRun>) {
    let ttl = root.spec_value().get("ttlStrategy").cloned();
    let status = root.status_value();
    let status = json!({ "phase": status["phase"], "completedAt": status["completedAt"] });
    root.spec = to_raw_value(&json!({ "ttlStrategy": ttl })).ok();
    root.status = to_raw_value(&status).ok();
    root.metadata.annotations = None;
    root.metadata.owner_references = None;
}

fn watch_templates<K: Kind>(
    operator: &Operator,
    api: Api<Guarded<Root<K>>>,
    index: Index<Root<K>>,
    config: WatchConfig,
    on_template: impl Fn(ObjectKey) + Send + Sync + 'static,
) -> Watch<Root<K>, Root<K>> {
    let convert = |mut root: Root<K>| {
        root.slim();
        root.status = None;
        Some(root)
    };
    Watch::named(K::PLURAL, api, index, convert)
        .config(config)
        .ready(operator.readiness.register(K::PLURAL))
        .on_change(move |change| on_template(change.key))
}
