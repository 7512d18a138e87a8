//! Triggers that wait for several dependencies. Events are taken in the order of the stream, across the
//! subjects of all dependencies; sets fire one after the other, each exactly once.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use async_nats::jetstream::{AckKind, consumer::pull};
use jiff::Timestamp;
use tokio::{
    sync::{Notify, mpsc},
    task::JoinHandle,
    time::Instant,
};

use super::{
    Context,
    attempt::{DEAD_LETTER_PAUSE, Tried, bundle},
    intake::{self, BEAT, Held, InHand, Incoming},
    memory::Memory,
};
use crate::{
    bus::{self, BusError, STREAM},
    event::CloudEvent,
    sensor::{dependency::Verdict, parameter::Events, state::Step},
    trigger::Firing,
};

/// An event waits at most this long for older ones of other dependencies that may be on their way.
const ORDER_PATIENCE: Duration = Duration::from_secs(1);
/// Pause before the order is looked at again.
const ORDER_PAUSE: Duration = Duration::from_millis(2);
/// Pause after the bus could not do what was needed.
const PAUSE: Duration = Duration::from_secs(1);

type Place = (u64, usize);

/// How far the events of one dependency are known.
#[derive(Clone, Copy, Default)]
struct Seen {
    /// The highest sequence that was delivered.
    last: u64,
    /// Up to here nothing is missing, by the word of the server.
    confirmed: u64,
}

/// A set that fires.
struct Running {
    set: BTreeMap<String, u64>,
    /// The message that completed the set; none after a restart.
    place: Option<Place>,
    task: JoinHandle<bool>,
    /// Told when the task is about to end.
    ended: Arc<Notify>,
}

struct Lane {
    context: Context,
    stream: Option<i128>,
    memory: Option<Memory>,
    queue: BTreeMap<Place, Held>,
    in_hand: InHand,
    seen: Vec<Seen>,
    running: Option<Running>,
    head_since: Instant,
    /// When the saved events are forgotten next.
    next_reset: Option<Timestamp>,
    /// The last complaint, so that a server that is away fills no log.
    told: String,
}

pub(super) async fn run(context: Context) {
    let mut incoming = intake::start(&context);
    let stop = context.stop.clone();
    let mut lane = Lane {
        stream: None,
        memory: None,
        queue: BTreeMap::new(),
        in_hand: InHand::default(),
        seen: vec![Seen::default(); context.trigger.dependencies.len()],
        running: None,
        head_since: Instant::now(),
        next_reset: None,
        told: String::new(),
        context,
    };
    let mut beat = intake::beats();
    while !stop.is_cancelled() {
        let pause = match lane.advance(&mut incoming).await {
            Ok(Pause::None) => continue,
            Ok(Pause::Order) => ORDER_PAUSE,
            // Woken by a message or the end of the action.
            Ok(Pause::Idle) => BEAT,
            Err(error) => {
                lane.complain(&error.to_string());
                lane.memory = None;
                PAUSE
            }
        };
        tokio::select! {
            () = stop.cancelled() => {}
            _ = beat.tick(), if !lane.in_hand.is_empty() => lane.in_hand.beat().await,
            message = incoming.recv() => match message {
                None => break,
                Some(message) => lane.take(message),
            },
            () = lane.action() => {}
            () = tokio::time::sleep(pause) => {}
        }
    }
    lane.wind_up(&mut beat).await;
}

enum Pause {
    /// Something was done; there may be more.
    None,
    /// An older event may be on its way.
    Order,
    /// Nothing to do.
    Idle,
}

impl Lane {
    fn complain(&mut self, error: &str) {
        if self.told != error {
            tracing::warn!(
                sensor = %self.context.sensor.key,
                trigger = %self.context.trigger.name,
                error,
                "cannot go on; reading the saved events again"
            );
            error.clone_into(&mut self.told);
        }
    }

    fn take(&mut self, message: Incoming) {
        match message {
            Incoming::Attached {
                dependency,
                stream,
                delivered,
            } => {
                if self.stream != Some(stream) {
                    // Sequences of another stream are other messages.
                    self.stream = Some(stream);
                    self.memory = None;
                    self.queue.clear();
                    self.in_hand = InHand::default();
                    self.seen.fill(Seen::default());
                }
                let seen = &mut self.seen[dependency];
                seen.last = seen.last.max(delivered);
            }
            Incoming::Message(held) => {
                if self.stream != Some(held.stream) {
                    return;
                }
                let seen = &mut self.seen[held.dependency];
                seen.last = seen.last.max(held.sequence);
                if self.in_hand.take(&held) {
                    self.queue.insert((held.sequence, held.dependency), held);
                }
            }
        }
    }

