//! Whether an event counts for a dependency.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
};

use jiff::Timestamp;

use super::filter::Filters;
use crate::{
    event::{CloudEvent, subject},
    panics,
};

/// A dependency with everything checked.
#[derive(Clone, Debug, PartialEq)]
pub struct Dependency {
    /// Name.
    pub name: String,
    /// Name of the EventSource.
    pub source: String,
    /// Name of the event.
    pub event: String,
    /// Which events count.
    pub filters: Option<Arc<Filters>>,
}

/// What became of an event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FilterOutcome {
    /// It counts.
    Accepted,
    /// It does not, and why.
    Discarded(String),
    /// A bug of this program: nobody knows whether it counts.
    Failed(String),
}

impl Dependency {
    /// The subject of its events.
    pub fn subject(&self) -> String {
        subject(&self.source, &self.event)
    }

    /// Applies the filters.
    pub fn judge(&self, event: &CloudEvent, now: Timestamp) -> FilterOutcome {
        match &self.filters {
            None => FilterOutcome::Accepted,
            Some(filters) => {
                // Filters run foreign expressions on foreign data: a bug there costs the event, not the task.
                let admitted = catch_unwind(AssertUnwindSafe(|| filters.admit(event, now)));
                match admitted {
                    Ok(Ok(())) => FilterOutcome::Accepted,
                    Ok(Err(reason)) => FilterOutcome::Discarded(reason.to_string()),
                    Err(panic) => FilterOutcome::Failed(format!(
                        "a filter panicked, which is a bug: {}",
                        panics::message(&*panic)
                    )),
                }
            }
        }
    }
}
