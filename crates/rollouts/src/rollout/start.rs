//! Wires the Rollout controller into the process.

use std::sync::Arc;

use reconcile_core::{
    event::EventNote,
    object::{Kind, ObjectKey, Root},
    operator::Operator,
    reconcile::{Controller as _, Driver, DriverConfig, Queue},
    watch::{Change, Index, Watch, WatchConfig},
};

use super::{
    Effects, Rollouts, Sources,
    cleanup::{Cleanup, is_former},
    config::RolloutConfig,
    kinds::{ReplicaSetKind, ServiceKind, replica_set_view, service_view},
    metrics,
    observe::{references, service_tag, template_tag},
    observed::ReplicaSetView,
    plan::conditions::kind,
    service_cleanup::{ServiceCleanup, queue_services_of},
    traffic::Aws,
    workload_effects,
};
use crate::{
    analysis::{self, RunView},
    api::rollout::{HASH_LABEL, Rollout, RolloutKind},
    args,
    aws::Elb,
    client_metrics, experiment, instance,
};

/// Starts the watches and the controllers of Rollouts, AnalysisRuns and Experiments. Fails only when a metric cannot
/// be registered.
pub fn start(operator: &Operator, config: &RolloutConfig) -> Result<(), prometheus::Error> {
    let sources = Sources::default();
    let queue = Queue::new();
    let numbers = metrics::register(&operator.registry, &sources)?;
    client_metrics::register(&operator.registry, &operator.requests)?;
    let counted = numbers.events.clone();
    operator
        .events
        .count_with(move |about, event| counted.count(about, event));
    report_deletions(operator, &sources, numbers.events);
    let effects = Effects {
        client: operator.client.clone(),
        sources: sources.clone(),
        instance_id: config.instance_id.clone(),
        aws: config.verify_target_groups.clone().map(|tag| Aws {
            balancers: Arc::new(Elb::new(Arc::new(args::variable))),
            tag,
        }),
    };
    clean_up_former(operator, &effects);
    experiment::start(operator, config, &effects)?;
    let driver_config = DriverConfig {
        workers: config.workers,
        queue_name: Some("Rollouts"),
        seconds: Some(numbers.passes.seconds),
        errors: Some(numbers.passes.errors),
        ..DriverConfig::default()
    };
    let driver = Driver::with_queue(
        Rollouts::new(effects),
        operator,
        driver_config,
        queue.clone(),
        sources.roots.clone(),
    );
    let experimenters = queue.clone();
    sources.experiments.on_change(move |change| {
        let view = change.new.as_ref().or(change.old.as_ref());
        let owner = view.and_then(|view| view.owner.as_ref());
        if let Some(owner) = owner.filter(|owner| owner.kind == RolloutKind::KIND) {
            experimenters.add(ObjectKey::new(&change.key.namespace, &owner.name));
        }
    });
    let (owners, users) = (queue.clone(), (queue.clone(), sources.roots.clone()));
    analysis::start(
        operator,
        &sources.analysis,
        &config.analysis,
        move |change: Change<RunView>| queue_run_owner(&owners, &change),
        move |key: ObjectKey| {
            queue_tagged(&users.0, &users.1, &template_tag(&key.namespace, &key.name));
            queue_invalid(&users.0, &users.1);
        },
    )?;
    let roots = driver
        .watch_roots(operator.api(config.namespace.as_deref()))
        .config(instance::objects(&config.instance_id))
        .ready(operator.readiness.register("rollouts"));
    operator.spawn("watch of rollouts", roots.run());
    operator.spawn(
        "watch of replicasets",
        watch_replica_sets(operator, config, &sources, &queue).run(),
    );
    operator.spawn(
        "watch of services",
        watch_services(operator, config, &sources, &queue).run(),
    );
    workload_effects::watch(operator, config, &sources, &queue);
    clean_up_services(operator, &sources);
    operator.spawn_drained(driver.run());
    Ok(())
}

/// Emits an Event for each Rollout that is deleted, and forgets its numbers.
fn report_deletions(operator: &Operator, sources: &Sources, counts: metrics::EventMetrics) {
    let (events, leader) = (operator.events.clone(), operator.leader());
    sources.roots.on_change(move |change| {
        if change.new.is_some() {
            return;
        }
        if let (Some(old), true) = (&change.old, *leader.borrow()) {
            let note = EventNote::normal(
                "RolloutDeleted",
                format!("Rollout {} is deleted", change.key),
            );
            events.emit(Rollouts::NAME, old.object_reference(), note);
        }
        counts.forget(&change.key);
    });
}