    /// Waits for the action that runs; never ends when there is none.
    async fn action(&mut self) {
        match &mut self.running {
            // The result is read by `settle`.
            Some(running) => running.ended.notified().await,
            None => std::future::pending().await,
        }
    }

    /// Does the next thing that can be done.
    async fn advance(
        &mut self,
        incoming: &mut mpsc::Receiver<Incoming>,
    ) -> Result<Pause, BusError> {
        while let Ok(message) = incoming.try_recv() {
            self.take(message);
        }
        let Some(stream) = self.stream else {
            return Ok(Pause::Idle);
        };
        if let Some(running) = &self.running {
            if !running.task.is_finished() {
                return Ok(Pause::Idle);
            }
            return self.settle().await;
        }
        if self.memory.is_none() {
            let memory = Memory::load(&self.context, stream).await?;
            let unfinished = memory.unfinished();
            self.memory = Some(memory);
            // What a reset should have removed while nobody was here.
            let now = self.context.clock.now();
            let last = self
                .context
                .trigger
                .resets
                .iter()
                .filter_map(|cron| cron.previous_before(now))
                .max();
            self.next_reset = last.or_else(|| self.reset_after(now));
            if let Some(set) = unfinished {
                self.resume(set, stream).await?;
                return Ok(Pause::None);
            }
        }
        self.reset().await?;
        let Some(place) = self.queue.first_key_value().map(|(place, _)| *place) else {
            self.head_since = Instant::now();
            return Ok(Pause::Idle);
        };
        if !self.is_next(place).await && self.head_since.elapsed() < ORDER_PATIENCE {
            return Ok(Pause::Order);
        }
        self.head_since = Instant::now();
        self.process(place).await?;
        Ok(Pause::None)
    }

    fn reset_after(&self, now: Timestamp) -> Option<Timestamp> {
        self.context
            .trigger
            .resets
            .iter()
            .filter_map(|cron| cron.next_after(now))
            .min()
    }

    /// Forgets the saved events when the time for that has come.
    async fn reset(&mut self) -> Result<(), BusError> {
        let now = self.context.clock.now();
        let (Some(tick), Some(memory)) = (self.next_reset, &mut self.memory) else {
            return Ok(());
        };
        if now >= tick {
            memory.forget_before(tick).await?;
            self.next_reset = self.reset_after(now);
        }
        Ok(())
    }

    /// True when no event of another dependency that is older than `place` can still come.
    async fn is_next(&mut self, place: Place) -> bool {
        let (sequence, dependency) = place;
        for other in 0..self.seen.len() {
            let seen = self.seen[other];
            if other == dependency || seen.last >= sequence || seen.confirmed >= sequence {
                continue;
            }
            let name = &self.context.trigger.dependencies[other].name;
            let durable = bus::durable(
                &self.context.sensor.key.name,
                &self.context.trigger.name,
                name,
            );
            let consumer = self
                .context
                .bus
                .context
                .get_consumer_from_stream::<pull::Config, _, _>(durable, STREAM)
                .await;
            let Ok(consumer) = consumer else { return false };
            let info = consumer.cached_info();
            if info.num_pending > 0 || info.delivered.stream_sequence > seen.last {
                return false;
            }
            self.seen[other].confirmed = sequence;
        }
        true
    }

    async fn process(&mut self, place: Place) -> Result<(), BusError> {
        let Some(memory) = &mut self.memory else {
            return Ok(());
        };
        let Some(held) = self.queue.get(&place) else {
            return Ok(());
        };
        let context = &self.context;
        let dependency = &context.trigger.dependencies[held.dependency];
        let event = match CloudEvent::decode(&held.body) {
            Ok(event) => event,
            Err(error) => {
                let set = BTreeMap::from([(dependency.name.clone(), held.sequence)]);
                let firing = context.firing(held.stream, &set, Events::new());
                let reason = error.to_string();
                if !context.park(&firing, 0, &reason, held.body.clone()).await {
                    return Err(BusError::Publish(reason));
                }
                self.let_go(place).await;
                return Ok(());
            }
        };
        if let Verdict::Discarded(reason) = dependency.judge(&event, context.clock.now()) {
            tracing::debug!(sensor = %context.sensor.key, dependency = %dependency.name, event = %event.id, reason, "event discarded");
            self.let_go(place).await;
            return Ok(());
        }
        match memory.step(context, &dependency.name, held.sequence) {
            Step::Done => self.let_go(place).await,
            Step::Save => {
                memory.save(&dependency.name, held, event).await?;
                self.let_go(place).await;
            }
            Step::Fire(set) => {
                let mut others = set.clone();
                others.remove(&dependency.name);
                let mut events = memory.events(context, &others).await?;
                events.insert(dependency.name.clone(), event);
                memory.begin(set.clone()).await?;
                let firing = context.firing(held.stream, &set, events);
                // Announced as in progress until the set has fired.
                self.queue.remove(&place);
                self.start(firing, set, Some(place));
            }
        }
        Ok(())
    }

