//! What becomes of a message before its trigger acts: it counts, it is discarded, or nobody can read it.

use std::collections::BTreeMap;

use reconcile_core::object::ObjectKey;

use super::{Context, attempt::Failure, messages::Held};
use crate::{
    bus::replayed_for_another,
    event::CloudEvent,
    sensor::{
        dependency::{Discard, FilterOutcome},
        parameter::Events,
    },
};

/// What a message is, as far as can be said without doing anything about it.
pub(super) enum Judged {
    /// Its event counts for the dependency.
    Accepted(Box<CloudEvent>),
    /// Its event does not count.
    Discarded,
    /// Nobody can read it, or a filter panicked.
    Unusable(String),
}

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
        let judged = self.judge(held).await;
        self.settle(held, judged).await
    }

    /// Decodes a message and applies the filters of its dependency.
    pub(super) async fn judge(&self, held: &Held) -> Judged {
        let event = match CloudEvent::decode(&held.body) {
            Err(error) => return Judged::Unusable(error.to_string()),
            Ok(event) => event,
        };
        match self.filter(held, event).await {
            FilterOutcome::Accepted(event) => Judged::Accepted(event),
            FilterOutcome::Discarded(Discard { by, reason }) => {
                let labels = self.labels();
                let labels = [labels[0], labels[1], labels[2], by];
                self.metrics.discarded.with_label_values(&labels).inc();
                let dependency = &self.trigger.dependencies[held.dependency].name;
                tracing::debug!(sensor = %self.sensor.key, dependency, message = held.sequence, reason, "event discarded");
                Judged::Discarded
            }
            FilterOutcome::Failed(reason) => Judged::Unusable(reason),
        }
    }

    /// Dead-letters what nobody can read.
    pub(super) async fn settle(&self, held: &Held, judged: Judged) -> Admission {
        let reason = match judged {
            Judged::Accepted(event) => return Admission::Accepted(*event),
            Judged::Discarded => return Admission::Settled,
            Judged::Unusable(reason) => reason,
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
    async fn filter(&self, held: &Held, event: CloudEvent) -> FilterOutcome {
        let dependency = &self.trigger.dependencies[held.dependency];
        let only_for = held.only_for.as_deref();
        if let Some(reason) = replayed_for_another(only_for, &self.sensor.key, &self.trigger.name) {
            return FilterOutcome::Discarded(Discard {
                by: "replay",
                reason,
            });
        }
        let own = &self.sensor.key.namespace;
        if let Some(namespace) = held.namespace.as_ref().filter(|from| *from != own) {
            let source = ObjectKey::new(own.clone(), dependency.source.clone());
            if (self.has_source)(&source) {
                return FilterOutcome::Discarded(Discard {
                    by: "namespace",
                    reason: format!("of namespace {namespace}"),
                });
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
