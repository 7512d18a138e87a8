//! Triggers that act on each event by itself.
//!
//! With `atLeastOnce` events are taken one after the other, and an event that fails is tried again before
//! the next one begins ([`InTurn`]). Otherwise many actions run at the same time, in no order, and a failed
//! event goes back to the bus until its next try.

use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    time::Duration,
};

use async_nats::jetstream::AckKind;
use tokio::{
    task::{self, JoinSet},
    time::Interval,
};

use super::{
    Context,
    admission::{Admission, Judged},
    attempt::{Failure, Tried},
    history::DeliveryHistory,
    in_turn::{InTurn, NextTurn},
    intake::Intake,
    messages::{self, Held, InHand, Incoming, Place},
};
use crate::{event::CloudEvent, sensor::parameter::Events, trigger::Firing};

/// Actions of one trigger at the same time. Upstream has no bound, and runs out of sockets.
const AT_ONCE: usize = 64;

/// The answer to the bus about a message.
enum Outcome {
    Done,
    /// Failed; comes again after the pause.
    Again(Duration),
    /// Nothing was done, or not to its end: left to the successor or the next leader.
    Leave,
}

/// Pause before a message is delivered again whose task panicked.
const AFTER_PANIC: Duration = Duration::from_secs(5);

type Ended = Result<(task::Id, (Held, Outcome)), task::JoinError>;

#[derive(Default)]
struct PerEventWorker {
    waiting: VecDeque<Held>,
    in_hand: InHand,
    running: JoinSet<(Held, Outcome)>,
    /// The message of each running task.
    places: HashMap<task::Id, Place>,
    /// Messages for the successor, or back to the bus when there is none.
    left: Vec<Held>,
    history: DeliveryHistory,
    /// Where order matters.
    in_turn: Option<InTurn>,
}

pub(super) async fn run(context: Context, mut intake: Intake) -> Option<Intake> {
    let ordered = context.trigger.at_least_once;
    let mut worker = PerEventWorker {
        in_turn: ordered.then(|| InTurn::new(context.clone())),
        history: DeliveryHistory::after(intake.take_unacknowledged()),
        ..PerEventWorker::default()
    };
    let mut beat = messages::beats();
    loop {
        worker.begin(&context).await;
        tokio::select! {
            () = context.stop.cancelled() => break,
            _ = beat.tick(), if !worker.in_hand.is_empty() => worker.in_hand.beat().await,
            Some(ended) = worker.running.join_next_with_id(), if !worker.running.is_empty() => worker.finish(ended).await,
            () = progress(&mut worker.in_turn) => {}
            message = intake.recv() => match message {
                None => break,
                Some(message) => worker.take(message).await,
            },
        }
    }
    Box::pin(worker.wind_up(&context, intake, beat)).await
}

impl PerEventWorker {
    /// Begins what may run.
    async fn begin(&mut self, context: &Context) {
        if self.in_turn.is_some() {
            return self.begin_in_turn(context).await;
        }
        while self.running.len() < AT_ONCE
            && let Some(held) = self.waiting.pop_front()
        {
            let tried = self.history.next_try(held.place());
            let context = context.clone();
            self.spawn(held.place(), async move {
                let outcome = judge_and_act(&context, &held, tried).await;
                (held, outcome)
            });
        }
    }

    async fn begin_in_turn(&mut self, context: &Context) {
        while let Some(in_turn) = &mut self.in_turn {
            in_turn.take(&mut self.waiting);
            if !self.running.is_empty() {
                return;
            }
            match in_turn.next(&self.history) {
                NextTurn::Wait => return,
                NextTurn::Finished(held) => self.done(held.place()).await,
                NextTurn::Act(held, judged) => {
                    let context = context.clone();
                    self.spawn(held.place(), async move {
                        let outcome = act_in_turn(&context, &held, judged).await;
                        (held, outcome)
                    });
                }
            }
        }
    }

    fn spawn(
        &mut self,
        place: Place,
        handle: impl Future<Output = (Held, Outcome)> + Send + 'static,
    ) {
        let task = self.running.spawn(handle);
        self.places.insert(task.id(), place);
    }

    async fn done(&mut self, place: Place) {
        let acknowledged = self.in_hand.answer(place, AckKind::Ack).await;
        self.history.done(place, acknowledged);
    }

    async fn take(&mut self, message: Incoming) {
        match message {
            Incoming::Attached(attachment) => self.history.for_stream(attachment.stream),
            Incoming::Message(held) => {
                if self.history.is_done(held.place()) {
                    if let Some(acker) = &held.acker {
                        acker.acknowledge(AckKind::Ack).await;
                        self.history.acknowledged(held.place());
                    }
                } else if self.in_hand.take(&held) {
                    self.waiting.push_back(held);
                }
            }
        }
    }

