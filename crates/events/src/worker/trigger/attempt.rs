//! One try of an action, and what follows from its failure.

use std::time::Duration;

use async_nats::HeaderMap;
use bytes::Bytes;
use k8s_openapi::api::core::v1::ObjectReference;
use reconcile_core::reconcile::EventNote;
use serde_json::{Map, Value};
use tokio::time::Instant;

use super::Context;
use crate::{
    bus::dead_letter_subject,
    event::CloudEvent,
    sensor::{checked::Task, retry::Retry},
    trigger::{Firing, TriggerError},
};

/// Pause after a dead letter could not be published; the message is kept until it can.
pub(super) const DEAD_LETTER_PAUSE: Duration = Duration::from_secs(5);

/// How one try ended.
pub(super) enum Tried {
    /// Successful.
    Succeeded,
    /// Failed; worth another try after the pause.
    Again(Duration),
    /// Failed for the last time, and why.
    Spent(String),
    /// Nothing was done, because another process leads.
    NotLeading,
}

impl Context {
    /// One try of the trigger's action; `tried` counts from 1.
    pub(super) async fn attempt(&self, firing: &Firing, tried: u32) -> Tried {
        let started = Instant::now();
        let outcome = self.executor.run(&self.trigger.task, firing).await;
        let labels = self.labels();
        self.metrics.action.observe(&labels, started.elapsed());
        match outcome {
            Ok(()) => {
                self.metrics.triggered.with_label_values(&labels).inc();
                Tried::Succeeded
            }
            Err(TriggerError::NotLeading) => Tried::NotLeading,
            Err(error) => {
                self.metrics.failed.with_label_values(&labels).inc();
                let text = error.to_string();
                tracing::warn!(sensor = %firing.sensor, trigger = %firing.trigger, tried, error = text, "action failed");
                match self.trigger.retry.after(tried, rand::random()) {
                    Some(pause) => Tried::Again(pause),
                    None => Tried::Spent(text),
                }
            }
        }
    }

    /// All tries of the trigger are spent: runs the last resort, and parks the events when there is none
    /// or it failed too. False when the events could not be parked now.
    pub(super) async fn bury(
        &self,
        firing: &Firing,
        tries: u32,
        reason: &str,
        body: Bytes,
    ) -> bool {
        self.metrics
            .retries_failed
            .with_label_values(&self.labels())
            .inc();
        let mut reason = reason.to_owned();
        if let Some((task, retry)) = &self.trigger.last_resort {
            match self.last_resort(task, retry, firing).await {
                Ok(()) => return true,
                Err(error) => reason = format!("{reason}; dlqTrigger: {error}"),
            }
        }
        let about = ObjectReference {
            api_version: Some("argoproj.io/v1alpha1".to_owned()),
            kind: Some("Sensor".to_owned()),
            name: Some(firing.sensor.name.clone()),
            namespace: Some(firing.sensor.namespace.clone()),
            uid: Some(self.sensor.uid.clone()),
            ..ObjectReference::default()
        };
        let note = format!("trigger {}: {reason}", firing.trigger);
        self.events.emit(
            "sensor-controller",
            about,
            EventNote::warning("TriggerFailed", note),
        );
        self.park(firing, tries, &reason, body).await
    }

    async fn last_resort(&self, task: &Task, retry: &Retry, firing: &Firing) -> Result<(), String> {
        let mut tried = 0;
        loop {
            tried += 1;
            match self.executor.run(task, firing).await {
                Ok(()) => return Ok(()),
                Err(error) => match retry.after(tried, rand::random()) {
                    Some(pause) => tokio::time::sleep(pause).await,
                    None => return Err(error.to_string()),
                },
            }
        }
    }

    /// Publishes what could not be acted on to the dead letters. False when that was not possible.
    pub(super) async fn park(
        &self,
        firing: &Firing,
        tries: u32,
        reason: &str,
        body: Bytes,
    ) -> bool {
        let subject = dead_letter_subject(&firing.sensor.name, &firing.trigger);
        let mut headers = HeaderMap::new();
        headers.insert("Sensor", firing.sensor.to_string().as_str());
        headers.insert("Trigger", one_line(&firing.trigger).as_str());
        headers.insert("Reason", one_line(reason).as_str());
        headers.insert("Tries", tries.to_string().as_str());
        let outcome = self
            .bus
            .publish_with(&subject, &firing.id, body, headers)
            .await;
        if let Err(error) = &outcome {
            tracing::warn!(sensor = %firing.sensor, trigger = %firing.trigger, %error, "cannot park a failed event; keeping it");
        }
        outcome.is_ok()
    }
}

/// Headers hold one line.
fn one_line(text: &str) -> String {
    text.chars()
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
