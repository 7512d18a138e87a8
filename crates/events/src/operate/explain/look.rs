//! What the bus says about a Sensor.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    DependencyExplanation, EventExplanation, TriggerExplanation,
    state::{Fact, state},
};
use crate::{
    bus::{
        Browser, ConsumerOwner, ConsumerProgress, From, Message, ONLY_FOR, STREAM,
        replayed_for_another,
    },
    event::CloudEvent,
    operate::{
        dlq::{LetterOwner, letters},
        show,
    },
    sensor::{
        CheckedSensor, CheckedTrigger,
        dependency::{Dependency, FilterOutcome},
        state::{Ledger, Saved},
    },
};

/// A look at one Sensor.
pub(super) struct Look {
    pub(super) browser: Browser,
    pub(super) from: From,
    pub(super) last: usize,
    pub(super) sensor: CheckedSensor,
}

impl Look {
    pub(super) async fn trigger(
        &self,
        trigger: &CheckedTrigger,
    ) -> anyhow::Result<TriggerExplanation> {
        let mut dependencies = Vec::new();
        let mut facts = Vec::new();
        for dependency in &trigger.dependencies {
            let (explanation, fact) = self.dependency(trigger, dependency).await?;
            dependencies.push(explanation);
            facts.push(fact);
        }
        let mut saved = BTreeMap::new();
        let mut firing = None;
        if !trigger.acts_per_event() {
            let ledger = self
                .browser
                .record(&self.sensor.key, &[&trigger.name, "_ledger"])
                .await?;
            let ledger: Ledger = ledger
                .and_then(|text| serde_json::from_slice(&text).ok())
                .unwrap_or_default();
            for dependency in &trigger.dependencies {
                let names = [trigger.name.as_str(), dependency.name.as_str()];
                let record = self.browser.record(&self.sensor.key, &names).await?;
                let record = record.and_then(|text| serde_json::from_slice::<Saved>(&text).ok());
                if let Some(record) = record
                    && !ledger.is_consumed(&dependency.name, record.stream_seq)
                {
                    let id = record.event["id"].as_str().unwrap_or_default();
                    let shown = format!("message {} ({id})", record.stream_seq);
                    saved.insert(dependency.name.clone(), shown);
                }
            }
            firing = ledger.firing;
        }
        let names: BTreeSet<&str> = saved.keys().map(String::as_str).collect();
        let state = state(trigger, &names, firing.as_ref(), &facts);
        Ok(TriggerExplanation {
            name: trigger.name.clone(),
            condition: trigger.condition.text().to_owned(),
            saved,
            state,
            dependencies,
            dead_letters: self.dead_letters(trigger).await?,
        })
    }

    async fn dependency(
        &self,
        trigger: &CheckedTrigger,
        dependency: &Dependency,
    ) -> anyhow::Result<(DependencyExplanation, Fact)> {
        let owner = ConsumerOwner {
            sensor: &self.sensor.key,
            trigger: &trigger.name,
            dependency: &dependency.name,
        };
        let progress = self.browser.consumer(STREAM, &owner).await?;
        let subject = dependency.subject();
        let messages = self.browser.read(STREAM, &subject, self.from).await?;
        let skipped = messages.len().saturating_sub(self.last);
        let events: Vec<(bool, EventExplanation)> = messages
            .iter()
            .skip(skipped)
            .map(|message| self.event(trigger, dependency, message, progress.as_ref()))
            .collect();
        let fact = Fact {
            name: dependency.name.clone(),
            consumer: progress.is_some(),
            listens: progress
                .as_ref()
                .is_some_and(|progress| progress.listeners > 0 || progress.in_hand > 0),
            pending: progress.as_ref().map_or(0, |progress| progress.pending),
            events: messages.len(),
            passed: events.iter().filter(|(passed, _)| *passed).count(),
        };
        let explanation = DependencyExplanation {
            name: dependency.name.clone(),
            subject,
            consumer: consumer(progress.as_ref()),
            events: events.into_iter().map(|(_, event)| event).collect(),
        };
        Ok((explanation, fact))
    }

    /// What becomes of an event, and whether it passes the filters.
    fn event(
        &self,
        trigger: &CheckedTrigger,
        dependency: &Dependency,
        message: &Message,
        progress: Option<&ConsumerProgress>,
    ) -> (bool, EventExplanation) {
        let other = message.header(ONLY_FOR);
        let other = replayed_for_another(other, &self.sensor.key, &trigger.name);
        let decoded = CloudEvent::decode(&message.body);
        let id = decoded
            .as_ref()
            .map(|event| event.id.clone())
            .unwrap_or_default();
        let (passes, said) = match (decoded, other) {
            (Err(error), _) => (false, format!("dead-lettered: {error}")),
            (Ok(_), Some(reason)) => (false, format!("discarded: {reason}")),
            // Filters see the time of the event, and templates the clock; so does the worker.
            (Ok(event), None) => match dependency.judge(event, message.stored) {
                FilterOutcome::Accepted(_) => (true, "passes the filters".to_owned()),
                FilterOutcome::Discarded(reason) => (false, format!("discarded: {reason}")),
                FilterOutcome::Failed(reason) => (false, format!("dead-lettered: {reason}")),
            },
        };
        let place = match progress {
            None => "nobody took it",
            Some(progress) if message.sequence <= progress.answered => "dealt with",
            Some(progress) if message.sequence <= progress.delivered => "taken, or dealt with",
            Some(_) => "waits",
        };
        let explanation = EventExplanation {
            message: message.sequence,
            time: show::seconds(message.stored),
            id,
            verdict: format!("{said}; {place}"),
        };
        (passes, explanation)
    }

    async fn dead_letters(&self, trigger: &CheckedTrigger) -> anyhow::Result<Vec<String>> {
        let owner = LetterOwner {
            namespace: &self.sensor.key.namespace,
            sensor: Some(&self.sensor.key.name),
            trigger: Some(&trigger.name),
        };
        let own = letters(&self.browser, &owner, self.from).await?;
        let skipped = own.len().saturating_sub(self.last);
        let shown = own.iter().skip(skipped).map(|letter| {
            let reason = letter.header("Reason").unwrap_or_default();
            format!(
                "letter {} of {}: {reason}",
                letter.sequence,
                show::seconds(letter.stored)
            )
        });
        Ok(shown.collect())
    }
}

fn consumer(progress: Option<&ConsumerProgress>) -> String {
    let Some(progress) = progress else {
        return "no durable consumer: the Sensor was never attached to this bus".to_owned();
    };
    let listens = if progress.listeners > 0 {
        "somebody listens"
    } else {
        "nobody asks for messages now"
    };
    format!(
        "{}: {listens}; answered up to message {}, {} in hand, {} waiting",
        progress.name, progress.answered, progress.in_hand, progress.pending
    )
}
