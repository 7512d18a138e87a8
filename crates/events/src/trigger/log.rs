//! The log trigger: one line per event.

use reconcile_core::object::FieldError;
use serde_json::{Value, json};

use super::{Done, Firing, Run, Trigger, TriggerError};
use crate::api::trigger::LogTrigger;

impl Trigger for LogTrigger {
    const KEY: &'static str = "log";

    type Request = ();

    fn check(&mut self, _path: &str) -> Result<(), FieldError> {
        Ok(())
    }

    fn resolve(&self, _firing: &Firing) -> Result<(), TriggerError> {
        Ok(())
    }

    fn preview((): &()) -> Value {
        json!({ "log": {} })
    }

    async fn execute((): (), run: Run<'_>) -> Result<Done, TriggerError> {
        for (dependency, event) in &run.firing.events {
            tracing::info!(
                sensor = %run.firing.sensor,
                triggerName = %run.firing.trigger,
                dependencyName = %dependency,
                eventContext = %event.context(),
                "{}", String::from_utf8_lossy(&event.data)
            );
        }
        Ok(Done("logged".to_owned()))
    }
}
