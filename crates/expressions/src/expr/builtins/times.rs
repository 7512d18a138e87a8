//! Functions and methods on times, durations and zones.

use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::{Outcome, text, wrong};
use crate::expr::operators::{nanos_between, shift};
use crate::expr::types::Type;
use crate::expr::value::{Value, int_to_float};
use crate::go_text::{self, duration, time};

pub(super) fn call(name: &str, args: &[Value], now: Option<Timestamp>) -> Outcome {
    match name {
        "now" => {
            let now = now.ok_or("now() is not offered here")?;
            let zone = match args.first() {
                None => TimeZone::UTC,
                Some(Value::Zone(zone)) => zone.clone(),
                Some(other) => return Err(wrong(name, other)),
            };
            Ok(Value::Time(Box::new(now.to_zoned(zone))))
        }
        "duration" => duration::parse(text(name, args, 0)?).map(Value::Duration),
        "timezone" => time::load_zone(text(name, args, 0)?).map(Value::Zone),
        _ => date(args),
    }
}

fn date(args: &[Value]) -> Outcome {
    let (zone, args) = match args {
        [Value::Zone(zone), rest @ ..] => (zone.clone(), rest),
        _ => (TimeZone::UTC, args),
    };
    let subject = match args.first() {
        Some(Value::Str(text)) => text,
        Some(other) => return Err(wrong("date", other)),
        None => return Err("date needs a text".to_owned()),
    };
    let parsed = match args {
        [_] => time::COMMON
            .iter()
            .find_map(|layout| time::parse(layout, subject, &zone).ok())
            .ok_or_else(|| format!("invalid date {subject}"))?,
        [_, _] => time::parse(text("date", args, 1)?, subject, &zone)?,
        _ => time::parse(
            text("date", args, 1)?,
            subject,
            &time::load_zone(text("date", args, 2)?)?,
        )?,
    };
    Ok(Value::Time(Box::new(parsed)))
}

/// Result type of a method, or why there is none.
pub(crate) fn method_type(base: &Type, method: &str, args: usize) -> Result<Type, String> {
    let found = match base {
        Type::Duration => match method {
            "Hours" | "Minutes" | "Seconds" => Some((0, Type::Float)),
            "Milliseconds" | "Microseconds" | "Nanoseconds" => Some((0, Type::Int)),
            "String" => Some((0, Type::Str)),
            "Abs" => Some((0, Type::Duration)),
            "Round" | "Truncate" => Some((1, Type::Duration)),
            _ => None,
        },
        Type::Time => match method {
            "Year" | "Month" | "Day" | "Weekday" | "Hour" | "Minute" | "Second" | "Nanosecond"
            | "YearDay" | "Unix" | "UnixMilli" | "UnixMicro" | "UnixNano" => Some((0, Type::Int)),
            "UTC" => Some((0, Type::Time)),
            "IsZero" => Some((0, Type::Bool)),
            "String" => Some((0, Type::Str)),
            "Format" => Some((1, Type::Str)),
            "Add" | "In" => Some((1, Type::Time)),
            "AddDate" => Some((3, Type::Time)),
            "Sub" => Some((1, Type::Duration)),
            "Before" | "After" | "Equal" => Some((1, Type::Bool)),
            _ => None,
        },
        Type::Zone if method == "String" => Some((0, Type::Str)),
        _ => None,
    };
    let (wanted, result) = found.ok_or_else(|| format!("type {base} has no method `{method}`"))?;
    if wanted == args {
        Ok(result)
    } else {
        Err(format!("{method} takes {wanted} arguments, not {args}"))
    }
}

pub(crate) fn call_method(base: &Value, method: &str, args: &[Value]) -> Outcome {
    method_type(&Type::of_literal(base), method, args.len())?;
    match base {
        Value::Duration(nanos) => of_duration(*nanos, method, args),
        Value::Time(time) => of_time(time, method, args),
        other => Ok(Value::text(other.go_string())),
    }
}

