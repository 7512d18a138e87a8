//! Triggers that act on each event by itself.

use std::collections::{BTreeMap, HashSet, VecDeque};

use async_nats::jetstream::AckKind;
use tokio::{task::JoinSet, time::Instant};

use super::{
    Context,
    attempt::{DEAD_LETTER_PAUSE, Tried},
    intake::{self, Held, InHand, Incoming},
};
use crate::{
    event::CloudEvent,
    sensor::{dependency::Verdict, parameter::Events},
};

/// Actions of one trigger at the same time. Upstream has no bound, and runs out of sockets.
const AT_ONCE: usize = 64;
/// Messages that are remembered as done, in case the server did not hear of it; a few times what can be
/// outstanding.
const REMEMBERED: usize = 1024;

type Place = (u64, usize);

/// What to tell the bus about a message.
enum Outcome {
    Done,
    Again(std::time::Duration),
    /// Left to the next leader.
    Leave,
}

pub(super) async fn run(context: Context) {
    let mut incoming = intake::start(&context);
    let mut in_hand = InHand::default();
    let mut waiting: VecDeque<Held> = VecDeque::new();
    let mut running: JoinSet<(Place, Outcome)> = JoinSet::new();
    let mut done = Remembered::default();
    let mut beat = intake::beats();
    let limit = if context.trigger.at_least_once {
        1
    } else {
        AT_ONCE
    };
    let mut next_allowed = Instant::now();
    loop {
        while running.len() < limit && Instant::now() >= next_allowed {
            let Some(held) = waiting.pop_front() else {
                break;
            };
            if let Some(spacing) = context.trigger.spacing {
                next_allowed = Instant::now() + spacing.0;
            }
            running.spawn(handle(context.clone(), held));
        }
        let held_back = !waiting.is_empty() && running.len() < limit;
        tokio::select! {
            () = context.stop.cancelled() => break,
            _ = beat.tick(), if !in_hand.is_empty() => in_hand.beat().await,
            Some(ended) = running.join_next(), if !running.is_empty() => {
                finish(ended, &mut in_hand, &mut done).await;
            }
            message = incoming.recv() => match message {
                None => break,
                Some(Incoming::Attached { stream, .. }) => done.for_stream(stream),
                Some(Incoming::Message(held)) => {
                    let place = (held.sequence, held.dependency);
                    if done.contains(place) {
                        if let Some(acker) = &held.acker {
                            intake::answer(acker, AckKind::Ack).await;
                        }
                    } else if in_hand.take(&held) {
                        waiting.push_back(held);
                    }
                }
            },
            () = tokio::time::sleep_until(next_allowed), if held_back => {}
        }
    }
    // What was not begun goes back at once; what was begun is finished.
    for held in waiting {
        in_hand
            .answer((held.sequence, held.dependency), AckKind::Nak(None))
            .await;
    }
    while !running.is_empty() {
        tokio::select! {
            _ = beat.tick() => in_hand.beat().await,
            Some(ended) = running.join_next() => finish(ended, &mut in_hand, &mut done).await,
        }
    }
}

async fn finish(
    ended: Result<(Place, Outcome), tokio::task::JoinError>,
    in_hand: &mut InHand,
    done: &mut Remembered,
) {
    match ended {
        Ok((place, Outcome::Done)) => {
            done.insert(place);
            in_hand.answer(place, AckKind::Ack).await;
        }
        Ok((place, Outcome::Again(pause))) => {
            in_hand.answer(place, AckKind::Nak(Some(pause))).await;
        }
        Ok((place, Outcome::Leave)) => in_hand.answer(place, AckKind::Nak(None)).await,
        Err(panicked) => {
            // The message stays in hand and is delivered again after a restart.
            tracing::error!(error = %panicked, "an action panicked; this is a bug");
        }
    }
}

async fn handle(context: Context, held: Held) -> (Place, Outcome) {
    let place = (held.sequence, held.dependency);
    (place, judge_and_act(&context, &held).await)
}

async fn judge_and_act(context: &Context, held: &Held) -> Outcome {
    let dependency = &context.trigger.dependencies[held.dependency];
    let set = BTreeMap::from([(dependency.name.clone(), held.sequence)]);
    let event = match CloudEvent::decode(&held.body) {
        Ok(event) => event,
        Err(error) => {
            let firing = context.firing(held.stream, &set, Events::new());
            tracing::warn!(sensor = %firing.sensor, trigger = %firing.trigger, %error, "message parked");
            let parked = context
                .park(&firing, 0, &error.to_string(), held.body.clone())
                .await;
            return if parked {
                Outcome::Done
            } else {
                Outcome::Again(DEAD_LETTER_PAUSE)
            };
        }
    };
    if let Verdict::Discarded(reason) = dependency.judge(&event, context.clock.now()) {
        tracing::debug!(sensor = %context.sensor.key, dependency = %dependency.name, event = %event.id, reason, "event discarded");
        return Outcome::Done;
    }
    let events = Events::from([(dependency.name.clone(), event)]);
    let firing = context.firing(held.stream, &set, events);
    match context.attempt(&firing, held.count).await {
        Tried::Succeeded => Outcome::Done,
        Tried::Again(pause) => Outcome::Again(pause),
        Tried::NotLeading => Outcome::Leave,
        Tried::Spent(reason) => {
            if context
                .bury(&firing, held.count, &reason, held.body.clone())
                .await
            {
                Outcome::Done
            } else {
                Outcome::Again(DEAD_LETTER_PAUSE)
            }
        }
    }
}

/// The last messages that are done.
#[derive(Default)]
struct Remembered {
    stream: i128,
    places: HashSet<Place>,
    order: VecDeque<Place>,
}

impl Remembered {
    /// Sequences of another stream are other messages.
    fn for_stream(&mut self, stream: i128) {
        if self.stream != stream {
            *self = Self {
                stream,
                ..Self::default()
            };
        }
    }

    fn contains(&self, place: Place) -> bool {
        self.places.contains(&place)
    }

    fn insert(&mut self, place: Place) {
        if self.places.insert(place) {
            self.order.push_back(place);
            if self.order.len() > REMEMBERED
                && let Some(oldest) = self.order.pop_front()
            {
                self.places.remove(&oldest);
            }
        }
    }
}
