//! One try of an action, and what follows from its failure.

use std::time::Duration;

use async_nats::HeaderMap;
use bytes::Bytes;
use k8s_openapi::api::core::v1::ObjectReference;
use reconcile_core::event::EventNote;
use serde_json::{Map, Value};
use tokio::time::Instant;

use super::{Context, ports::DeadLetter};
use crate::{
    bus::dead_letter_subject,
    event::CloudEvent,
    sensor::retry::Retry,
    trigger::{Done, Firing, Task, TriggerError},
    worker::activity::{Success, identity},
};

/// Pause after a dead letter could not be published; the message is kept until it can.
const DEAD_LETTER_PAUSE: Duration = Duration::from_secs(5);
/// Characters of one header of a dead letter.
const LONGEST_HEADER: usize = 1024;
/// Room for all headers of a dead letter: three long ones of up to four bytes a character, and the rest.
const LETTER_HEADERS: usize = 16 * 1024;

/// How one try ended.
pub(super) enum Tried {
    /// Successful.
    Succeeded,
    /// Failed; worth another try after the pause.
    Again(Duration),
    /// Failed for the last time, and why.
    Spent(TriggerError),
    /// Nothing was done, because another process leads.
    NotLeading,
}

/// An action that failed for the last time.
pub(super) struct Failure<'f> {
    pub(super) firing: &'f Firing,
    pub(super) tries: u32,
    pub(super) reason: &'f str,
    /// Body of the dead letter.
    pub(super) body: Bytes,
}

impl Context {
    /// One try of the trigger's action; `tried` counts from 1.
    pub(super) async fn attempt(&self, firing: &Firing, tried: u32) -> Tried {
        let started = Instant::now();
        let outcome = self.executor.run(&self.trigger.task, firing).await;
        let labels = self.labels();
        let took = started.elapsed();
        self.metrics.action.observe(&labels, took);
        match outcome {
            Ok(done) => {
                self.metrics.triggered.with_label_values(&labels).inc();
                self.succeeded(firing, &done, took);
                Tried::Succeeded
            }
            Err(TriggerError::NotLeading) => Tried::NotLeading,
            Err(error) => {
                self.metrics.failed.with_label_values(&labels).inc();
                let (event, source) = identity(firing);
                let fields = self.activity.fields();
                tracing::warn!(sensor = %firing.sensor, trigger = %firing.trigger, source, event, tried, %error, fields, "action failed");
                self.activity.failed(&error.to_string(), self.clock.now());
                match self.trigger.retry.after(tried, rand::random()) {
                    Some(pause) => Tried::Again(pause),
                    None => Tried::Spent(error),
                }
            }
        }
    }

    /// Logs a delivered event, notes it for the status, and writes a Kubernetes Event about it once in a while.
    fn succeeded(&self, firing: &Firing, done: &Done, took: Duration) {
        let due = self.activity.succeeded(&Success {
            firing,
            done,
            took,
            now: self.clock.now(),
        });
        if due {
            let note = format!("trigger {}: {}", firing.trigger, done.0);
            self.emit(EventNote::normal("TriggerSucceeded", note));
        }
    }

    /// Emits a Kubernetes Event about the Sensor.
    fn emit(&self, note: EventNote) {
        let key = &self.sensor.key;
        let about = ObjectReference {
            api_version: Some("argoproj.io/v1alpha1".to_owned()),
            kind: Some("Sensor".to_owned()),
            name: Some(key.name.clone()),
            namespace: Some(key.namespace.clone()),
            uid: Some(self.sensor.uid.clone()),
            ..ObjectReference::default()
        };
        self.events.emit("sensor-controller", about, note);
    }

    /// All tries of the action, one after the other. False when it was interrupted and is still owed.
    pub(super) async fn act(&self, firing: &Firing, body: Bytes) -> bool {
        if !self.turn().await {
            return false;
        }
        let mut tried = 0;
        loop {
            tried += 1;
            let pause = match self.attempt(firing, tried).await {
                Tried::Succeeded => return true,
                Tried::NotLeading => return false,
                Tried::Again(pause) => pause,
                Tried::Spent(error) => {
                    let failure = Failure {
                        firing,
                        tries: tried,
                        reason: &error.to_string(),
                        body,
                    };
                    return self.give_up(failure).await;
                }
            };
            if !self.pause(pause).await {
                return false;
            }
        }
    }

    /// Waits until the rate limit lets an action begin. False when the trigger is stopped before.
    pub(super) async fn turn(&self) -> bool {
        let turn = self.pace.lock().take(Instant::now());
        tokio::select! {
            biased;
            () = tokio::time::sleep_until(turn) => true,
            () = self.stop.cancelled() => false,
        }
    }

    /// Waits. False when the trigger is stopped meanwhile.
    async fn pause(&self, pause: Duration) -> bool {
        tokio::select! {
            () = self.stop.cancelled() => false,
            () = tokio::time::sleep(pause) => true,
        }
    }

    /// All tries of the trigger are spent: runs the last resort, and parks the events when there is none
    /// or it failed too. False when the trigger is stopped before that is done.
    pub(super) async fn give_up(&self, mut failure: Failure<'_>) -> bool {
        self.metrics
            .retries_failed
            .with_label_values(&self.labels())
            .inc();
        let firing = failure.firing;
        let both: String;
        if let Some((task, retry)) = &self.trigger.dlq_trigger {
            match self.dlq_trigger(task, retry, firing).await {
                Some(Ok(())) => return true,
                Some(Err(error)) => {
                    both = format!("{}; dlqTrigger: {error}", failure.reason);
                    failure.reason = &both;
                }
                None => return false,
            }
        }
        let note = format!("trigger {}: {}", firing.trigger, failure.reason);
        self.emit(EventNote::warning("TriggerFailed", note));
        self.dead_letter(failure).await
    }

