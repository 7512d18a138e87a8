//! The five fields as sets of numbers.

use super::CronError;

/// The fields of a schedule, each a set of bits.
#[derive(Debug, Clone)]
pub(super) struct Fields {
    minute: Set,
    hour: Set,
    day: Set,
    month: Set,
    weekday: Set,
}

/// Numbers a field accepts.
#[derive(Debug, Clone, Copy)]
struct Set {
    bits: u64,
    /// Written as `*` or `?` without a step: does not restrict anything.
    is_star: bool,
}

impl Set {
    fn has(self, number: i8) -> bool {
        u32::try_from(number).is_ok_and(|number| number < 64 && self.bits >> number & 1 == 1)
    }
}

struct Bounds {
    name: &'static str,
    min: u32,
    max: u32,
    names: &'static [&'static str],
}

const MINUTE: Bounds = Bounds {
    name: "minute",
    min: 0,
    max: 59,
    names: &[],
};
const HOUR: Bounds = Bounds {
    name: "hour",
    min: 0,
    max: 23,
    names: &[],
};
const DAY: Bounds = Bounds {
    name: "day of month",
    min: 1,
    max: 31,
    names: &[],
};
const MONTH: Bounds = Bounds {
    name: "month",
    min: 1,
    max: 12,
    names: &[
        "jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec",
    ],
};
const WEEKDAY: Bounds = Bounds {
    name: "day of week",
    min: 0,
    max: 6,
    names: &["sun", "mon", "tue", "wed", "thu", "fri", "sat"],
};

impl Fields {
    /// Reads the fields of `text`; messages quote `schedule`.
    pub(super) fn parse(text: &str, schedule: &str) -> Result<Self, CronError> {
        let fields: Vec<&str> = text.split_whitespace().collect();
        let &[minute, hour, day, month, weekday] = fields.as_slice() else {
            return Err(CronError::FieldCount {
                schedule: schedule.to_owned(),
                found: fields.len(),
            });
        };
        let set = |text: &str, bounds: &Bounds| {
            bounds.set(text).map_err(|reason| CronError::Field {
                schedule: schedule.to_owned(),
                field: bounds.name,
                reason,
            })
        };
        Ok(Self {
            minute: set(minute, &MINUTE)?,
            hour: set(hour, &HOUR)?,
            day: set(day, &DAY)?,
            month: set(month, &MONTH)?,
            weekday: set(weekday, &WEEKDAY)?,
        })
    }

    pub(super) fn has_minute(&self, minute: i8) -> bool {
        self.minute.has(minute)
    }

    pub(super) fn has_hour(&self, hour: i8) -> bool {
        self.hour.has(hour)
    }

    pub(super) fn has_month(&self, month: i8) -> bool {
        self.month.has(month)
    }

    /// Either day field will do when both are restricted, otherwise both must fit.
    pub(super) fn has_day(&self, day: i8, weekday: i8) -> bool {
        let (day_fits, weekday_fits) = (self.day.has(day), self.weekday.has(weekday));
        if self.day.is_star || self.weekday.is_star {
            day_fits && weekday_fits
        } else {
            day_fits || weekday_fits
        }
    }
}

impl Bounds {
    fn set(&self, text: &str) -> Result<Set, String> {
        let mut set = Set {
            bits: 0,
            is_star: false,
        };
        for part in text.split(',').filter(|part| !part.is_empty()) {
            let (bits, is_star) = self.range(part)?;
            set.bits |= bits;
            set.is_star |= is_star;
        }
        Ok(set)
    }

    fn range(&self, part: &str) -> Result<(u64, bool), String> {
        let mut pieces = part.split('/');
        let range = pieces.next().unwrap_or_default();
        let step = pieces.next();
        if pieces.next().is_some() {
            return Err(format!("`{part}` has too many slashes"));
        }
        let mut ends = range.split('-');
        let low = ends.next().unwrap_or_default();
        let high = ends.next();
        if ends.next().is_some() {
            return Err(format!("`{part}` has too many hyphens"));
        }
        let (start, mut end, mut is_star) = match (low, high) {
            // Upstream takes `*-5` for `*`.
            ("*" | "?", _) => (self.min, self.max, true),
            (low, None) => {
                let only = self.number(low)?;
                (only, only, false)
            }
            (low, Some(high)) => (self.number(low)?, self.number(high)?, false),
        };
        let step = match step {
            None => 1,
            Some(step) => {
                let step = unsigned(step)?;
                if high.is_none() {
                    // `5/15` runs to the end of the range.
                    end = self.max;
                }
                if step > 1 {
                    is_star = false;
                }
                step
            }
        };
        if start < self.min {
            return Err(format!("{start} is below {}", self.min));
        }
        if end > self.max {
            return Err(format!("{end} is above {}", self.max));
        }
        if start > end {
            return Err(format!("`{part}` goes backwards"));
        }
        let step = usize::try_from(step).ok().filter(|step| *step > 0);
        let step = step.ok_or_else(|| format!("the step of `{part}` must be positive"))?;
        let bits = (start..=end)
            .step_by(step)
            .fold(0, |bits, number| bits | 1 << number);
        Ok((bits, is_star))
    }

    fn number(&self, text: &str) -> Result<u32, String> {
        let name = text.to_lowercase();
        if let Some(position) = self.names.iter().position(|known| **known == *name) {
            return Ok(self.min + u32::try_from(position).unwrap_or(0));
        }
        unsigned(text)
    }
}

fn unsigned(text: &str) -> Result<u32, String> {
    // Go's Atoi takes a sign.
    text.parse().map_err(|_| format!("`{text}` is no number"))
}
