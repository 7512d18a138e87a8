//! A trigger that waits for several dependencies, against a bus that delivers again and a process that
//! dies at any moment.

use std::collections::{BTreeMap, BTreeSet};

use expressions::conditions::Condition;
use proptest::prelude::*;

use crate::sensor::state::{Ledger, Saved, Step};

fn condition(text: &str) -> Condition {
    Condition::parse(text).expect("a condition")
}

fn set(pairs: &[(&str, u64)]) -> BTreeMap<String, u64> {
    pairs
        .iter()
        .map(|(name, sequence)| ((*name).to_owned(), *sequence))
        .collect()
}

#[test]
fn a_set_fires_once_and_the_newest_event_counts() {
    let both = condition("a && b");
    let ledger = Ledger::default();
    assert_eq!(ledger.step(&both, &set(&[]), "a", 1), Step::Save);
    assert_eq!(ledger.step(&both, &set(&[("a", 1)]), "a", 2), Step::Save);
    assert_eq!(ledger.step(&both, &set(&[("a", 2)]), "a", 1), Step::Done);
    assert_eq!(
        ledger.step(&both, &set(&[("a", 2)]), "b", 3),
        Step::Fire(set(&[("a", 2), ("b", 3)]))
    );
    let fired = ledger.begin(set(&[("a", 2), ("b", 3)]));
    // Delivered again: the completing event, and a saved one that was not deleted in time.
    assert_eq!(fired.step(&both, &set(&[("a", 2)]), "b", 3), Step::Done);
    assert_eq!(fired.step(&both, &set(&[("a", 2)]), "b", 4), Step::Save);
    assert_eq!(fired.end().firing, None);
    assert!(fired.end().is_consumed("a", 2));
}

#[test]
fn mixed_conditions_take_every_saved_event_along() {
    let mixed = condition("(a && b) || c");
    let step = Ledger::default().step(&mixed, &set(&[("a", 1)]), "c", 2);
    assert_eq!(step, Step::Fire(set(&[("a", 1), ("c", 2)])));
}

#[test]
fn sequences_of_another_stream_mean_nothing() {
    let ledger = Ledger::default().for_stream(1).begin(set(&[("a", 500)]));
    assert!(ledger.clone().for_stream(1).is_consumed("a", 3));
    assert!(!ledger.for_stream(2).is_consumed("a", 3));
}

/// What is on the bus and survives a crash.
#[derive(Default)]
struct Durable {
    ledger: Ledger,
    saved: BTreeMap<String, u64>,
    /// Delivered and not acknowledged.
    open: BTreeSet<(u64, String)>,
    /// How often the action of a set was begun.
    fired: BTreeMap<BTreeMap<String, u64>, u32>,
}

struct Crash;

/// Dies after `budget` durable effects.
struct Process<'d> {
    durable: &'d mut Durable,
    condition: Condition,
    budget: usize,
}

impl Process<'_> {
    fn effect(&mut self, effect: impl FnOnce(&mut Durable)) -> Result<(), Crash> {
        if self.budget == 0 {
            return Err(Crash);
        }
        self.budget -= 1;
        effect(self.durable);
        Ok(())
    }

    /// The order of writes of the real task: ledger, action, ledger, saved events, acknowledgement.
    fn fire(&mut self, fired: &BTreeMap<String, u64>) -> Result<(), Crash> {
        self.effect(|durable| *durable.fired.entry(fired.clone()).or_default() += 1)?;
        self.effect(|durable| durable.ledger = durable.ledger.end())?;
        for (name, sequence) in fired {
            if self
                .durable
                .saved
                .get(name)
                .is_some_and(|saved| saved <= sequence)
            {
                self.effect(|durable| {
                    durable.saved.remove(name);
                })?;
            }
        }
        Ok(())
    }

    fn run(&mut self) -> Result<(), Crash> {
        let leftover: Vec<String> = self
            .durable
            .saved
            .iter()
            .filter(|(name, at)| self.durable.ledger.is_leftover(name, **at))
            .map(|(name, _)| name.clone())
            .collect();
        for name in leftover {
            self.effect(|durable| {
                durable.saved.remove(&name);
            })?;
        }
        if let Some(unfinished) = self.durable.ledger.firing.clone() {
            self.fire(&unfinished)?;
        }
        while let Some((sequence, name)) = self.durable.open.first().cloned() {
            match self
                .durable
                .ledger
                .step(&self.condition, &self.durable.saved, &name, sequence)
            {
                Step::Done => {}
                Step::Save => {
                    let name = name.clone();
                    self.effect(|durable| {
                        durable.saved.insert(name, sequence);
                    })?;
                }
                Step::Fire(set) => {
                    let begun = self.durable.ledger.begin(set.clone());
                    self.effect(|durable| durable.ledger = begun)?;
                    self.fire(&set)?;
                }
            }
            self.effect(|durable| {
                durable.open.remove(&(sequence, name));
            })?;
        }
        Ok(())
    }
}

fn run(text: &str, arrivals: &[(u64, String)], crashes: &[usize]) -> Durable {
    let mut durable = Durable::default();
    let mut budgets = crashes.iter().copied();
    for arrival in arrivals {
        durable.open.insert(arrival.clone());
        loop {
            let budget = budgets.next().unwrap_or(usize::MAX);
            let mut process = Process {
                durable: &mut durable,
                condition: condition(text),
                budget,
            };
            if process.run().is_ok() {
                break;
            }
        }
    }
    durable
}

proptest! {
    #[test]
    fn crashes_change_nothing_but_the_number_of_tries_of_an_action(
        names in proptest::collection::vec(prop_oneof![Just("a"), Just("b"), Just("c")], 1..30),
        crashes in proptest::collection::vec(0_usize..4, 0..60),
        text in prop_oneof![Just("a && b && c"), Just("(a && b) || c"), Just("a && (b || c)")],
    ) {
        let arrivals: Vec<(u64, String)> = names.iter().zip(1..).map(|(name, at)| (at, (*name).to_owned())).collect();
        let calm = run(text, &arrivals, &[]);
        let rough = run(text, &arrivals, &crashes);
        // The same sets, whatever happened on the way.
        let sets = |durable: &Durable| durable.fired.keys().cloned().collect::<Vec<_>>();
        prop_assert_eq!(sets(&calm), sets(&rough));
        prop_assert_eq!(&calm.saved, &rough.saved);
        prop_assert!(calm.fired.values().all(|times| *times == 1));
        // No event is part of two sets.
        let mut used = BTreeSet::new();
        for set in rough.fired.keys() {
            for pair in set {
                prop_assert!(used.insert((pair.0.clone(), *pair.1)), "{:?} twice", pair);
            }
        }
        prop_assert!(rough.open.is_empty() && rough.ledger.firing.is_none());
    }
}

#[test]
fn saved_events_have_the_form_of_upstream() {
    let text = r#"{"StreamSeq":5,"ConsumerSeq":2,"Timestamp":"2026-01-02T04:04:05.123456789+01:00","Event":{"id":"7"}}"#;
    let saved: Saved = serde_json::from_str(text).expect("upstream's form");
    assert_eq!((saved.stream_seq, saved.consumer_seq), (5, 2));
    assert_eq!(
        serde_json::to_string(&saved).expect("JSON"),
        r#"{"StreamSeq":5,"ConsumerSeq":2,"Timestamp":"2026-01-02T03:04:05.123456789Z","Event":{"id":"7"}}"#
    );
}