fn of_duration(nanos: i64, method: &str, args: &[Value]) -> Outcome {
    let per = |unit: i64| Value::Float(int_to_float(nanos) / int_to_float(unit));
    Ok(match method {
        "Hours" => per(3_600 * duration::SECOND),
        "Minutes" => per(60 * duration::SECOND),
        "Seconds" => per(duration::SECOND),
        "Milliseconds" => Value::Int(nanos / 1_000_000),
        "Microseconds" => Value::Int(nanos / 1_000),
        "Nanoseconds" => Value::Int(nanos),
        "Abs" => Value::Duration(nanos.saturating_abs()),
        "String" => Value::text(duration::format(nanos)),
        "Round" | "Truncate" => {
            let Value::Duration(step) = args[0] else {
                return Err(wrong(method, &args[0]));
            };
            if step <= 0 {
                return Ok(Value::Duration(nanos));
            }
            let rest = nanos % step;
            let cut = nanos - rest;
            let up = method == "Round" && rest.unsigned_abs() >= step.unsigned_abs().div_ceil(2);
            Value::Duration(if up {
                cut.saturating_add(step * nanos.signum())
            } else {
                cut
            })
        }
        _ => return Err(format!("type duration has no method `{method}`")),
    })
}

fn of_time(time: &jiff::Zoned, method: &str, args: &[Value]) -> Outcome {
    let stamp = time.timestamp();
    let other = || match args.first() {
        Some(Value::Time(other)) => Ok(other.timestamp()),
        Some(other) => Err(wrong(method, other)),
        None => Err(format!("{method} needs a time")),
    };
    let int = |value: i64| Ok(Value::Int(value));
    match method {
        "Year" => int(time.year().into()),
        "Month" => int(time.month().into()),
        "Day" => int(time.day().into()),
        "Weekday" => int(time.weekday().to_sunday_zero_offset().into()),
        "Hour" => int(time.hour().into()),
        "Minute" => int(time.minute().into()),
        "Second" => int(time.second().into()),
        "Nanosecond" => int(time.subsec_nanosecond().into()),
        "YearDay" => int(time.day_of_year().into()),
        "Unix" => int(stamp.as_second()),
        "UnixMilli" => int(stamp.as_millisecond()),
        "UnixMicro" => int(stamp.as_microsecond()),
        "UnixNano" => int(nanos_between(&stamp, &Timestamp::UNIX_EPOCH)),
        "UTC" => Ok(Value::Time(Box::new(time::utc(stamp)))),
        "IsZero" => Ok(Value::Bool(time.year() == 1 && time.day_of_year() == 1)),
        "String" => Ok(Value::text(go_text::time::format(time, time::GO_STRING))),
        "Format" => Ok(Value::text(go_text::time::format(
            time,
            text(method, args, 0)?,
        ))),
        "Before" => Ok(Value::Bool(stamp < other()?)),
        "After" => Ok(Value::Bool(stamp > other()?)),
        "Equal" => Ok(Value::Bool(stamp == other()?)),
        "Sub" => Ok(Value::Duration(nanos_between(&stamp, &other()?))),
        "Add" => match &args[0] {
            Value::Duration(nanos) => shift(time, *nanos),
            other => Err(wrong(method, other)),
        },
        "In" => match &args[0] {
            Value::Zone(zone) => Ok(Value::Time(Box::new(stamp.to_zoned(zone.clone())))),
            other => Err(wrong(method, other)),
        },
        "AddDate" => add_date(time, args),
        _ => Err(format!("type time has no method `{method}`")),
    }
}

/// Adds years, months and days; a day that does not exist rolls over, as in Go.
fn add_date(time: &jiff::Zoned, args: &[Value]) -> Outcome {
    let part = |index: usize| super::int("AddDate", args, index);
    let out_of_range = |_| "time is out of range".to_owned();
    let first = time.first_of_month().map_err(out_of_range)?;
    let months = part(0)?.saturating_mul(12).saturating_add(part(1)?);
    let days = part(2)?.saturating_add(i64::from(time.day()) - 1);
    let span = |days, months| {
        jiff::Span::new()
            .try_months(months)
            .and_then(|span| span.try_days(days))
    };
    first
        .checked_add(span(0, months).map_err(out_of_range)?)
        .and_then(|moved| moved.checked_add(span(days, 0)?))
        .map(|moved| Value::Time(Box::new(moved)))
        .map_err(out_of_range)
}
