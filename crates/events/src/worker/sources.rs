//! EventSources of the data plane.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use parking_lot::Mutex;
use reconcile_core::{object::ObjectKey, shards::Claim};
use tokio_util::sync::CancellationToken;

use super::{DataPlane, claimed::by_claim, health::Health, source_task};
use crate::{
    bus::Bus,
    source::{
        CheckedSource, Emitter, SourceLimits, TaskEvent,
        listener::{ClosedPort, EndpointClaims, Served},
    },
};

/// An endpoint that was refused is tried again after this time: the port or path may be free then.
const TRY_AGAIN: Duration = Duration::from_secs(10);

/// An EventSource that runs.
pub(super) struct Running {
    spec: Arc<CheckedSource>,
    bus: Arc<Bus>,
    served: Served,
    /// By which its tasks run here.
    claim: Option<Claim>,
    /// Why events do not arrive, by their name.
    health: Health,
    tasks: Tasks,
}

/// The tasks that run, by event.
type Tasks = BTreeMap<String, (TaskEvent, CancellationToken)>;

impl Running {
    fn health(&self) -> SourceHealth {
        let mut interrupted = self.health.problems();
        // An event that was removed may have left a problem.
        interrupted.retain(|event, _| self.spec.events().any(|name| name == event));
        SourceHealth {
            served: self.served.clone(),
            interrupted,
        }
    }
}

/// How an EventSource is doing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SourceHealth {
    /// Endpoints that are served, and those that are not.
    pub served: Served,
    /// Events that cannot be published, by name, and why.
    pub interrupted: BTreeMap<String, String>,
}

impl DataPlane {
    /// Runs an EventSource with these settings; changes a running one in place.
    pub fn ensure_source(&self, spec: &Arc<CheckedSource>, bus: &Arc<Bus>) -> SourceHealth {
        let mut sources = self.0.sources.lock();
        let claim = self.0.authority.claim_of(&spec.key);
        let old = sources.get_mut(&spec.key);
        if let Some(running) = &old
            && running.spec == *spec
            && Arc::ptr_eq(&running.bus, bus)
            && same_claim(running.claim.as_ref(), claim.as_ref())
            && !is_worth_another_try(spec, &running.served)
        {
            return running.health();
        }
        let health = old.as_ref().map_or_else(
            || Health::new(self.0.source_queue.clone(), spec.key.clone()),
            |running| running.health.clone(),
        );
        let report = {
            let health = health.clone();
            move |event: &str, problem| health.set(event, problem)
        };
        let emitter = Arc::new(Emitter {
            report: Arc::new(report),
            failing: Mutex::default(),
            key: spec.key.clone(),
            bus: bus.clone(),
            clock: self.0.clock.clone(),
            metrics: self.0.metrics.clone(),
            egress: self.0.source_limits.egress,
        });
        let served = self.0.listeners.set(&EndpointClaims {
            owner: &spec.key,
            webhooks: &spec.webhooks,
            contested: &spec.contested,
            service: spec.service,
            emitter: &emitter,
        });
        if is_worth_another_try(spec, &served) {
            self.0.source_queue.add_after(spec.key.clone(), TRY_AGAIN);
        }
        let mut before = match old {
            None => Tasks::new(),
            Some(running) => {
                let gone = |name: &&str| spec.events().all(|event| event != *name);
                self.drop_metrics(&spec.key, running.spec.events().filter(gone));
                let mut before = std::mem::take(&mut running.tasks);
                if !Arc::ptr_eq(&running.bus, bus)
                    || !same_claim(running.claim.as_ref(), claim.as_ref())
                {
                    // Each holds the bus and the claim that it was begun with.
                    stop_all(&mut before);
                }
                before
            }
        };
        // A tick or message must come in by one process only, an HTTP request reaches just one.
        let tasks = if let Some(claim) = &claim {
            self.exchange(spec, claim, &emitter, &health, before)
        } else {
            stop_all(&mut before);
            Tasks::new()
        };
        self.count(spec);
        let running = Running {
            spec: spec.clone(),
            bus: bus.clone(),
            served,
            claim,
            health,
            tasks,
        };
        let reported = running.health();
        sources.insert(spec.key.clone(), running);
        reported
    }

