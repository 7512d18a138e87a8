//! Cron schedules with the rules of `robfig/cron` v3: calendar event sources and the reset of
//! trigger conditions.
//!
//! Five fields: minute, hour, day of month, month, day of week. A field is a list of `*`, `?`,
//! `n`, `a-b`, each with an optional `/step`; months and days of the week also go by their first
//! three letters; Sunday is 0 (7 is an error). When both day fields are restricted a day needs to
//! match only one of them. `TZ=Zone` or `CRON_TZ=Zone` may precede the fields.
//!
//! Over a change of the clock: what falls into the skipped hour does not happen that day, what
//! falls into the repeated hour happens twice.

mod field;
mod search;

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

use crate::go_text::{duration, time};
use field::Fields;

/// Longer expressions are refused.
pub const MAX_LENGTH: usize = 1024;

/// Why a schedule cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CronError {
    /// The number of fields is wrong.
    #[error("schedule `{schedule}` must have 5 fields, found {found}")]
    FieldCount {
        /// The schedule.
        schedule: String,
        /// Fields found.
        found: usize,
    },
    /// A field cannot be read.
    #[error("{reason}, in the {field} field of schedule `{schedule}`")]
    Field {
        /// The schedule.
        schedule: String,
        /// Name of the field.
        field: &'static str,
        /// What is wrong.
        reason: String,
    },
    /// The zone is not known.
    #[error("unknown time zone `{zone}`")]
    Zone {
        /// The name of the zone.
        zone: String,
    },
    /// A descriptor is not known, or descriptors are not offered here.
    #[error("schedule `{schedule}` is no known descriptor, or descriptors are not offered here")]
    Descriptor {
        /// The schedule.
        schedule: String,
    },
    /// The schedule is longer than [`MAX_LENGTH`].
    #[error("schedule is longer than {MAX_LENGTH} bytes")]
    TooLong,
}

/// Whether `@daily`, `@every 5m` and the like may be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Descriptors {
    /// Five fields only, as for calendar event sources.
    Refused,
    /// Five fields or a descriptor.
    Allowed,
}

/// A parsed schedule.
#[derive(Debug, Clone)]
pub struct Schedule {
    kind: FieldKind,
}

#[derive(Debug, Clone)]
enum FieldKind {
    Fields {
        fields: Fields,
        zone: TimeZone,
    },
    /// `@every`: whole seconds.
    Every(SignedDuration),
}

impl Schedule {
    /// Parses five fields; `zone` is an IANA name, empty for UTC.
    pub fn parse(schedule: &str, zone: &str) -> Result<Self, CronError> {
        Self::parse_with(schedule, zone, Descriptors::Refused)
    }

    /// Parses a schedule.
    pub fn parse_with(
        schedule: &str,
        zone: &str,
        descriptors: Descriptors,
    ) -> Result<Self, CronError> {
        if schedule.len() > MAX_LENGTH {
            return Err(CronError::TooLong);
        }
        let mut zone = zone;
        let mut rest = schedule;
        if let Some(named) = schedule
            .strip_prefix("TZ=")
            .or(schedule.strip_prefix("CRON_TZ="))
        {
            let end = named.find(' ').unwrap_or(named.len());
            zone = &named[..end];
            rest = named[end..].trim();
        }
        let zone = time::load_zone(zone).map_err(|_| CronError::Zone {
            zone: zone.to_owned(),
        })?;
        if rest.starts_with('@') {
            let unknown = || CronError::Descriptor {
                schedule: schedule.to_owned(),
            };
            if descriptors == Descriptors::Refused {
                return Err(unknown());
            }
            return Self::descriptor(rest, zone).ok_or_else(unknown);
        }
        let fields = Fields::parse(rest, schedule)?;
        Ok(Self {
            kind: FieldKind::Fields { fields, zone },
        })
    }

    fn descriptor(text: &str, zone: TimeZone) -> Option<Self> {
        if let Some(every) = text.strip_prefix("@every ") {
            let nanos = duration::parse(every).ok()?;
            // Less than a second counts as one, parts of seconds are dropped.
            let seconds = (nanos / duration::SECOND).max(1);
            return Some(Self {
                kind: FieldKind::Every(SignedDuration::from_secs(seconds)),
            });
        }
        let fields = match text {
            "@yearly" | "@annually" => "0 0 1 1 *",
            "@monthly" => "0 0 1 * *",
            "@weekly" => "0 0 * * 0",
            "@daily" | "@midnight" => "0 0 * * *",
            "@hourly" => "0 * * * *",
            _ => return None,
        };
        let fields = Fields::parse(fields, text).ok()?;
        Some(Self {
            kind: FieldKind::Fields { fields, zone },
        })
    }

    /// The first moment of the schedule after `after`; `None` when there is none within five
    /// years (`0 0 30 2 *`).
    pub fn next_after(&self, after: Timestamp) -> Option<Timestamp> {
        match &self.kind {
            FieldKind::Every(step) => {
                let whole = Timestamp::from_second(after.as_second()).ok()?;
                whole.checked_add(*step).ok()
            }
            FieldKind::Fields { fields, zone } => search::next(fields, zone, after),
        }
    }

    /// The last moment of the schedule before `before`; `None` when there is none within five
    /// years, and for `@every`, which has no fixed moments.
    pub fn previous_before(&self, before: Timestamp) -> Option<Timestamp> {
        const HOUR: i64 = 3_600;
        const DAY: i64 = 24 * HOUR;
        if matches!(self.kind, FieldKind::Every(_)) {
            return None;
        }
        let within = |start: Timestamp| self.next_after(start).filter(|found| *found < before);
        // Look back further and further until there is one, then bisect to the last one.
        let mut last = [HOUR, DAY, 32 * DAY, 366 * DAY, 5 * 366 * DAY]
            .into_iter()
            .find_map(|back| within(before.checked_sub(SignedDuration::from_secs(back)).ok()?))?;
        let mut end = before;
        while end.as_second() - last.as_second() > 1 {
            let middle = last.as_second().midpoint(end.as_second());
            let Ok(middle) = Timestamp::from_second(middle) else {
                break;
            };
            match within(middle) {
                Some(found) => last = found,
                None => end = middle,
            }
        }
        Some(last)
    }
}

#[cfg(test)]
mod tests;
