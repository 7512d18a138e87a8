//! Sensors of the data plane.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use parking_lot::Mutex;
use reconcile_core::{object::ObjectKey, shards::Claim};
use tokio::task::JoinHandle;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{
    DataPlane,
    activity::{Activity, TriggerActivity},
    claimed::by_claim,
    health::Health,
    trigger::{self, Intake},
};
use crate::{
    bus::{Bus, ConsumerOwner},
    sensor::{CheckedSensor, CheckedTrigger, rate_limit::Pace},
};

/// What is said of a dependency until its events arrive for the first time.
pub const CONNECTING: &str = "connecting";

/// A Sensor that runs.
pub(super) struct Running {
    /// By which it runs.
    claim: Claim,
    spec: Arc<CheckedSensor>,
    pub(super) bus: Arc<Bus>,
    triggers: BTreeMap<String, RunningTrigger>,
}

struct RunningTrigger {
    spec: Arc<CheckedTrigger>,
    /// Ends the pulls, and with them the worker.
    pulls: CancellationToken,
    /// Ends the worker only.
    stop: CancellationToken,
    /// Leaves its intake to a successor.
    task: JoinHandle<Option<Intake>>,
    health: Health,
    activity: Activity,
}

/// The worker that a changed trigger had before.
struct Predecessor {
    running: RunningTrigger,
    /// The successor takes over its pulls: the same consumers on the same bus.
    hands_over: bool,
}

impl Predecessor {
    fn of(running: RunningTrigger, next: &CheckedTrigger, same_bus: bool) -> Self {
        let consumers = |trigger: &CheckedTrigger| -> Vec<(String, String)> {
            let all = trigger.dependencies.iter();
            all.map(|dependency| (dependency.name.clone(), dependency.subject()))
                .collect()
        };
        let before = &running.spec;
        let hands_over = same_bus
            && before.acts_per_event() == next.acts_per_event()
            && before.is_ordered() == next.is_ordered()
            && consumers(before) == consumers(next);
        Self {
            running,
            hands_over,
        }
    }

    /// Ends it; what was begun is finished first. Its intake, when a successor takes it.
    async fn end(self) -> Option<Intake> {
        if self.hands_over {
            self.running.stop.cancel();
        } else {
            self.running.pulls.cancel();
        }
        self.running.task.await.ok().flatten()
    }
}

/// Where a trigger runs.
struct Place<'p> {
    sensor: &'p Arc<CheckedSensor>,
    bus: &'p Arc<Bus>,
    claim: &'p Claim,
}

/// How a Sensor is doing: what is wrong, per part of a trigger.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SensorHealth {
    /// `trigger/dependency` with the reason why no events arrive, or `trigger/saved events` with the reason
    /// why nothing can be done with them.
    pub detached: BTreeMap<String, String>,
    /// What each trigger did lately.
    pub activity: BTreeMap<String, TriggerActivity>,
}

/// What the bus keeps for a Sensor, from its first run until it is deleted.
pub(super) struct Kept {
    bus: Arc<Bus>,
    /// Trigger and dependency of each durable consumer.
    places: BTreeSet<(String, String)>,
    /// There may be saved events.
    bucket: bool,
    /// Tasks that were stopped and may still be finishing what they began. Nobody else may take their
    /// consumers before.
    leaving: TaskTracker,
}

impl Kept {
    fn new(bus: &Arc<Bus>) -> Self {
        let leaving = TaskTracker::new();
        leaving.close();
        Self {
            bus: bus.clone(),
            places: BTreeSet::new(),
            bucket: false,
            leaving,
        }
    }

    /// Notes what the bus keeps for a trigger.
    fn note(&mut self, trigger: &CheckedTrigger) {
        for dependency in &trigger.dependencies {
            self.places
                .insert((trigger.name.clone(), dependency.name.clone()));
        }
        self.bucket |= trigger.is_ordered();
    }

    /// Adds to the tasks that are leaving.
    fn leave(&mut self, last: impl Future<Output = ()> + Send + 'static) {
        let (before, next) = (self.leaving.clone(), TaskTracker::new());
        next.spawn(async move {
            before.wait().await;
            last.await;
        });
        next.close();
        self.leaving = next;
    }
}