    /// Replaces the tasks `before` by those of `spec`; equal ones keep running.
    fn exchange(
        &self,
        spec: &CheckedSource,
        claim: &Claim,
        emitter: &Arc<Emitter>,
        health: &Health,
        mut before: Tasks,
    ) -> Tasks {
        let mut tasks = Tasks::new();
        let limits = SourceLimits {
            identities: self.0.executors.of(claim).identities,
            ..self.0.source_limits.clone()
        };
        for task in &spec.tasks {
            let running = match before.remove(&task.event) {
                Some(running) if running.0 == *task => running,
                other => {
                    if let Some((_, stop)) = other {
                        stop.cancel();
                    }
                    health.set(&task.event, None);
                    let stop = self.0.stop.child_token();
                    let context = task.context(&spec.uid, emitter.clone(), &limits);
                    let run = source_task::run(context);
                    let run = stop.clone().run_until_cancelled_owned(run);
                    let run = by_claim(claim.clone(), stop.clone(), run);
                    self.0.tasks.spawn(run);
                    (task.clone(), stop)
                }
            };
            tasks.insert(task.event.clone(), running);
        }
        stop_all(&mut before);
        tasks
    }

    fn count(&self, spec: &CheckedSource) {
        let (namespace, name) = (spec.key.namespace.as_str(), spec.key.name.as_str());
        let mut count = 0;
        for event in spec.events() {
            self.0.metrics.source_at_zero(&[namespace, name, event]);
            count += 1;
        }
        let labels = [namespace, name];
        self.0.metrics.running.with_label_values(&labels).set(count);
    }

    fn drop_metrics<'e>(&self, key: &ObjectKey, events: impl Iterator<Item = &'e str>) {
        for event in events {
            self.0
                .metrics
                .drop_source(&[&key.namespace, &key.name, event]);
        }
    }

    /// By port of the manifest: the port of this process that the Service of an EventSource leads to.
    pub fn targets(&self, key: &ObjectKey) -> BTreeMap<u16, u16> {
        let sources = self.0.sources.lock();
        let targets = sources.get(key).map(|running| &running.served.targets);
        targets.cloned().unwrap_or_default()
    }

    /// An `EndpointSlice` names these ports of this process for an EventSource, or is about to: no other one gets
    /// them.
    pub fn published(&self, key: &ObjectKey, numbers: &BTreeSet<u16>) {
        self.0.listeners.published(key, numbers);
    }

    /// The `EndpointSlice` of an EventSource names these ports of this process, and no others any more.
    pub fn published_only(&self, key: &ObjectKey, numbers: &BTreeSet<u16>) {
        self.0.listeners.published_only(key, numbers);
    }

    /// Stops an EventSource.
    pub fn stop_source(&self, key: &ObjectKey) {
        self.0.listeners.remove(key);
        let Some(mut running) = self.0.sources.lock().remove(key) else {
            return;
        };
        stop_all(&mut running.tasks);
        let labels = [key.namespace.as_str(), key.name.as_str()];
        drop(self.0.metrics.running.remove_label_values(&labels));
        self.drop_metrics(key, running.spec.events());
    }
}

/// A reason that may pass after a while.
fn is_worth_another_try(spec: &CheckedSource, served: &Served) -> bool {
    let passing = |(port, closed): (&u16, &ClosedPort)| match closed {
        ClosedPort::Busy(_) => true,
        ClosedPort::Contested => !spec.contested.contains(port),
        ClosedPort::Reserved => false,
    };
    !served.refused.is_empty() || served.closed.iter().any(passing)
}

fn same_claim(one: Option<&Claim>, other: Option<&Claim>) -> bool {
    match (one, other) {
        (Some(one), Some(other)) => one.is(other),
        (one, other) => one.is_none() && other.is_none(),
    }
}

fn stop_all(tasks: &mut Tasks) {
    for (_, (_, stop)) in std::mem::take(tasks) {
        stop.cancel();
    }
}
