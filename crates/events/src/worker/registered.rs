//! Removal of what deleted events have registered at services.

use std::collections::BTreeSet;

use reconcile_core::object::ObjectKey;

use super::DataPlane;
use crate::source::{ServiceContext, TaskEvent};

impl DataPlane {
    /// Removes what an event has registered, but for what is `kept`; otherwise says why not, without its secrets.
    pub async fn remove_registered(
        &self,
        task: &TaskEvent,
        source: (&ObjectKey, &str),
        kept: &BTreeSet<String>,
    ) -> Result<(), String> {
        let Some(registered) = task.source.registered() else {
            return Ok(());
        };
        let (clock, limits) = (self.0.clock.clone(), &self.0.source_limits);
        let context = ServiceContext::new(task, source, clock, limits);
        let removed = registered.remove(&context, kept).await;
        removed.map_err(|error| context.redact(error.to_string()))
    }
}
