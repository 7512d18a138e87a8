//! What becomes of a message before its trigger acts: it counts, it is discarded, or nobody can read it.

use std::collections::BTreeMap;

use reconcile_core::object::ObjectKey;

use super::{Context, attempt::Failure, messages::Held};
use crate::{
    bus::replayed_for_another,
    event::CloudEvent,
    sensor::{dependency::FilterOutcome, parameter::Events},
};

/// What is to be done about a message.
pub(super) enum Admission {
    /// Its event counts for the dependency.
    Accepted(CloudEvent),
    /// Nothing: it was discarded, or dead-lettered.
    Settled,
    /// The trigger was stopped before it could be dead-lettered.
    Owed,
}

impl Context {
    /// Decodes a message and applies the filters of its dependency. What cannot be read, or makes a filter
    /// panic, goes to the dead letters.
    pub(super) async fn admit(&self, held: &Held) -> Admission {
        let reason = match CloudEvent::decode(&held.body) {
            Err(error) => error.to_string(),
            Ok(event) => match self.judge(held, event).await {
                FilterOutcome::Accepted(event) => return Admission::Accepted(*event),
                FilterOutcome::Discarded(reason) => {
                    let dependency = &self.trigger.dependencies[held.dependency].name;
                    tracing::debug!(sensor = %self.sensor.key, dependency, message = held.sequence, reason, "event discarded");
                    return Admission::Settled;
                }
                FilterOutcome::Failed(reason) => reason,
            },
        };
        let dependency = &self.trigger.dependencies[held.dependency].name;
        let set = BTreeMap::from([(dependency.clone(), held.sequence)]);
        let failure = Failure {
            firing: &self.firing(held.stream, &set, Events::new()),
            tries: 0,
            reason: &reason,
            body: held.body.clone(),
        };
        if self.dead_letter(failure).await {
            Admission::Settled
        } else {
            Admission::Owed
        }
    }

    /// Whether an event counts for the dependency that it came for.
    ///
    /// A bus may serve several namespaces. Where the Sensor's own namespace has the EventSource that the
    /// dependency names, events of an equally named one elsewhere do not count. A replayed event is for the trigger
    /// that failed.
    async fn judge(&self, held: &Held, event: CloudEvent) -> FilterOutcome {
        let dependency = &self.trigger.dependencies[held.dependency];
        let only_for = held.only_for.as_deref();
        if let Some(reason) = replayed_for_another(only_for, &self.sensor.key, &self.trigger.name) {
            return FilterOutcome::Discarded(reason);
        }
        let own = &self.sensor.key.namespace;
        if let Some(namespace) = held.namespace.as_ref().filter(|from| *from != own) {
            let source = ObjectKey::new(own.clone(), dependency.source.clone());
            if (self.has_source)(&source) {
                return FilterOutcome::Discarded(format!("of namespace {namespace}"));
            }
        }
        let now = self.clock.now();
        if !dependency.runs_scripts() {
            return dependency.judge(event, now);
        }
        let turn = dependency.turn.0.clone().lock_owned().await;
        let dependency = dependency.clone();
        let judged = tokio::task::spawn_blocking(move || {
            let verdict = dependency.judge(event, now);
            drop(turn);
            verdict
        });
        judged.await.unwrap_or_else(|error| {
            FilterOutcome::Failed(format!("a filter panicked, which is a bug: {error}"))
        })
    }
}
