//! Processes that run the task of a trigger, one after the other, until everything is answered.

use std::{sync::Arc, time::Duration};

use parking_lot::Mutex;
use reconcile_core::{
    clock::Clock, object::ObjectKey, operator::Operator, reconcile::Queue, testkit::FakeApi,
};
use serde_json::Value;
use tokio::{sync::mpsc, task::JoinHandle};
use tokio_util::sync::CancellationToken;

use super::broker::{Broker, Recorder};
use crate::{
    metrics::Metrics,
    sensor::{CheckedSensor, CheckedTrigger, checked, rate_limit::Pace},
    trigger::{Executor, Task, secrets::Secrets},
    worker::{
        activity::Activity,
        health::Health,
        trigger::{
            Context, HeldBytes, Intake,
            messages::{Attachment, Incoming},
            per_event, per_set,
        },
    },
};

/// When the stream was created.
const STREAM: i128 = 7;
/// On the clock of the test, which passes when everybody waits.
const DAY: Duration = Duration::from_secs(24 * 3600);
/// More processes than any test lets die.
const PROCESSES: usize = 200;

/// The Sensor and its one trigger.
pub(super) struct Spec {
    sensor: Arc<CheckedSensor>,
    pub(super) trigger: CheckedTrigger,
}

impl Spec {
    pub(super) fn check(spec: &Value) -> Self {
        let key = ObjectKey::new("ns", "s");
        let (sensor, problems) = checked::check(&key, "uid", spec).expect("decodes");
        assert_eq!(problems, checked::Problems::default());
        let trigger = sensor.triggers[0].as_ref().clone();
        Self {
            sensor: Arc::new(sensor),
            trigger,
        }
    }
}

/// Runs processes until every message is answered.
pub(super) fn run(spec: &Spec, broker: &Broker) {
    for _ in 0..PROCESSES {
        // Time passes when everybody waits. What a dead process had begun ends with its runtime.
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .start_paused(true)
            .build()
            .expect("a runtime");
        if runtime.block_on(live(spec, broker)) {
            return;
        }
    }
    panic!("every process died: {:#?}", broker.log());
}

async fn live(spec: &Spec, broker: &Broker) -> bool {
    let context = context(spec, broker);
    let dependencies = context.trigger.dependencies.len();
    let (sender, incoming) = mpsc::channel(256);
    let delivered = broker.deliver(STREAM, sender.clone());
    for dependency in 0..dependencies {
        let attachment = Attachment {
            dependency,
            consumer: context.trigger.dependencies[dependency].name.clone(),
            stream: STREAM,
            delivered: 0,
        };
        let sent = sender.send(Incoming::Attached(attachment)).await;
        assert!(sent.is_ok(), "the intake is open");
    }
    for held in delivered {
        let sent = sender.send(Incoming::Message(held)).await;
        assert!(sent.is_ok(), "the intake is open");
    }
    let intake = Intake::of(incoming);
    let task: JoinHandle<Option<Intake>> = if context.trigger.acts_per_event() {
        tokio::spawn(per_event::run(context, intake))
    } else {
        tokio::spawn(per_set::run(context, intake))
    };
    tokio::select! {
        settled = tokio::time::timeout(DAY, broker.settled()) => match settled {
            Ok(settled) => settled,
            Err(late) => panic!("messages stay unanswered, {late}: {:#?}", broker.log()),
        },
        ended = task => panic!("the task ended: {:?}", ended.map(drop)),
    }
}

pub(super) fn context(spec: &Spec, broker: &Broker) -> Context {
    let client = FakeApi::new().client();
    let operator = Operator::detached(client.clone(), Clock::system());
    let mut trigger = spec.trigger.clone();
    trigger.task = Task {
        action: Arc::new(Recorder(broker.clone())),
        ..trigger.task
    };
    let pulls = CancellationToken::new();
    let metrics = Metrics::register(&operator.registry).expect("a fresh registry");
    Context {
        held: HeldBytes::new(metrics.held.clone()),
        sensor: spec.sensor.clone(),
        bus: Arc::new(broker.clone()),
        executor: Executor::new(&operator, Secrets::new(client)),
        metrics,
        clock: operator.clock.clone(),
        events: operator.events.clone(),
        stop: pulls.child_token(),
        pulls,
        health: Health::new(Queue::new(), spec.sensor.key.clone()),
        activity: Activity::new(Queue::new(), spec.sensor.key.clone()),
        pace: Arc::new(Mutex::new(Pace::new(trigger.spacing))),
        has_source: Arc::new(|_| false),
        trigger: Arc::new(trigger),
    }
}
