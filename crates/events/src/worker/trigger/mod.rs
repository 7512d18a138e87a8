//! One trigger of one Sensor: messages in, actions out, every message acknowledged after its outcome.

mod admission;
mod attempt;
mod finished;
mod history;
mod in_turn;
mod intake;
mod messages;
mod order;
mod per_event;
mod per_set;
mod ports;
mod pull;
mod room;
mod saved_state;
#[cfg(test)]
mod tests;

use std::{collections::BTreeMap, sync::Arc};

use parking_lot::Mutex;
use reconcile_core::{apply::EventSink, clock::Clock};
use sha2::{Digest, Sha256};
use tokio_util::sync::CancellationToken;

pub(super) use self::{intake::Intake, ports::TriggerBus, room::HeldBytes};
use super::{SourceLookup, activity::Activity, health::Health};
use crate::{
    bus::{Bus, ConsumerOwner},
    metrics::Metrics,
    panics,
    sensor::{CheckedSensor, CheckedTrigger, parameter::Events, rate_limit::Pace},
    trigger::{Executor, Firing},
};

/// What the task of a trigger needs.
#[derive(Clone)]
pub(super) struct Context {
    pub(super) sensor: Arc<CheckedSensor>,
    pub(super) trigger: Arc<CheckedTrigger>,
    pub(super) bus: Arc<dyn TriggerBus>,
    pub(super) executor: Executor,
    pub(super) metrics: Metrics,
    pub(super) clock: Clock,
    pub(super) events: EventSink,
    /// Ends this worker: the trigger is replaced, removed or paused.
    pub(super) stop: CancellationToken,
    /// Ends the pulls too; not cancelled when a successor takes them over. The parent of `stop`.
    pub(super) pulls: CancellationToken,
    /// Why no events arrive, by dependency.
    pub(super) health: Health,
    /// What the trigger did lately.
    pub(super) activity: Activity,
    pub(super) pace: Arc<Mutex<Pace>>,
    /// Bounds the bytes of messages in the hands of this process.
    pub(super) held: HeldBytes,
    /// Whether there is such an EventSource.
    pub(super) has_source: SourceLookup,
}

impl Context {
    /// The firing for a set of events; `set` is the sequence per dependency, in the stream created at
    /// `stream`.
    fn firing(&self, stream: i128, set: &BTreeMap<String, u64>, events: Events) -> Firing {
        let mut hash = Sha256::new();
        hash.update(format!(
            "{}/{}/{stream}",
            self.sensor.uid, self.trigger.name
        ));
        for (name, sequence) in set {
            hash.update(format!("/{name}={sequence}"));
        }
        Firing {
            // Half of the hash is plenty, and short enough to read.
            id: hex::encode(&hash.finalize()[..16]),
            sensor: self.sensor.key.clone(),
            trigger: self.trigger.name.clone(),
            service_account: self.sensor.service_account.clone(),
            events,
            now: self.clock.now(),
        }
    }

    /// Whose the durable consumer of a dependency is.
    fn owner(&self, dependency: usize) -> ConsumerOwner<'_> {
        ConsumerOwner {
            sensor: &self.sensor.key,
            trigger: &self.trigger.name,
            dependency: &self.trigger.dependencies[dependency].name,
        }
    }

    fn labels(&self) -> [&str; 3] {
        [
            &self.sensor.key.namespace,
            &self.sensor.key.name,
            &self.trigger.name,
        ]
    }
}

/// Runs the trigger until it is stopped, with the intake of its predecessor when there is one. Returns the
/// intake when it is for a successor.
pub(super) async fn run(
    context: Context,
    bus: &Arc<Bus>,
    intake: Option<Intake>,
) -> Option<Intake> {
    let name = format!("{}/{}", context.sensor.key, context.trigger.name);
    tracing::info!(trigger = %name, condition = context.trigger.condition.text(), "trigger starts");
    context.executor.http.warm();
    let mut intake = intake;
    let worker = || {
        let intake = intake.take();
        let (context, bus) = (context.clone(), bus.clone());
        async move {
            let intake = intake.unwrap_or_else(|| Intake::start(&context, &bus));
            // In boxes, so that each trigger has the memory of its own kind only.
            if context.trigger.acts_per_event() {
                Box::pin(per_event::run(context, intake)).await
            } else {
                Box::pin(per_set::run(context, intake)).await
            }
        }
    };
    let left = panics::restarted(&name, worker).await;
    tracing::info!(trigger = %name, "trigger stopped");
    left
}