    /// `None` when the trigger is stopped before the tries are spent, or another process leads.
    async fn dlq_trigger(
        &self,
        task: &Task,
        retry: &Retry,
        firing: &Firing,
    ) -> Option<Result<(), TriggerError>> {
        let mut tried = 0;
        loop {
            tried += 1;
            let error = match self.executor.run(task, firing).await {
                Ok(_) => return Some(Ok(())),
                Err(TriggerError::NotLeading) => return None,
                Err(error) => error,
            };
            match retry.after(tried, rand::random()) {
                Some(pause) => self.pause(pause).await.then_some(())?,
                None => return Some(Err(error)),
            }
        }
    }

    /// Publishes what could not be acted on to the dead letters, however long that takes. False when the
    /// trigger is stopped before.
    pub(super) async fn dead_letter(&self, failure: Failure<'_>) -> bool {
        let Failure {
            firing,
            tries,
            reason,
            body,
        } = failure;
        let (body, complete) = letter(firing, body, self.bus.largest_message());
        let mut headers = HeaderMap::new();
        headers.insert("Sensor", firing.sensor.to_string().as_str());
        headers.insert("Trigger", one_line(&firing.trigger).as_str());
        headers.insert("Reason", one_line(reason).as_str());
        headers.insert("Tries", tries.to_string().as_str());
        if !complete {
            headers.insert("Payload", "left out: too large");
        }
        let letter = DeadLetter {
            subject: dead_letter_subject(&firing.sensor.name, &firing.trigger),
            id: firing.id.clone(),
            headers,
            body,
        };
        loop {
            match self.bus.dead_letter(&letter).await {
                Ok(()) => {
                    let labels = self.labels();
                    self.metrics.dead_lettered.with_label_values(&labels).inc();
                    let (event, source) = identity(firing);
                    let fields = self.activity.fields();
                    tracing::warn!(sensor = %firing.sensor, trigger = %firing.trigger, source, event, reason, tries, letter = firing.id, fields, "event dead-lettered");
                    self.activity.failed(reason, self.clock.now());
                    return true;
                }
                Err(error) => {
                    tracing::warn!(sensor = %firing.sensor, trigger = %firing.trigger, %error, "cannot dead-letter a failed event; trying again");
                }
            }
            if !self.pause(DEAD_LETTER_PAUSE).await {
                return false;
            }
        }
    }
}

/// The body of a dead letter, and whether it is complete: a letter carries more headers than the message
/// it stands for, and several events together can be larger than any message.
fn letter(firing: &Firing, body: Bytes, largest: usize) -> (Bytes, bool) {
    if body.len() + LETTER_HEADERS <= largest {
        return (body, true);
    }
    let contexts: Map<String, Value> = firing
        .events
        .iter()
        .map(|(name, event)| (name.clone(), event.context()))
        .collect();
    (Value::Object(contexts).to_string().into(), false)
}

/// Headers hold one line, and not a long one.
fn one_line(text: &str) -> String {
    text.chars()
        .take(LONGEST_HEADER)
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect()
}

/// The body of a dead letter for several events: each under its dependency.
pub(super) fn bundle(firing: &Firing) -> Bytes {
    let events: Map<String, Value> = firing
        .events
        .iter()
        .map(|(name, event)| (name.clone(), as_value(event)))
        .collect();
    Value::Object(events).to_string().into()
}

/// An event as JSON, in the form that it has on the bus.
pub(super) fn as_value(event: &CloudEvent) -> Value {
    serde_json::from_slice(&event.encode()).unwrap_or(Value::Null)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sensor::parameter::Events;

    fn firing(data: &str) -> Firing {
        let now = "2026-01-02T03:04:05Z".parse().expect("a time");
        let event = CloudEvent::new(
            "7".into(),
            "src",
            "webhook",
            "push",
            now,
            data.to_owned().into(),
        );
        Firing {
            id: "f".into(),
            sensor: reconcile_core::object::ObjectKey::new("ns", "s"),
            trigger: "t".into(),
            service_account: "default".into(),
            events: Events::from([("a".to_owned(), event)]),
            now,
        }
    }

    #[test]
    fn a_letter_that_would_be_too_large_keeps_what_identifies_its_events() {
        let firing = firing(&"x".repeat(100_000));
        let body = bundle(&firing);
        assert_eq!(
            letter(&firing, body.clone(), 1024 * 1024),
            (body.clone(), true)
        );
        let (short, complete) = letter(&firing, body, 64 * 1024);
        assert!(!complete && short.len() < 1024);
        let short: Value = serde_json::from_slice(&short).expect("JSON");
        assert_eq!(
            (&short["a"]["id"], &short["a"]["source"]),
            (&"7".into(), &"src".into())
        );
    }

    #[test]
    fn headers_are_one_line_of_bounded_length() {
        assert_eq!(one_line("a\r\nb"), "a  b");
        assert_eq!(one_line(&"x".repeat(9999)).len(), LONGEST_HEADER);
    }
}
