//! Whether an event counts for a dependency.

use std::sync::Arc;

use jiff::Timestamp;

use super::filter::Filters;
use crate::event::{CloudEvent, subject};

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
pub enum Verdict {
    /// It counts.
    Accepted,
    /// It does not, and why.
    Discarded(String),
}

impl Dependency {
    /// The subject of its events.
    pub fn subject(&self) -> String {
        subject(&self.source, &self.event)
    }

    /// Applies the filters.
    pub fn judge(&self, event: &CloudEvent, now: Timestamp) -> Verdict {
        match &self.filters {
            None => Verdict::Accepted,
            Some(filters) => match filters.admit(event, now) {
                Ok(()) => Verdict::Accepted,
                Err(reason) => Verdict::Discarded(reason),
            },
        }
    }
}
