//! Finds the next moment of a schedule: the largest unit that does not fit is moved on first.

use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Span, Timestamp, Zoned};

use super::field::Fields;

/// How far ahead to look.
const YEARS: i16 = 5;

/// The first moment after `after`.
pub(super) fn next(fields: &Fields, zone: &TimeZone, after: Timestamp) -> Option<Timestamp> {
    let start = Timestamp::from_second(after.as_second().checked_add(1)?).ok()?;
    let mut cursor = Cursor {
        time: start.to_zoned(zone.clone()),
        cut: false,
    };
    let last_year = cursor.time.year() + YEARS;
    // Each round either finds a moment or moves on by at least one unit.
    while cursor.time.year() <= last_year {
        if cursor.fit(fields)? {
            return Some(cursor.time.timestamp());
        }
    }
    None
}

struct Cursor {
    time: Zoned,
    /// Whether the smaller units have been set to zero already.
    cut: bool,
}

impl Cursor {
    /// Moves on until everything fits; false when a larger unit has changed, so that the search
    /// must start over. `None` when time runs out of its range.
    fn fit(&mut self, fields: &Fields) -> Option<bool> {
        while !fields.has_month(self.time.month()) {
            self.cut_to(|t| t.date().first_of_month().at(0, 0, 0, 0))?;
            self.days(Span::new().months(1))?;
            if self.time.month() == 1 {
                return Some(false);
            }
        }
        while !fields.has_day(self.time.day(), self.time.weekday().to_sunday_zero_offset()) {
            self.cut_to(|t| t.date().at(0, 0, 0, 0))?;
            self.days(Span::new().days(1))?;
            self.back_to_midnight()?;
            if self.time.day() == 1 {
                return Some(false);
            }
        }
        while !fields.has_hour(self.time.hour()) {
            self.cut_to(|t| t.date().at(t.hour(), 0, 0, 0))?;
            self.add(SignedDuration::from_hours(1))?;
            if self.time.hour() == 0 {
                return Some(false);
            }
        }
        while !fields.has_minute(self.time.minute()) {
            self.cut_seconds()?;
            self.add(SignedDuration::from_mins(1))?;
            if self.time.minute() == 0 {
                return Some(false);
            }
        }
        while self.time.second() != 0 {
            self.cut = true;
            self.add(SignedDuration::from_secs(1))?;
            if self.time.second() == 0 {
                return Some(false);
            }
        }
        Some(true)
    }

    /// Sets the smaller units to zero, once.
    fn cut_to(&mut self, floor: impl FnOnce(&Zoned) -> DateTime) -> Option<()> {
        if !self.cut {
            self.cut = true;
            self.time = floor(&self.time)
                .to_zoned(self.time.time_zone().clone())
                .ok()?;
        }
        Some(())
    }

    fn cut_seconds(&mut self) -> Option<()> {
        if !self.cut {
            self.cut = true;
            self.add(SignedDuration::from_secs(-i64::from(self.time.second())))?;
        }
        Some(())
    }

    fn add(&mut self, duration: SignedDuration) -> Option<()> {
        self.time = self.time.checked_add(duration).ok()?;
        Some(())
    }

    /// Moves by calendar days or months, keeping the time on the clock.
    fn days(&mut self, span: Span) -> Option<()> {
        self.time = self.time.checked_add(span).ok()?;
        Some(())
    }

    /// A day whose midnight does not exist begins at another hour.
    fn back_to_midnight(&mut self) -> Option<()> {
        match i64::from(self.time.hour()) {
            0 => Some(()),
            hour if hour > 12 => self.add(SignedDuration::from_hours(24 - hour)),
            hour => self.add(SignedDuration::from_hours(-hour)),
        }
    }
}