/// Gives back what Rollouts changed that are gone, and the routes of those that name other ones now.
fn clean_up_former(operator: &Operator, effects: &Effects) {
    let (cleanup, sender) = Cleanup::new(effects.clone(), operator.leader());
    effects.sources.roots.on_change(move |change| {
        let Some(old) = &change.old else {
            return;
        };
        if is_former(old, change.new.as_deref()) && sender.try_send(old.clone()).is_err() {
            tracing::warn!(rollout = %change.key, "too many Rollouts changed at once; its routes and flags stay as they are");
        }
    });
    operator.spawn("route and flag cleanup", cleanup.run());
}

/// Services that were switched and that no Rollout names any more lose the pod template hash.
fn clean_up_services(operator: &Operator, sources: &Sources) {
    let queue = Queue::new();
    operator.queues.measure("Services", &queue);
    let (switched, forsaken, services) = (queue.clone(), queue.clone(), sources.services.clone());
    sources.services.on_change(move |change| {
        if change.new.is_some_and(|view| view.managed_by.is_some()) {
            switched.add(change.key);
        }
    });
    sources.roots.on_change(move |change| {
        let Some(old) = &change.old else {
            return;
        };
        let dropped = change.new.as_ref().is_none_or(|new| {
            new.generation() != old.generation() && references(new) != references(old)
        });
        if dropped {
            queue_services_of(&forsaken, &services, &change.key);
        }
    });
    let cleanup = ServiceCleanup {
        client: operator.client.clone(),
        sources: sources.clone(),
        queue,
        readiness: operator.readiness.clone(),
        leader: operator.leader(),
    };
    operator.spawn("service cleanup", cleanup.run());
}

fn watch_replica_sets(
    operator: &Operator,
    config: &RolloutConfig,
    sources: &Sources,
    queue: &Queue,
) -> Watch<Root<ReplicaSetKind>, ReplicaSetView> {
    let (queue, roots) = (queue.clone(), sources.roots.clone());
    let convert = |root: Root<ReplicaSetKind>| replica_set_view(&root);
    Watch::named(
        ReplicaSetKind::PLURAL,
        operator.api(config.namespace.as_deref()),
        sources.replica_sets.clone(),
        convert,
    )
    // Only sets with the hash label can belong to a Rollout.
    .config(WatchConfig {
        labels: Some(HASH_LABEL.to_owned()),
        fields: None,
    })
    .ready(operator.readiness.register(ReplicaSetKind::PLURAL))
    .on_change(move |change| queue_owner(&queue, &roots, &change))
}

fn watch_services(
    operator: &Operator,
    config: &RolloutConfig,
    sources: &Sources,
    queue: &Queue,
) -> Watch<Root<ServiceKind>, super::observed::ServiceView> {
    let (queue, roots) = (queue.clone(), sources.roots.clone());
    let convert = |root: Root<ServiceKind>| service_view(&root);
    Watch::named(
        ServiceKind::PLURAL,
        operator.api(config.namespace.as_deref()),
        sources.services.clone(),
        convert,
    )
    .ready(operator.readiness.register(ServiceKind::PLURAL))
    .on_change(move |change| {
        let key = &change.key;
        queue_tagged(&queue, &roots, &service_tag(&key.namespace, &key.name));
    })
}

fn queue_tagged(queue: &Queue, roots: &Index<Rollout>, tag: &str) {
    for (key, _) in roots.tagged(tag) {
        queue.add(key);
    }
}

/// A template that another template names was missing, perhaps.
fn queue_invalid(queue: &Queue, roots: &Index<Rollout>) {
    roots.each(|key, root| {
        if root
            .status
            .as_ref()
            .is_some_and(|status| status.get().contains(kind::INVALID_SPEC))
        {
            queue.add(key.clone());
        }
    });
}

fn queue_owner(queue: &Queue, roots: &Index<Rollout>, change: &Change<ReplicaSetView>) {
    let namespace = &change.key.namespace;
    for view in [&change.old, &change.new].into_iter().flatten() {
        match &view.owner {
            Some(owner) if owner.kind == RolloutKind::KIND => {
                queue.add(ObjectKey::new(namespace, &owner.name));
            }
            Some(_) => {}
            // Anybody in the namespace may want it; orphans are rare.
            None => roots.each(|key, _| {
                if key.namespace == *namespace {
                    queue.add(key.clone());
                }
            }),
        }
    }
}

fn queue_run_owner(queue: &Queue, change: &Change<RunView>) {
    let view = change.new.as_ref().or(change.old.as_ref());
    if let Some(owner) = view.and_then(|view| view.owner.as_ref())
        && owner.kind == RolloutKind::KIND
    {
        queue.add(ObjectKey::new(&change.key.namespace, &owner.name));
    }
}
