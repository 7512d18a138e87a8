//! Triggers that wait for several dependencies. Events are taken in the order of the stream, across the
//! subjects of all dependencies; sets fire one after the other, each exactly once.

mod settling;

use std::{collections::BTreeMap, time::Duration};

use async_nats::jetstream::AckKind;
use jiff::Timestamp;
use tokio::time::{Instant, Interval};
use tokio_util::task::AbortOnDropHandle;

use super::{
    Context,
    admission::Admission,
    attempt::bundle,
    intake::Intake,
    messages::{self, Attachment, BEAT, Held, InHand, Incoming, Place},
    order::Order,
    saved_state::TriggerState,
};
use crate::{bus::BusError, sensor::state::Step, trigger::Firing};

/// An event waits at most this long for older ones of other dependencies that may be on their way.
const ORDER_PATIENCE: Duration = Duration::from_secs(1);
/// Pause before the order is checked again.
const ORDER_PAUSE: Duration = Duration::from_millis(2);
/// Names the saved events in the health of a trigger.
const SAVED: &str = "saved events";
/// Pause after the bus could not do what was needed.
const PAUSE: Duration = Duration::from_secs(1);

/// Messages that may wait for one write.
const MOST_PENDING: usize = 64;
/// What is in memory only waits so long for an event that may be on its way.
const SETTLE_AFTER: Duration = Duration::from_millis(20);

/// A set that fires.
struct Running {
    set: BTreeMap<String, u64>,
    /// The messages of the set that are not answered.
    places: Vec<Place>,
    task: AbortOnDropHandle<bool>,
    /// How the action ended: false when it is still owed.
    fired: Option<bool>,
}

/// A set whose action has ended, which the records do not say yet.
struct EndedSet {
    set: BTreeMap<String, u64>,
    places: Vec<Place>,
}

struct PerSetWorker {
    context: Context,
    stream: Option<i128>,
    state: Option<TriggerState>,
    queue: BTreeMap<Place, Held>,
    /// Messages whose events are saved in memory only.
    pending: BTreeMap<Place, Held>,
    in_hand: InHand,
    order: Order,
    running: Option<Running>,
    ended: Option<EndedSet>,
    /// The messages of a set whose action is still owed.
    owed: Vec<Place>,
    head_since: Instant,
    /// When the saved events are forgotten next.
    next_reset: Option<Timestamp>,
    /// The last complaint, so that an unreachable server fills no log.
    reported: String,
}

pub(super) async fn run(context: Context, mut intake: Intake) -> Option<Intake> {
    let stop = context.stop.clone();
    // Said by a predecessor, perhaps.
    context.health.set(SAVED, None);
    let mut worker = PerSetWorker {
        stream: None,
        state: None,
        queue: BTreeMap::new(),
        pending: BTreeMap::new(),
        in_hand: InHand::default(),
        order: Order::of(context.trigger.dependencies.len()),
        running: None,
        ended: None,
        owed: Vec::new(),
        head_since: Instant::now(),
        next_reset: None,
        reported: String::new(),
        context,
    };
    let mut beat = messages::beats();
    while !stop.is_cancelled() {
        let advanced = worker.advance(&mut intake).await;
        worker.tell(advanced.as_ref().err());
        let pause = match advanced {
            Ok(Pause::None) => continue,
            Ok(Pause::Order) => ORDER_PAUSE,
            // Woken by a message or the end of the action.
            Ok(Pause::Idle) => BEAT,
            Err(_) => {
                worker.drop_state();
                PAUSE
            }
        };
        tokio::select! {
            () = stop.cancelled() => {}
            _ = beat.tick(), if !worker.in_hand.is_empty() => worker.in_hand.beat().await,
            message = intake.recv() => match message {
                None => break,
                Some(message) => worker.take(message),
            },
            () = worker.action() => {}
            () = tokio::time::sleep(pause) => {}
        }
    }
    worker.wind_up(intake, &mut beat).await
}

enum Pause {
    /// Something was done; there may be more.
    None,
    /// An older event may be on its way.
    Order,
    /// Nothing to do.
    Idle,
}

impl PerSetWorker {
    /// Logs a problem once, and its end once something was done again.
    fn tell(&mut self, error: Option<&BusError>) {
        let error = error.map(ToString::to_string);
        match &error {
            Some(error) if self.reported != *error => {
                tracing::warn!(
                    sensor = %self.context.sensor.key,
                    trigger = %self.context.trigger.name,
                    error,
                    "cannot use the saved events; reading them again"
                );
            }
            None if self.reported.is_empty() || !self.queue.is_empty() => return,
            _ => {}
        }
        self.reported = error.clone().unwrap_or_default();
        self.context.health.set(SAVED, error);
    }

    fn take(&mut self, message: Incoming) {
        match message {
            Incoming::Attached(Attachment {
                dependency,
                consumer,
                stream,
                delivered,
            }) => {
                if self.stream != Some(stream) {
                    // Sequences of another stream are other messages.
                    self.stream = Some(stream);
                    self.state = None;
                    self.queue.clear();
                    self.pending.clear();
                    self.in_hand = InHand::default();
                    self.ended = None;
                    self.owed.clear();
                    self.order.clear();
                }
                self.order.attached(dependency, consumer);
                self.order.delivered(dependency, delivered);
            }
            Incoming::Message(held) => {
                if self.stream != Some(held.stream) {
                    return;
                }
                self.order.delivered(held.dependency, held.sequence);
                if self.in_hand.take(&held) {
                    self.queue.insert(held.place(), held);
                }
            }
        }
    }

