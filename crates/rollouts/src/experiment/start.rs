//! Wires the Experiment controller into the process.

use reconcile_core::{
    object::{Kind, ObjectKey},
    operator::Operator,
    reconcile::{Controller, Driver, DriverConfig, Queue},
    watch::{Index, Watch},
};

use super::{Experiments, metrics, view::ExperimentView};
use crate::{
    api::experiment::{Experiment, ExperimentKind},
    instance,
    rollout::{config::RolloutConfig, effects::Effects},
};

/// Starts the watch and the controller of Experiments. What it reads of other kinds comes from the
/// indexes of `effects`, which the Rollout controller fills. Fails only when a metric cannot be
/// registered.
pub fn start(
    operator: &Operator,
    config: &RolloutConfig,
    effects: &Effects,
) -> Result<(), prometheus::Error> {
    let numbers = metrics::register(&operator.registry, &effects.sources.experiments)?;
    let (queue, roots) = (Queue::new(), Index::<Experiment>::default());
    let driver_config = DriverConfig {
        workers: config.experiment_workers,
        queue_name: Some("Experiments"),
        seconds: Some(numbers.seconds),
        errors: Some(numbers.errors),
        ..DriverConfig::default()
    };
    queue_on_changes(&queue, &roots, effects);
    let driver = Driver::with_queue(
        Experiments::new(effects.clone()),
        operator,
        driver_config,
        queue.clone(),
        roots.clone(),
    );
    let views = effects.sources.experiments.clone();
    let gone = views.clone();
    // As for runs: the controller's own status write is in `roots` when its event arrives.
    let convert = move |mut root: Experiment| {
        root.slim();
        drop(views.written(&root.metadata, ExperimentView::of(&root)));
        Some(root)
    };
    let watch = Watch::named(
        ExperimentKind::PLURAL,
        operator.api(config.namespace.as_deref()),
        roots,
        convert,
    )
    .config(instance::objects(&config.instance_id))
    .ready(operator.readiness.register(ExperimentKind::PLURAL))
    .on_change(move |change| {
        if let (Some(old), None) = (&change.old, &change.new) {
            drop(gone.went(&old.metadata));
        }
        if !change.is_report_of(Experiments::NAME) {
            queue.add(change.key);
        }
    });
    operator.spawn("watch of experiments", watch.run());
    operator.spawn_drained(driver.run());
    Ok(())
}

/// What an Experiment owns or waits for wakes it.
fn queue_on_changes(queue: &Queue, roots: &Index<Experiment>, effects: &Effects) {
    let sources = &effects.sources;
    let sets = queue.clone();
    sources.replica_sets.on_change(move |change| {
        for view in [&change.old, &change.new].into_iter().flatten() {
            if let Some(owner) = view
                .owner
                .as_ref()
                .filter(|owner| owner.kind == ExperimentKind::KIND)
            {
                sets.add(ObjectKey::new(&change.key.namespace, &owner.name));
            }
        }
    });
    let runs = queue.clone();
    sources.analysis.runs.on_change(move |change| {
        let view = change.new.as_ref().or(change.old.as_ref());
        let owner = view.and_then(|view| view.owner.as_ref());
        if let Some(owner) = owner.filter(|owner| owner.kind == ExperimentKind::KIND) {
            runs.add(ObjectKey::new(&change.key.namespace, &owner.name));
        }
    });
    let (services, owners) = (queue.clone(), roots.clone());
    sources.services.on_change(move |change| {
        let views = [&change.old, &change.new].into_iter().flatten();
        let uids: Vec<String> = views.filter_map(|view| view.owner.clone()).collect();
        if uids.is_empty() {
            return;
        }
        owners.each(|key, root| {
            let is_owner = uids.iter().any(|uid| uid == root.uid());
            if is_owner && key.namespace == change.key.namespace {
                services.add(key.clone());
            }
        });
    });
}
