//! At most so many actions per unit of time, evenly spaced: a burst after a quiet time would defeat the
//! purpose.

use std::time::Duration;

use reconcile_core::object::FieldError;
use tokio::time::Instant;

use crate::api::trigger::RateLimit;

/// The least time between two actions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Spacing(pub Duration);

impl Spacing {
    /// Checks the limit at `path`. No limit is `None`.
    pub fn check(path: &str, limit: &RateLimit) -> Result<Option<Self>, FieldError> {
        let wrong =
            |field: &str, message: &str| FieldError::new(format!("{path}.{field}"), message);
        let unit = match limit.unit.as_deref() {
            None | Some("" | "Second") => 1,
            Some("Minute") => 60,
            Some("Hour") => 3600,
            Some(other) => {
                let message = format!("{other:?} is not Second, Minute or Hour");
                return Err(wrong("unit", &message));
            }
        };
        match u32::try_from(limit.requests_per_unit) {
            Ok(0) => Ok(None),
            Ok(requests) => Ok(Some(Self(Duration::from_secs(unit) / requests))),
            Err(_) => Err(wrong("requestsPerUnit", "must not be negative")),
        }
    }
}

/// The turns of a trigger's actions.
#[derive(Debug)]
pub struct Pace {
    spacing: Option<Spacing>,
    next: Option<Instant>,
}

impl Pace {
    /// Turns with this spacing; without one every action may begin at once.
    pub fn new(spacing: Option<Spacing>) -> Self {
        Self {
            spacing,
            next: None,
        }
    }

    /// Takes the next turn: says when its action may begin.
    pub fn take(&mut self, now: Instant) -> Instant {
        let Some(spacing) = self.spacing else {
            return now;
        };
        let turn = self.next.map_or(now, |next| next.max(now));
        self.next = Some(turn + spacing.0);
        turn
    }
}
