//! Why a trigger does not fire.

use std::collections::{BTreeMap, BTreeSet};

use crate::sensor::CheckedTrigger;

/// What decides whether a trigger can fire, of one dependency.
#[derive(Clone, Debug)]
pub(super) struct Fact {
    pub(super) name: String,
    pub(super) consumer: bool,
    pub(super) listens: bool,
    pub(super) pending: u64,
    /// Events in the time that is searched.
    pub(super) events: usize,
    /// Those of the last ones that pass the filters.
    pub(super) passed: usize,
}

/// Why a trigger does not fire, the most likely reason first.
pub(super) fn state(
    trigger: &CheckedTrigger,
    saved: &BTreeSet<&str>,
    firing: Option<&BTreeMap<String, u64>>,
    facts: &[Fact],
) -> String {
    let mut reasons = Vec::new();
    if let Some(set) = firing {
        let set: Vec<String> = set
            .iter()
            .map(|(name, sequence)| format!("{name}={sequence}"))
            .collect();
        reasons.push(format!("its action runs or is owed for {}", set.join(", ")));
    }
    let absent: Vec<&str> = facts
        .iter()
        .filter(|fact| !fact.consumer)
        .map(|fact| fact.name.as_str())
        .collect();
    if !absent.is_empty() {
        reasons.push(format!("not attached to the events of {}: does the controller run, and is the Sensor Deployed?", absent.join(", ")));
    }
    for fact in facts
        .iter()
        .filter(|fact| fact.consumer && fact.pending > 0 && !fact.listens)
    {
        reasons.push(format!(
            "{} events of {} wait, and nobody takes them",
            fact.pending, fact.name
        ));
    }
    if !trigger.acts_per_event() {
        let missing: Vec<&str> = trigger
            .condition
            .names()
            .into_iter()
            .filter(|name| !saved.contains(name))
            .collect();
        reasons.push(if saved.is_empty() {
            format!("waits for {}", missing.join(", "))
        } else {
            let held: Vec<&str> = saved.iter().copied().collect();
            format!("has {}; waits for {}", held.join(", "), missing.join(", "))
        });
    }
    for fact in facts {
        if fact.events == 0 {
            reasons.push(format!(
                "no events of {} in the time that was searched",
                fact.name
            ));
        } else if fact.passed == 0 {
            reasons.push(format!(
                "none of the last events of {} passes the filters",
                fact.name
            ));
        }
    }
    if reasons.is_empty() {
        "fires for each event that passes the filters".to_owned()
    } else {
        reasons.join("; ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sensor::{CheckedSensor, checked::check};
    use reconcile_core::object::ObjectKey;
    use serde_json::json;

    fn trigger(conditions: &str) -> CheckedSensor {
        let dependency =
            |name: &str| json!({"name": name, "eventSourceName": "src", "eventName": name});
        let spec = json!({
            "dependencies": [dependency("a"), dependency("b")],
            "triggers": [{"template": {"name": "t", "conditions": conditions, "log": {}}}],
        });
        check(&ObjectKey::new("ns", "s"), "", &spec)
            .expect("valid")
            .0
    }

    fn fact(name: &str) -> Fact {
        Fact {
            name: name.to_owned(),
            consumer: true,
            listens: true,
            pending: 0,
            events: 3,
            passed: 2,
        }
    }

    #[test]
    fn the_reasons_name_what_is_missing() {
        let both = trigger("a && b");
        let said = |saved: &[&str], facts: &[Fact]| {
            state(
                &both.triggers[0],
                &saved.iter().copied().collect(),
                None,
                facts,
            )
        };
        assert_eq!(said(&["a"], &[fact("a"), fact("b")]), "has a; waits for b");
        let silent = Fact {
            events: 0,
            ..fact("b")
        };
        assert_eq!(
            said(&[], &[fact("a"), silent]),
            "waits for a, b; no events of b in the time that was searched"
        );
        let lost = Fact {
            consumer: false,
            ..fact("a")
        };
        assert!(said(&[], &[lost, fact("b")]).starts_with("not attached to the events of a"));
        let either = trigger("a || b");
        let stuck = Fact {
            listens: false,
            pending: 4,
            ..fact("a")
        };
        let none: BTreeSet<&str> = BTreeSet::new();
        assert_eq!(
            state(
                &either.triggers[0],
                &none,
                None,
                &[
                    stuck,
                    Fact {
                        passed: 0,
                        ..fact("b")
                    }
                ]
            ),
            "4 events of a wait, and nobody takes them; none of the last events of b passes the filters"
        );
        assert_eq!(
            state(&either.triggers[0], &none, None, &[fact("a"), fact("b")]),
            "fires for each event that passes the filters"
        );
    }
}