    async fn let_go(&mut self, place: Place) {
        self.queue.remove(&place);
        self.in_hand.answer(place, AckKind::Ack).await;
    }

    /// Fires a set whose action a restart interrupted.
    async fn resume(&mut self, set: BTreeMap<String, u64>, stream: i128) -> Result<(), BusError> {
        let Some(memory) = &self.memory else {
            return Ok(());
        };
        let events = memory.events(&self.context, &set).await?;
        let firing = self.context.firing(stream, &set, events);
        tracing::info!(sensor = %firing.sensor, trigger = %firing.trigger, firing = firing.id, "an interrupted action is taken up again");
        self.start(firing, set, None);
        Ok(())
    }

    fn start(&mut self, firing: Firing, set: BTreeMap<String, u64>, place: Option<Place>) {
        let ended = Arc::new(Notify::new());
        let (context, end) = (self.context.clone(), ended.clone());
        let task = tokio::spawn(async move {
            // In a task of its own, so that a panic does not take the notice along.
            let fired = tokio::spawn(act(context, firing)).await;
            end.notify_one();
            fired.unwrap_or_else(|panicked| {
                tracing::error!(error = %panicked, "an action panicked; this is a bug");
                true
            })
        });
        self.running = Some(Running {
            set,
            place,
            task,
            ended,
        });
    }

    /// Looks whether the action has ended, and records that.
    async fn settle(&mut self) -> Result<Pause, BusError> {
        if self
            .running
            .as_ref()
            .is_some_and(|running| !running.task.is_finished())
        {
            return Ok(Pause::Order);
        }
        let Some(running) = self.running.take() else {
            return Ok(Pause::None);
        };
        if !running.task.await.unwrap_or(true) {
            // Stopping, or not the leader: the ledger says what is owed.
            self.memory = None;
            return Ok(Pause::Order);
        }
        self.record(&running.set).await;
        if let Some(place) = running.place {
            self.in_hand.answer(place, AckKind::Ack).await;
        }
        Ok(Pause::None)
    }

    /// Writes that the set has fired, however long that takes: the action must not be repeated.
    async fn record(&mut self, set: &BTreeMap<String, u64>) {
        while let Some(memory) = &mut self.memory {
            match memory.end(set).await {
                Ok(()) => return,
                Err(error @ BusError::Revision { .. }) => {
                    tracing::warn!(sensor = %self.context.sensor.key, %error, "somebody else writes the saved events");
                    self.memory = None;
                }
                Err(error) => {
                    tracing::debug!(%error, "cannot record that a set has fired; trying again");
                    if self.context.stop.is_cancelled() {
                        return;
                    }
                    tokio::time::sleep(PAUSE).await;
                }
            }
        }
    }

    /// Stopping: finishes what was begun, gives back the rest.
    async fn wind_up(&mut self, beat: &mut tokio::time::Interval) {
        let places: Vec<Place> = self.queue.keys().copied().collect();
        for place in places {
            self.in_hand.answer(place, AckKind::Nak(None)).await;
        }
        while self.running.is_some() {
            tokio::select! {
                _ = beat.tick() => self.in_hand.beat().await,
                () = self.action() => {
                    if let Err(error) = self.settle().await {
                        tracing::debug!(%error, "while stopping");
                    }
                }
            }
        }
    }
}

/// All tries of an action, one after the other. False when it was interrupted and is still owed.
async fn act(context: Context, firing: Firing) -> bool {
    let mut tried = 0;
    loop {
        tried += 1;
        let pause = match context.attempt(&firing, tried).await {
            Tried::Succeeded => return true,
            Tried::NotLeading => return false,
            Tried::Again(pause) => pause,
            Tried::Spent(reason) => {
                while !context.bury(&firing, tried, &reason, bundle(&firing)).await {
                    tokio::select! {
                        () = context.stop.cancelled() => return false,
                        () = tokio::time::sleep(DEAD_LETTER_PAUSE) => {}
                    }
                }
                return true;
            }
        };
        tokio::select! {
            () = context.stop.cancelled() => return false,
            () = tokio::time::sleep(pause) => {}
        }
    }
}