    /// Waits until the action that runs has ended; never ends when there is none.
    async fn action(&mut self) {
        let Some(running) = &mut self.running else {
            return std::future::pending().await;
        };
        if running.fired.is_none() {
            let ended = (&mut running.task).await;
            running.fired = Some(ended.unwrap_or_else(|panicked| {
                // Still owed: the ledger says so, and the action is tried again.
                tracing::error!(error = %panicked, "a task panicked, which is a bug");
                false
            }));
        }
    }

    /// Does the next thing that can be done.
    async fn advance(&mut self, intake: &mut Intake) -> Result<Pause, BusError> {
        while let Some(message) = intake.try_recv() {
            self.take(message);
        }
        let Some(stream) = self.stream else {
            return Ok(Pause::Idle);
        };
        if self.running.is_some() {
            return Ok(self.finish());
        }
        if self.state.is_none() {
            self.state = Some(TriggerState::load(&self.context, stream).await?);
            let unfinished = self.unfinished().await;
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
            // Somebody else ended it.
            let places = std::mem::take(&mut self.owed);
            self.acknowledge(places).await;
        }
        self.reset().await?;
        let Some(place) = self.queue.first_key_value().map(|(place, _)| *place) else {
            self.settle().await?;
            self.head_since = Instant::now();
            return Ok(Pause::Idle);
        };
        let ended = self.ended.as_ref().map_or(0, |ended| ended.places.len());
        if self.pending.len() + ended >= MOST_PENDING {
            self.settle().await?;
        }
        let next = self.order.is_next(&self.context, place).await;
        if !next && self.head_since.elapsed() < ORDER_PATIENCE {
            if self.head_since.elapsed() >= SETTLE_AFTER {
                self.settle().await?;
            }
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
        let Some(tick) = self.next_reset.filter(|tick| now >= *tick) else {
            return Ok(());
        };
        self.settle().await?;
        if let Some(state) = &mut self.state {
            state.forget_before(tick).await?;
        }
        self.next_reset = self.reset_after(now);
        Ok(())
    }

    async fn process(&mut self, place: Place) -> Result<(), BusError> {
        let Some(state) = &mut self.state else {
            return Ok(());
        };
        let Some(held) = self.queue.get(&place) else {
            return Ok(());
        };
        let context = &self.context;
        let dependency = &context.trigger.dependencies[held.dependency];
        let event = match context.admit(held).await {
            Admission::Accepted(event) => event,
            Admission::Settled => {
                self.let_go(place).await;
                return Ok(());
            }
            Admission::Owed => return Ok(()),
        };
        match state.step(context, &dependency.name, held.sequence) {
            // Perhaps of a set that ended in memory only: answered like the rest of it.
            Step::Done if let Some(ended) = &mut self.ended => {
                self.queue.remove(&place);
                ended.places.push(place);
            }
            Step::Done => self.let_go(place).await,
            Step::Save => {
                state.hold(&dependency.name, held, event);
                if let Some(held) = self.queue.remove(&place) {
                    self.pending.insert(place, held);
                }
            }
            Step::Fire(set) => {
                let mut others = set.clone();
                others.remove(&dependency.name);
                let mut events = state.events(context, &others).await?;
                events.insert(dependency.name.clone(), event);
                state.begin(set.clone()).await?;
                let firing = context.firing(held.stream, &set, events);
                // The record says so of the set before it too.
                if let Some(ended) = self.ended.take() {
                    self.acknowledge(ended.places).await;
                }
                // Announced as in progress until the set has fired. All saved events are in it.
                self.queue.remove(&place);
                let pending = std::mem::take(&mut self.pending).into_keys();
                let places = pending.chain([place]).collect();
                self.start(firing, set, places);
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
        let Some(state) = &self.state else {
            return Ok(());
        };
        let events = state.events(&self.context, &set).await?;
        let firing = self.context.firing(stream, &set, events);
        tracing::info!(sensor = %firing.sensor, trigger = %firing.trigger, firing = firing.id, "resuming an interrupted action");
        let places = std::mem::take(&mut self.owed);
        self.start(firing, set, places);
        Ok(())
    }

    fn start(&mut self, firing: Firing, set: BTreeMap<String, u64>, places: Vec<Place>) {
        let context = self.context.clone();
        // Ends with this trigger, when its claim is lost.
        let task = AbortOnDropHandle::new(tokio::spawn(async move {
            let body = bundle(&firing);
            context.act(&firing, body).await
        }));
        self.running = Some(Running {
            set,
            places,
            task,
            fired: None,
        });
    }

    /// Stopping: finishes what was begun. The rest goes to the successor with the intake, or back to the bus
    /// when nothing can come any more.
    async fn wind_up(&mut self, mut intake: Intake, beat: &mut Interval) -> Option<Intake> {
        let pulls = self.context.pulls.clone();
        let mut pulling = true;
        loop {
            let ending = pulls.is_cancelled();
            if self.running.is_none() && !(pulling && ending) {
                break;
            }
            tokio::select! {
                () = pulls.cancelled(), if !ending => {}
                _ = beat.tick() => self.in_hand.beat().await,
                () = self.action() => {
                    self.finish();
                }
                message = intake.recv(), if pulling => match message {
                    Some(message) => self.take(message),
                    None => pulling = false,
                },
            }
            if !pulling {
                self.give_back().await;
            }
        }
        self.settle_at_last().await;
        if !pulling {
            self.give_back().await;
            return None;
        }
        let queue = std::mem::take(&mut self.queue).into_values();
        intake.hand_over(queue.map(|held| self.in_hand.release(held)));
        Some(intake)
    }
}
