//! A bus in memory. It outlives the processes that use it, which die at the effect that a test names.

mod delivery;

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    fmt::Write as _,
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use futures::future::BoxFuture;
use parking_lot::Mutex;
use reconcile_core::object::{FieldError, ObjectKey};
use serde_json::Value;
use tokio::sync::{Notify, mpsc};

use crate::{
    api::trigger::Parameter,
    bus::BusError,
    trigger::{Action, Done, Firing, Run, TriggerError, kind::CheckedAction},
    worker::trigger::{
        messages::{Incoming, Place},
        ports::{DeadLetter, Progress, Records, TriggerBus},
    },
};

use super::transcript::{NAMES, summary};

/// What becomes of an effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// The process dies before it.
    DiesBefore,
    /// The process dies when it is done.
    DiesAfter,
    /// It does not happen, and the caller gets an error.
    Refused,
    /// It happens, and the caller gets an error.
    AnswerLost,
}

/// How an action ends.
#[derive(Clone, Copy, Debug)]
pub(super) enum Play {
    Succeeds,
    Fails,
    Panics,
}

#[derive(Default)]
struct State {
    records: BTreeMap<String, (Bytes, u64)>,
    revision: u64,
    stream: BTreeMap<u64, (usize, Bytes)>,
    open: BTreeSet<Place>,
    /// Where returned messages go.
    sender: Option<mpsc::Sender<Incoming>>,
    /// Faults by number of the effect, counted from 0 over all processes.
    faults: BTreeMap<usize, Fault>,
    effects: usize,
    plays: VecDeque<Play>,
    /// The next dead letter makes the task panic.
    letter_panics: bool,
    /// How long a record takes to be written.
    slow_writes: Option<Duration>,
    /// A new process reads first what a dead one had in its hands; the bus delivers it again later.
    reads_again: bool,
    /// Messages that the first process gets; the others come later.
    first_batch: Option<u64>,
    /// The last sequence that was delivered.
    delivered: u64,
    dead: bool,
    deaths: usize,
    log: Vec<String>,
    fired: Vec<BTreeMap<String, u64>>,
}

/// Cloning shares it.
#[derive(Clone, Default)]
pub(super) struct Broker {
    state: Arc<Mutex<State>>,
    changed: Arc<Notify>,
}

impl Broker {
    /// A stream with one event for each letter: `ab` is an event of dependency `a`, then one of `b`. `!` is a
    /// message for `a` that is no event.
    pub(super) fn with(arrivals: &str) -> Self {
        let broker = Self::default();
        let mut state = broker.state.lock();
        for (sequence, name) in (1..).zip(arrivals.chars()) {
            let dependency = NAMES.iter().position(|known| known.starts_with(name));
            let body = match dependency {
                Some(at) => format!(
                    r#"{{"specversion":"1.0","id":"{sequence}","source":"src","type":"webhook","subject":"{}","data":{{}}}}"#,
                    NAMES[at]
                ),
                None => "no event".to_owned(),
            };
            let dependency = dependency.unwrap_or_default();
            state.stream.insert(sequence, (dependency, body.into()));
            state.open.insert((sequence, dependency));
        }
        drop(state);
        broker
    }

    pub(super) fn faults(self, faults: impl IntoIterator<Item = (usize, Fault)>) -> Self {
        self.state.lock().faults.extend(faults);
        self
    }

    /// How the next actions end; those after them succeed.
    pub(super) fn plays(self, plays: impl IntoIterator<Item = Play>) -> Self {
        self.state.lock().plays.extend(plays);
        self
    }

    pub(super) fn letter_panics(self) -> Self {
        self.state.lock().letter_panics = true;
        self
    }

    pub(super) fn slow_writes(self, time: Duration) -> Self {
        self.state.lock().slow_writes = Some(time);
        self
    }

    pub(super) fn reads_again(self) -> Self {
        self.state.lock().reads_again = true;
        self
    }

    pub(super) fn first_batch(self, messages: u64) -> Self {
        self.state.lock().first_batch = Some(messages);
        self
    }

    /// Times that a process died.
    pub(super) fn deaths(&self) -> usize {
        self.state.lock().deaths
    }

    /// All that happened.
    pub(super) fn log(&self) -> Vec<String> {
        self.state.lock().log.clone()
    }

    /// The sets that an action was begun for, in order, repetitions included.
    pub(super) fn fired(&self) -> Vec<BTreeMap<String, u64>> {
        self.state.lock().fired.clone()
    }

    /// A record as JSON.
    pub(super) fn record(&self, key: &str) -> Option<Value> {
        let state = self.state.lock();
        let (value, _) = state.records.get(key)?;
        serde_json::from_slice(value).ok()
    }

    pub(super) fn keys(&self) -> Vec<String> {
        self.state.lock().records.keys().cloned().collect()
    }

    /// Waits until everything is answered (true), or the process dies.
    pub(super) async fn settled(&self) -> bool {
        loop {
            let changed = self.changed.notified();
            {
                let state = self.state.lock();
                if state.dead || state.open.is_empty() {
                    return !state.dead;
                }
            }
            changed.await;
        }
    }

