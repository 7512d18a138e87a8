//! Dates. The current moment is the one the rendering was started with; the local zone is UTC.
//!
//! Template values know no times, so a time is its text as Go prints it; texts of exactly that
//! form count as times again.

use gotmpl::Value;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp, Zoned};

use super::args::{Args, Outcome, text};
use super::{Function, function, now};
use crate::go_text::{duration, time};

pub(super) const FUNCTIONS: &[Function] = &[
    function("now", 0, 0, |_| Ok(shown(&time::utc(now()?)))),
    function("date", 2, 2, |a| in_zone(a.str(0)?, a.any(1), "UTC")),
    function("dateInZone", 3, 3, |a| {
        in_zone(a.str(0)?, a.any(1), a.str(2)?)
    }),
    function("date_in_zone", 3, 3, |a| {
        in_zone(a.str(0)?, a.any(1), a.str(2)?)
    }),
    function("htmlDate", 1, 1, |a| in_zone("2006-01-02", a.any(0), "UTC")),
    function("htmlDateInZone", 2, 2, |a| {
        in_zone("2006-01-02", a.any(0), a.str(1)?)
    }),
    function("dateModify", 2, 2, |a| {
        modified(a, BadDuration::ChangesNothing)
    }),
    function("date_modify", 2, 2, |a| {
        modified(a, BadDuration::ChangesNothing)
    }),
    function("mustDateModify", 2, 2, |a| {
        modified(a, BadDuration::IsAnError)
    }),
    function("must_date_modify", 2, 2, |a| {
        modified(a, BadDuration::IsAnError)
    }),
    function("toDate", 2, 2, |a| {
        Ok(shown(
            &time::parse(a.str(0)?, a.str(1)?, &TimeZone::UTC).unwrap_or_else(|_| zero()),
        ))
    }),
    function("mustToDate", 2, 2, |a| {
        time::parse(a.str(0)?, a.str(1)?, &TimeZone::UTC).map(|time| shown(&time))
    }),
    function("unixEpoch", 1, 1, |a| {
        Ok(text(given(a, 0)?.timestamp().as_second().to_string()))
    }),
    function("ago", 1, 1, |a| {
        let age = now()?.duration_since(moment(a.any(0))?.timestamp());
        let seconds = age
            .round(jiff::Unit::Second)
            .map_err(|error| error.to_string())?;
        let nanos = i64::try_from(seconds.as_nanos()).unwrap_or(i64::MAX);
        Ok(text(duration::format(nanos)))
    }),
    function("duration", 1, 1, |a| {
        let seconds = match a.any(0) {
            Value::String(digits) => digits.parse().unwrap_or(0),
            Value::Int(seconds) => *seconds,
            _ => 0,
        };
        Ok(text(duration::format(
            seconds.saturating_mul(duration::SECOND),
        )))
    }),
    function("durationRound", 1, 1, |a| rounded(a).map(text)),
];

fn shown(time: &Zoned) -> Value {
    text(time::format(time, time::GO_STRING))
}

/// Go's zero time.
fn zero() -> Zoned {
    jiff::civil::date(1, 1, 1)
        .to_zoned(TimeZone::UTC)
        .unwrap_or_default()
}

fn read(value: &Value) -> Option<Zoned> {
    time::parse(time::GO_STRING, value.as_str()?, &TimeZone::UTC).ok()
}

/// A parameter of type `time.Time`.
fn given(args: &Args<'_>, index: usize) -> Result<Zoned, String> {
    read(args.any(index)).ok_or_else(|| format!("argument {} is no time", index + 1))
}

/// A parameter of any type: a time, Unix seconds, and now for everything else.
fn moment(value: &Value) -> Result<Zoned, String> {
    if let Value::Int(seconds) = value {
        let stamp = Timestamp::from_second(*seconds).map_err(|error| error.to_string())?;
        return Ok(time::utc(stamp));
    }
    match read(value) {
        Some(time) => Ok(time),
        None => now().map(time::utc),
    }
}

fn in_zone(layout: &str, value: &Value, zone: &str) -> Outcome {
    let zone = time::load_zone(zone).unwrap_or(TimeZone::UTC);
    Ok(text(time::format(
        &moment(value)?.timestamp().to_zoned(zone),
        layout,
    )))
}

/// What a duration means that cannot be read.
#[derive(Clone, Copy, PartialEq, Eq)]
enum BadDuration {
    ChangesNothing,
    IsAnError,
}

fn modified(args: &Args<'_>, bad: BadDuration) -> Outcome {
    let time = given(args, 1)?;
    match duration::parse(args.str(0)?) {
        Ok(nanos) => time
            .checked_add(SignedDuration::from_nanos(nanos))
            .map(|time| shown(&time))
            .map_err(|error| error.to_string()),
        Err(error) if bad == BadDuration::IsAnError => Err(error),
        Err(_) => Ok(shown(&time)),
    }
}

/// The largest unit a duration has more than one of.
fn rounded(args: &Args<'_>) -> Result<String, String> {
    const UNITS: [(u64, &str); 6] = [
        (365 * 86_400, "y"),
        (30 * 86_400, "mo"),
        (86_400, "d"),
        (3_600, "h"),
        (60, "m"),
        (1, "s"),
    ];
    let nanos = match args.any(0) {
        value @ Value::String(written) => match read(value) {
            Some(time) => crate::expr::nanos_between(&now()?, &time.timestamp()),
            None => duration::parse(written).unwrap_or(0),
        },
        Value::Int(nanos) => *nanos,
        _ => 0,
    };
    let size = nanos.unsigned_abs();
    let second = duration::SECOND.unsigned_abs();
    let unit = UNITS.iter().find(|(seconds, _)| size > seconds * second);
    Ok(unit.map_or("0s".to_owned(), |(seconds, name)| {
        format!("{}{name}", size / (seconds * second))
    }))
}