impl DataPlane {
    /// Runs a Sensor with these settings; exchanges only the triggers that changed. A trigger that is in
    /// the manifest but not valid is paused: its consumers keep what arrives until it is valid again.
    /// Without the claim of the Sensor nothing runs.
    pub fn ensure_sensor(&self, spec: &Arc<CheckedSensor>, bus: &Arc<Bus>) {
        let Some(claim) = self.0.authority.claim_of(&spec.key) else {
            return self.pause_sensor(&spec.key);
        };
        let mut sensors = self.0.sensors.lock();
        let mut kept = self.0.kept.lock();
        let kept = kept
            .entry(spec.key.clone())
            .or_insert_with(|| Kept::new(bus));
        let old = sensors.remove(&spec.key);
        let same = |running: &Running| {
            Arc::ptr_eq(&running.bus, bus)
                && running.spec.uid == spec.uid
                && running.claim.is(&claim)
                && running.spec.service_account == spec.service_account
        };
        let keep_triggers = old.as_ref().is_some_and(same);
        let mut before = old.map(|running| running.triggers).unwrap_or_default();
        let mut triggers = BTreeMap::new();
        for trigger in &spec.triggers {
            let previous = before.remove(&trigger.name);
            let running = match previous {
                Some(running) if keep_triggers && running.spec == *trigger => running,
                previous => {
                    let previous =
                        previous.map(|before| Predecessor::of(before, trigger, keep_triggers));
                    let place = Place {
                        sensor: spec,
                        bus,
                        claim: &claim,
                    };
                    self.start_trigger(&place, trigger, previous, kept)
                }
            };
            running.activity.set_fields(spec.logging_fields.clone());
            triggers.insert(trigger.name.clone(), running);
        }
        for (name, left) in before {
            left.pulls.cancel();
            if spec.named.contains(&name) {
                kept.leave(async move { drop(left.task.await) });
            } else {
                self.remove_trigger(&spec.key, left, kept);
            }
        }
        kept.bus = bus.clone();
        let running = Running {
            claim,
            spec: spec.clone(),
            bus: bus.clone(),
            triggers,
        };
        sensors.insert(spec.key.clone(), running);
    }

    fn start_trigger(
        &self,
        place: &Place<'_>,
        spec: &Arc<CheckedTrigger>,
        previous: Option<Predecessor>,
        kept: &mut Kept,
    ) -> RunningTrigger {
        let Place { sensor, bus, claim } = *place;
        kept.note(spec);
        let leaving = kept.leaving.clone();
        let labels = [
            sensor.key.namespace.as_str(),
            sensor.key.name.as_str(),
            spec.name.as_str(),
        ];
        self.0.metrics.trigger_at_zero(&labels);
        let (pulls, health) = match &previous {
            Some(before) if before.hands_over => {
                (before.running.pulls.clone(), before.running.health.clone())
            }
            _ => {
                let health = Health::new(self.0.sensor_queue.clone(), sensor.key.clone());
                for dependency in &spec.dependencies {
                    health.set(&dependency.name, Some(CONNECTING.to_owned()));
                }
                (self.0.stop.child_token(), health)
            }
        };
        // A changed trigger is still the same one to a reader of the status.
        let activity = previous.as_ref().map_or_else(
            || Activity::new(self.0.sensor_queue.clone(), sensor.key.clone()),
            |before| before.running.activity.clone(),
        );
        let stop = pulls.child_token();
        let context = trigger::Context {
            sensor: sensor.clone(),
            trigger: spec.clone(),
            bus: bus.clone(),
            executor: self.0.executors.of(claim),
            metrics: self.0.metrics.clone(),
            clock: self.0.clock.clone(),
            events: self.0.events.clone(),
            stop: stop.clone(),
            pulls: pulls.clone(),
            health: health.clone(),
            activity: activity.clone(),
            has_source: self.0.has_source.clone(),
            held: self.0.held.clone(),
            pace: Arc::new(Mutex::new(Pace::new(spec.spacing))),
        };
        let bus = bus.clone();
        let names: BTreeSet<String> = spec.dependencies.iter().map(|d| d.name.clone()).collect();
        let work = async move {
            // The predecessor finishes what it began before the successor takes the same consumers.
            leaving.wait().await;
            let mut intake = None;
            if let Some(previous) = previous {
                let before = previous.running.spec.clone();
                intake = previous.end().await;
                for dependency in &before.dependencies {
                    if !names.contains(&dependency.name) {
                        let (sensor, trigger) = (&context.sensor.key, &before.name);
                        Box::pin(forget(&bus, sensor, trigger, &dependency.name)).await;
                    }
                }
            }
            trigger::run(context, &bus, intake).await
        };
        let task = by_claim(claim.clone(), pulls.clone(), work);
        let task = self.0.tasks.spawn(task);
        RunningTrigger {
            spec: spec.clone(),
            pulls,
            stop,
            task,
            health,
            activity,
        }
    }

