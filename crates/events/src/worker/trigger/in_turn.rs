//! One event after the other (`atLeastOnce`), as a pipeline:
//!
//! ```text
//!   messages ──► judged ahead ──► one action at a time ──► acknowledged
//!                (decoded, transformed, filtered)      └─► recorded, many in one write: what cannot be
//!                                                          acknowledged yet (crate::worker::trigger::finished)
//! ```
//!
//! Effects keep the order of the messages: nothing is sent, dead-lettered or acknowledged before its turn.

use std::{collections::VecDeque, sync::Arc};

use futures::{StreamExt, future::BoxFuture, stream::FuturesOrdered};

use super::{
    Context, admission::Judged, finished::Finished, history::DeliveryHistory, messages::Held,
};

/// Messages that are judged before their turn.
const AHEAD: usize = 16;

/// What comes next.
pub(super) enum NextTurn {
    /// Act on this message.
    Act(Held, Judged),
    /// A predecessor has finished this message.
    Finished(Held),
    /// Nothing can be begun now.
    Wait,
}

/// Messages in the order of their turns.
pub(super) struct InTurn {
    context: Context,
    /// Those that are judged or being judged; the judged ones come first.
    ahead: VecDeque<(Arc<Held>, Option<Judged>)>,
    judging: FuturesOrdered<BoxFuture<'static, Judged>>,
    finished: Finished,
}

impl InTurn {
    /// Those of a trigger; none has come yet.
    pub(super) fn new(context: Context) -> Self {
        Self {
            context,
            ahead: VecDeque::new(),
            judging: FuturesOrdered::new(),
            finished: Finished::default(),
        }
    }

    /// Takes messages ahead of their turn.
    pub(super) fn take(&mut self, waiting: &mut VecDeque<Held>) {
        while self.ahead.len() < AHEAD
            && let Some(held) = waiting.pop_front()
        {
            let held = Arc::new(held);
            let (context, judged) = (self.context.clone(), held.clone());
            self.judging
                .push_back(Box::pin(async move { context.judge(&judged).await }));
            self.ahead.push_back((held, None));
        }
    }

    /// The message whose turn it is, when nothing is under way.
    pub(super) fn next(&mut self, history: &DeliveryHistory) -> NextTurn {
        let Some((held, Some(_))) = self.ahead.front() else {
            return NextTurn::Wait;
        };
        // Of a predecessor; the others were acknowledged when they were finished.
        let resumed = held.acker.is_none();
        if is_recorded(held, history)
            && (!self.finished.is_known(&self.context, held.stream) || self.finished.is_behind())
        {
            return NextTurn::Wait;
        }
        let finished = resumed && self.finished.covers(&self.context, held);
        match self.ahead.pop_front() {
            Some((held, Some(judged))) => {
                let held = unshared(held);
                if finished {
                    NextTurn::Finished(held)
                } else {
                    NextTurn::Act(held, judged)
                }
            }
            _ => NextTurn::Wait,
        }
    }

    /// Notes that the action of a message has ended.
    pub(super) fn done(&mut self, held: &Held, history: &DeliveryHistory) {
        if is_recorded(held, history) {
            self.finished.add(&self.context, held);
        }
    }

    /// Continues what is under way beside actions; never ends when there is nothing.
    pub(super) async fn progress(&mut self) {
        tokio::select! {
            Some(judged) = self.judging.next(), if !self.judging.is_empty() => {
                let next = self.ahead.iter_mut().find(|(_, judged)| judged.is_none());
                if let Some((_, empty)) = next {
                    *empty = Some(judged);
                }
            }
            () = self.finished.progress(&self.context) => {}
        }
    }

    /// Puts back what was not begun, in order.
    pub(super) fn withdraw(&mut self, waiting: &mut VecDeque<Held>) {
        self.judging.clear();
        while let Some((held, _)) = self.ahead.pop_back() {
            waiting.push_front(unshared(held));
        }
    }

    /// Records what is finished, if the bus lets it.
    pub(super) async fn record_at_last(&mut self) {
        self.finished.write_at_last(&self.context).await;
    }
}

/// True when a successor would read the message from the stream and must know that it is finished: a dead process had it in
/// its hands, or one before it that is not acknowledged yet.
fn is_recorded(held: &Held, history: &DeliveryHistory) -> bool {
    held.acker.is_none() || history.has_unacknowledged(held.dependency)
}

fn unshared(held: Arc<Held>) -> Held {
    Arc::into_inner(held).expect("only its judging shares a message, and that has ended")
}