    async fn finish(&mut self, ended: Ended) {
        let id = match &ended {
            Ok((id, _)) => *id,
            Err(panicked) => panicked.id(),
        };
        let place = self.places.remove(&id);
        match ended.map(|(_, outcome)| outcome) {
            Ok((held, Outcome::Done)) => {
                self.done(held.place()).await;
                if let Some(in_turn) = &mut self.in_turn {
                    in_turn.done(&held, &self.history);
                }
            }
            Ok((held, Outcome::Again(pause))) => {
                let place = held.place();
                self.history.failed(place);
                self.in_hand.answer(place, AckKind::Nak(Some(pause))).await;
            }
            Ok((held, Outcome::Leave)) => self.left.push(held),
            Err(panicked) => {
                tracing::error!(error = %panicked, "a task panicked, which is a bug");
                if let Some(place) = place {
                    self.history.failed(place);
                    self.in_hand
                        .answer(place, AckKind::Nak(Some(AFTER_PANIC)))
                        .await;
                }
            }
        }
    }

    /// Stopping: what was begun is finished; what was not goes to the successor with the intake, or back to
    /// the bus when nothing can come any more.
    async fn wind_up(
        mut self,
        context: &Context,
        mut intake: Intake,
        mut beat: Interval,
    ) -> Option<Intake> {
        let mut pulling = true;
        if let Some(in_turn) = &mut self.in_turn {
            in_turn.withdraw(&mut self.waiting);
        }
        loop {
            let ending = context.pulls.is_cancelled();
            if self.running.is_empty() && !(pulling && ending) {
                break;
            }
            tokio::select! {
                () = context.pulls.cancelled(), if !ending => {}
                _ = beat.tick() => self.in_hand.beat().await,
                Some(ended) = self.running.join_next_with_id(), if !self.running.is_empty() => self.finish(ended).await,
                message = intake.recv(), if pulling => match message {
                    Some(message) => self.take(message).await,
                    None => pulling = false,
                },
            }
            if !pulling {
                self.give_back().await;
            }
        }
        if let Some(in_turn) = &mut self.in_turn {
            in_turn.record_at_last().await;
        }
        if !pulling {
            return None;
        }
        let left = self.left.into_iter().chain(self.waiting);
        intake.hand_over(left.map(|held| self.in_hand.release(held)));
        intake.keep_unacknowledged(self.history.into_unacknowledged());
        Some(intake)
    }

    async fn give_back(&mut self) {
        for held in self.left.drain(..).chain(self.waiting.drain(..)) {
            self.in_hand.answer(held.place(), AckKind::Nak(None)).await;
        }
    }
}

/// Continues what is under way beside actions; never ends when there is nothing.
async fn progress(in_turn: &mut Option<InTurn>) {
    match in_turn {
        Some(in_turn) => in_turn.progress().await,
        None => std::future::pending().await,
    }
}

fn done_if(done: bool) -> Outcome {
    if done { Outcome::Done } else { Outcome::Leave }
}

/// The firing for one event.
fn firing(context: &Context, held: &Held, event: CloudEvent) -> Firing {
    let name = &context.trigger.dependencies[held.dependency].name;
    let set = BTreeMap::from([(name.clone(), held.sequence)]);
    context.firing(held.stream, &set, Events::from([(name.clone(), event)]))
}

/// Acts until that is successful or all tries are spent.
async fn act_in_turn(context: &Context, held: &Held, judged: Judged) -> Outcome {
    match context.settle(held, judged).await {
        Admission::Accepted(event) => {
            let firing = firing(context, held, event);
            done_if(context.act(&firing, held.body.clone()).await)
        }
        Admission::Settled => Outcome::Done,
        Admission::Owed => Outcome::Leave,
    }
}

async fn judge_and_act(context: &Context, held: &Held, tried: u32) -> Outcome {
    let event = match context.admit(held).await {
        Admission::Accepted(event) => event,
        Admission::Settled => return Outcome::Done,
        Admission::Owed => return Outcome::Leave,
    };
    let firing = firing(context, held, event);
    if tried == 1 && !context.turn().await {
        return Outcome::Leave;
    }
    match context.attempt(&firing, tried).await {
        Tried::Succeeded => Outcome::Done,
        Tried::Again(pause) => Outcome::Again(pause),
        Tried::NotLeading => Outcome::Leave,
        Tried::Spent(error) => {
            let failure = Failure {
                firing: &firing,
                tries: tried,
                reason: &error.to_string(),
                body: held.body.clone(),
            };
            done_if(context.give_up(failure).await)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_message_of_a_panicked_task_is_let_go() {
        let mut worker = PerEventWorker::default();
        let held = Held {
            dependency: 0,
            stream: 1,
            sequence: 7,
            consumer_sequence: 1,
            stored: jiff::Timestamp::UNIX_EPOCH,
            namespace: None,
            only_for: None,
            body: bytes::Bytes::new(),
            acker: None,
            _hold: None,
        };
        assert!(worker.in_hand.take(&held));
        let task = worker.running.spawn(async { panic!("boom") });
        worker.places.insert(task.id(), held.place());
        let ended = worker.running.join_next_with_id().await.expect("one task");
        worker.finish(ended).await;
        assert!(worker.in_hand.is_empty() && worker.places.is_empty());
        assert_eq!(worker.history.next_try(held.place()), 2);
    }
}
