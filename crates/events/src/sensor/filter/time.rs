//! A window of the day of the event: start inclusive, stop exclusive.

use jiff::{civil::Time, tz::TimeZone};
use reconcile_core::object::FieldError;

use super::Refusal;
use crate::{api::sensor::TimeFilter, event::CloudEvent};

/// A checked window.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct TimeWindow {
    start: Time,
    stop: Time,
    zone: TimeZone,
}

impl TimeWindow {
    pub(super) fn check(path: &str, raw: &TimeFilter) -> Result<Self, FieldError> {
        let clock = |field: &str, text: &str| {
            Time::strptime("%H:%M:%S", text).map_err(|_| {
                FieldError::new(
                    format!("{path}.{field}"),
                    format!("{text:?} is not HH:MM:SS"),
                )
            })
        };
        let (start, stop) = (clock("start", &raw.start)?, clock("stop", &raw.stop)?);
        if start == stop {
            return Err(FieldError::new(
                format!("{path}.stop"),
                "must differ from start",
            ));
        }
        let zone = match raw.timezone.as_deref() {
            None | Some("") => TimeZone::UTC,
            Some(name) => TimeZone::get(name).map_err(|_| {
                FieldError::new(
                    format!("{path}.timezone"),
                    format!("{name:?} is not a time zone"),
                )
            })?,
        };
        Ok(Self { start, stop, zone })
    }

    pub(super) fn admit(&self, event: &CloudEvent) -> Result<(), Refusal> {
        let at = event
            .timestamp()
            .ok_or(Refusal::NoTime)?
            .to_zoned(self.zone.clone())
            .time();
        let inside = if self.start < self.stop {
            at >= self.start && at < self.stop
        } else {
            // Over midnight.
            at >= self.start || at < self.stop
        };
        if inside {
            Ok(())
        } else {
            Err(Refusal::Outside {
                at,
                start: self.start,
                stop: self.stop,
            })
        }
    }
}