    /// Removes what the bus keeps for a trigger that is not in the manifest any more.
    fn remove_trigger(&self, sensor: &ObjectKey, removed: RunningTrigger, kept: &mut Kept) {
        let trigger = removed.spec.name.clone();
        self.0
            .metrics
            .drop_trigger(&[&sensor.namespace, &sensor.name, &trigger]);
        removed.pulls.cancel();
        kept.places.retain(|(name, _)| *name != trigger);
        let (bus, sensor) = (kept.bus.clone(), sensor.clone());
        kept.leave(async move {
            drop(removed.task.await);
            for dependency in &removed.spec.dependencies {
                forget(&bus, &sensor, &trigger, &dependency.name).await;
            }
        });
    }

    /// Stops a Sensor that was deleted, and removes its consumers and saved events from the bus.
    pub fn remove_sensor(&self, key: &ObjectKey) {
        self.pause_sensor(key);
        let mut all = self.0.kept.lock();
        // Those that were deleted earlier and have nothing left to do.
        all.retain(|_, kept| !kept.places.is_empty() || kept.bucket || !kept.leaving.is_empty());
        let Some(kept) = all.get_mut(key) else { return };
        let places = std::mem::take(&mut kept.places);
        for (trigger, _) in &places {
            self.0
                .metrics
                .drop_trigger(&[&key.namespace, &key.name, trigger]);
        }
        let bucket = std::mem::take(&mut kept.bucket);
        let (bus, sensor) = (kept.bus.clone(), key.clone());
        kept.leave(async move {
            for (trigger, dependency) in &places {
                forget(&bus, &sensor, trigger, dependency).await;
            }
            if bucket && let Err(error) = bus.drop_sensor_bucket(&sensor).await {
                tracing::warn!(%error, "cannot delete the saved events of a deleted Sensor");
            }
        });
    }

    /// Stops a Sensor that another process runs from now on. What the bus keeps for it is that process's matter.
    pub fn let_go_of_sensor(&self, key: &ObjectKey) {
        self.pause_sensor(key);
        if let Some(kept) = self.0.kept.lock().get_mut(key) {
            kept.bucket = false;
            for (trigger, _) in std::mem::take(&mut kept.places) {
                self.0
                    .metrics
                    .drop_trigger(&[&key.namespace, &key.name, &trigger]);
            }
        }
    }

    /// Stops the tasks of a Sensor that cannot run at present; its consumers keep what comes meanwhile.
    pub fn pause_sensor(&self, key: &ObjectKey) {
        let Some(running) = self.0.sensors.lock().remove(key) else {
            return;
        };
        let mut all = self.0.kept.lock();
        let kept = all
            .entry(key.clone())
            .or_insert_with(|| Kept::new(&running.bus));
        for (_, trigger) in running.triggers {
            trigger.pulls.cancel();
            kept.leave(async move { drop(trigger.task.await) });
        }
    }

    /// How a Sensor is doing; `None` when it does not run.
    pub fn sensor_health(&self, key: &ObjectKey) -> Option<SensorHealth> {
        let sensors = self.0.sensors.lock();
        let running = sensors.get(key)?;
        let mut health = SensorHealth::default();
        for (name, trigger) in &running.triggers {
            for (part, reason) in trigger.health.problems() {
                health.detached.insert(format!("{name}/{part}"), reason);
            }
            let activity = trigger.activity.now();
            health.activity.insert(name.clone(), activity);
        }
        Some(health)
    }
}

/// Removes what the bus keeps for a dependency of a trigger.
async fn forget(bus: &Bus, sensor: &ObjectKey, trigger: &str, dependency: &str) {
    let owner = ConsumerOwner {
        sensor,
        trigger,
        dependency,
    };
    if let Err(error) = bus.detach(&owner).await {
        tracing::warn!(%sensor, trigger, dependency, %error, "cannot delete a consumer that is not needed any more");
    }
}