    /// One effect, or what becomes of it instead.
    async fn effect<R>(
        &self,
        what: String,
        effect: impl FnOnce(&mut State) -> Result<R, BusError>,
    ) -> Result<R, BusError> {
        let (outcome, dies) = {
            let mut state = self.state.lock();
            let number = state.effects;
            state.effects += 1;
            let fault = state.faults.get(&number).copied();
            if state.dead || fault == Some(Fault::DiesBefore) {
                state.dead = true;
                (None, true)
            } else if fault == Some(Fault::Refused) {
                state.log.push(format!("refused: {what}"));
                (Some(Err(lost(&what))), false)
            } else {
                let outcome = effect(&mut state);
                state.log.push(what.clone());
                state.dead |= fault == Some(Fault::DiesAfter);
                let outcome = match fault {
                    Some(Fault::AnswerLost) => Err(lost(&what)),
                    _ => outcome,
                };
                (Some(outcome), state.dead)
            }
        };
        self.changed.notify_one();
        match outcome {
            Some(outcome) if !dies => outcome,
            // The runtime of the dead process is dropped.
            _ => std::future::pending().await,
        }
    }
}

fn lost(what: &str) -> BusError {
    BusError::Request {
        what: what.to_owned(),
        reason: "no answer".to_owned(),
    }
}

impl TriggerBus for Broker {
    fn records<'b>(
        &'b self,
        _sensor: &'b ObjectKey,
    ) -> BoxFuture<'b, Result<Arc<dyn Records>, BusError>> {
        let records: Arc<dyn Records> = Arc::new(self.clone());
        Box::pin(async { Ok(records) })
    }

    fn message(&self, sequence: u64) -> BoxFuture<'_, Result<Option<Bytes>, BusError>> {
        Box::pin(async move {
            let state = self.state.lock();
            Ok(state.stream.get(&sequence).map(|(_, body)| body.clone()))
        })
    }

    fn dead_letter<'b>(&'b self, letter: &'b DeadLetter) -> BoxFuture<'b, Result<(), BusError>> {
        Box::pin(async {
            let panics = std::mem::take(&mut self.state.lock().letter_panics);
            assert!(!panics, "a bug beyond the action");
            let text = |name: &str| letter.headers.get(name).map_or("", |value| value.as_str());
            let what = format!("letter after {}: {}", text("Tries"), text("Reason"));
            self.effect(what, |_| Ok(())).await
        })
    }

    fn largest_message(&self) -> usize {
        usize::MAX
    }

    fn progress<'b>(&'b self, consumer: &'b str) -> BoxFuture<'b, Option<Progress>> {
        Box::pin(async move {
            let state = self.state.lock();
            let of = state
                .stream
                .iter()
                .filter(|(_, (dependency, _))| NAMES[*dependency] == consumer);
            Some(Progress {
                delivered: of.map(|(sequence, _)| *sequence).max().unwrap_or_default(),
                pending: 0,
            })
        })
    }
}

impl Records for Broker {
    fn read<'r>(&'r self, key: &'r str) -> BoxFuture<'r, Result<Option<(Bytes, u64)>, BusError>> {
        Box::pin(async move { Ok(self.state.lock().records.get(key).cloned()) })
    }

    fn write<'r>(
        &'r self,
        key: &'r str,
        value: Bytes,
        revision: u64,
    ) -> BoxFuture<'r, Result<u64, BusError>> {
        let what = format!("write {key} {}", summary(key, &value));
        let write = self.effect(what, move |state| {
            let now = state.records.get(key).map_or(0, |(_, revision)| *revision);
            if now != revision {
                let key = key.to_owned();
                return Err(BusError::Revision { key });
            }
            state.revision += 1;
            let revision = state.revision;
            state.records.insert(key.to_owned(), (value, revision));
            Ok(revision)
        });
        Box::pin(async {
            let slow = self.state.lock().slow_writes;
            tokio::time::sleep(slow.unwrap_or_default()).await;
            write.await
        })
    }

    fn erase<'r>(&'r self, key: &'r str) -> BoxFuture<'r, Result<(), BusError>> {
        Box::pin(self.effect(format!("erase {key}"), move |state| {
            state.records.remove(key);
            Ok(())
        }))
    }
}

/// The action of the trigger: it is recorded with the sequences of its events, which are their ids too.
#[derive(Clone)]
pub(super) struct Recorder(pub(super) Broker);

impl std::fmt::Debug for Recorder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Recorder")
    }
}

impl Action for Recorder {
    fn key(&self) -> &'static str {
        "recorder"
    }

    fn parameters(&self) -> &[Parameter] {
        &[]
    }

    fn again(&self, path: &str, _value: &Value) -> CheckedAction {
        Err(FieldError::new(path, "nothing patches a recorder"))
    }

    fn preview(&self, _firing: &Firing) -> Result<Value, TriggerError> {
        Ok(Value::Null)
    }

    fn run<'r>(&'r self, run: Run<'r>) -> BoxFuture<'r, Result<Done, TriggerError>> {
        Box::pin(async move {
            let set: BTreeMap<String, u64> = run
                .firing
                .events
                .iter()
                .map(|(name, event)| (name.clone(), event.id.parse().expect("a number")))
                .collect();
            let mut what = String::from("act");
            for (name, sequence) in &set {
                write!(what, " {name}={sequence}").expect("memory");
            }
            let play = self.0.effect(what, |state| {
                state.fired.push(set);
                Ok(state.plays.pop_front().unwrap_or(Play::Succeeds))
            });
            match play.await {
                Ok(Play::Succeeds) => Ok(Done("acted".to_owned())),
                Ok(Play::Panics) => panic!("boom"),
                Ok(Play::Fails) => Err(TriggerError::Failed("refused".to_owned())),
                Err(error) => Err(TriggerError::Failed(error.to_string())),
            }
        })
    }
}
