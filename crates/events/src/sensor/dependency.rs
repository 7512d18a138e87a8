//! Whether an event counts for a dependency.

use std::{
    fmt,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
};

use jiff::Timestamp;

use tokio::sync::Mutex;

use super::{filter::Filters, transform::Transform};
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
    /// A change of each event before the filters.
    pub transform: Option<Transform>,
    /// Which events count.
    pub filters: Option<Arc<Filters>>,
    /// Held while a script runs.
    pub turn: Turn,
}

/// The turn of the scripts of a dependency: one at a time, so that no Sensor takes all threads.
#[derive(Clone, Debug, Default)]
pub struct Turn(pub Arc<Mutex<()>>);

impl PartialEq for Turn {
    fn eq(&self, _other: &Self) -> bool {
        true
    }
}

/// What became of an event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FilterOutcome {
    /// It counts, in the form that a transform gave it.
    Accepted(Box<CloudEvent>),
    /// It does not, and why.
    Discarded(Discard),
    /// A bug of this program: nobody knows whether it counts.
    Failed(String),
}

/// Why an event does not count.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Discard {
    /// What refuses it: a kind of filter, `transform`, `namespace`, or `replay`.
    pub by: &'static str,
    /// In words.
    pub reason: String,
}

impl fmt::Display for Discard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.reason)
    }
}

impl Dependency {
    /// The subject of its events.
    pub fn subject(&self) -> String {
        subject(&self.source, &self.event)
    }

    /// True when scripts decide, which take too long for the threads of the runtime.
    pub fn runs_scripts(&self) -> bool {
        self.transform.is_some() || self.filters.as_ref().is_some_and(|f| f.has_script())
    }

    /// Transforms the event and applies the filters.
    pub fn judge(&self, event: CloudEvent, now: Timestamp) -> FilterOutcome {
        // They run foreign expressions on foreign data: a bug there costs the event, not the task.
        let judged = catch_unwind(AssertUnwindSafe(|| self.transform_and_filter(event, now)));
        judged.unwrap_or_else(|panic| {
            FilterOutcome::Failed(format!(
                "a filter panicked, which is a bug: {}",
                panics::message(&*panic)
            ))
        })
    }

    fn transform_and_filter(&self, event: CloudEvent, now: Timestamp) -> FilterOutcome {
        let event = match &self.transform {
            // No payload, nothing to change.
            Some(transform) if !event.data.is_empty() => match transform.apply(&event, now) {
                Ok(event) => event,
                Err(error) => {
                    return FilterOutcome::Discarded(Discard {
                        by: "transform",
                        reason: format!("transform: {error}"),
                    });
                }
            },
            _ => event,
        };
        match self
            .filters
            .as_ref()
            .map(|filters| filters.admit(&event, now))
        {
            None | Some(Ok(())) => FilterOutcome::Accepted(Box::new(event)),
            Some(Err(refusal)) => FilterOutcome::Discarded(Discard {
                by: refusal.filter(),
                reason: refusal.to_string(),
            }),
        }
    }
}
