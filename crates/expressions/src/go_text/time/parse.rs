//! Reads times by a layout.

use jiff::Zoned;
use jiff::civil::{Date, Time};
use jiff::tz::{Offset, TimeZone};

use super::{DAYS, MONTHS, Piece, split};

/// What has been read so far.
struct Reading {
    year: i16,
    month: i8,
    day: i8,
    year_day: Option<i16>,
    hour: i8,
    minute: i8,
    second: i8,
    nanos: i32,
    afternoon: Option<bool>,
    zone: Option<TimeZone>,
}

/// `time.ParseInLocation(layout, text, zone)`; a zone in the text wins over `zone`.
pub fn parse(layout: &str, text: &str, zone: &TimeZone) -> Result<Zoned, String> {
    let bad = || format!("cannot read {text:?} as time of layout {layout:?}");
    let mut reading = Reading {
        year: 0,
        month: 1,
        day: 1,
        year_day: None,
        hour: 0,
        minute: 0,
        second: 0,
        nanos: 0,
        afternoon: None,
        zone: None,
    };
    let mut rest = text;
    let pieces = split(layout);
    for (position, piece) in pieces.iter().enumerate() {
        let fraction_follows = matches!(pieces.get(position + 1), Some(Piece::Fraction { .. }));
        rest = read(&mut reading, rest, *piece, fraction_follows).ok_or_else(bad)?;
    }
    if !rest.is_empty() {
        return Err(bad());
    }
    finish(reading, zone).ok_or_else(bad)
}

fn finish(reading: Reading, zone: &TimeZone) -> Option<Zoned> {
    let hour = match reading.afternoon {
        Some(true) if reading.hour < 12 => reading.hour + 12,
        Some(false) if reading.hour == 12 => 0,
        _ => reading.hour,
    };
    let time = Time::new(hour, reading.minute, reading.second, reading.nanos).ok()?;
    let date = match reading.year_day {
        Some(day) => Date::new(reading.year, 1, 1)
            .ok()?
            .with()
            .day_of_year(day)
            .build()
            .ok()?,
        None => Date::new(reading.year, reading.month, reading.day).ok()?,
    };
    let zone = reading.zone.unwrap_or_else(|| zone.clone());
    date.to_datetime(time).to_zoned(zone).ok()
}

fn read<'t>(
    reading: &mut Reading,
    text: &'t str,
    piece: Piece<'_>,
    fraction_follows: bool,
) -> Option<&'t str> {
    match piece {
        Piece::Text(expected) => text.strip_prefix(expected),
        Piece::LongMonth => name(&mut reading.month, text, &MONTHS, usize::MAX),
        Piece::ShortMonth => name(&mut reading.month, text, &MONTHS, 3),
        Piece::Month => digits(&mut reading.month, text, 1, 2),
        Piece::MonthZero => digits(&mut reading.month, text, 2, 2),
        Piece::LongDay => name(&mut 0, text, &DAYS, usize::MAX),
        Piece::ShortDay => name(&mut 0, text, &DAYS, 3),
        Piece::Day => digits(&mut reading.day, text, 1, 2),
        Piece::DayPadded => digits(&mut reading.day, text.trim_start_matches(' '), 1, 2),
        Piece::DayZero => digits(&mut reading.day, text, 2, 2),
        Piece::YearDay => digits(reading.year_day.insert(0), text, 3, 3),
        Piece::Hour12 => digits(&mut reading.hour, text, 1, 2),
        Piece::Hour24 | Piece::Hour12Zero => digits(&mut reading.hour, text, 2, 2),
        Piece::Minute => digits(&mut reading.minute, text, 1, 2),
        Piece::MinuteZero => digits(&mut reading.minute, text, 2, 2),
        Piece::Second | Piece::SecondZero => {
            let least = if piece == Piece::Second { 1 } else { 2 };
            let rest = digits(&mut reading.second, text, least, 2)?;
            // Go accepts a fraction after the seconds even when the layout has none.
            let has_fraction =
                rest.starts_with(['.', ',']) && rest[1..].starts_with(|c: char| c.is_ascii_digit());
            if has_fraction && !fraction_follows {
                nanos(reading, rest, None)
            } else {
                Some(rest)
            }
        }
        Piece::LongYear => digits(&mut reading.year, text, 4, 4),
        Piece::ShortYear => {
            let rest = digits(&mut reading.year, text, 2, 2)?;
            reading.year += if reading.year >= 69 { 1900 } else { 2000 };
            Some(rest)
        }
        Piece::UpperNoon | Piece::LowerNoon => {
            let upper = piece == Piece::UpperNoon;
            let (am, pm) = if upper { ("AM", "PM") } else { ("am", "pm") };
            if let Some(rest) = text.strip_prefix(pm) {
                reading.afternoon = Some(true);
                return Some(rest);
            }
            reading.afternoon = Some(false);
            text.strip_prefix(am)
        }
        Piece::ZoneName => zone(reading, text),
        Piece::Offset { z, colon, minutes } => offset(reading, text, z, colon, minutes),
        Piece::Fraction { digits, trim } => match text.strip_prefix(['.', ',']) {
            Some(after) if after.starts_with(|c: char| c.is_ascii_digit()) => {
                nanos(reading, text, (!trim).then_some(digits))
            }
            _ if trim => Some(text),
            _ => None,
        },
    }
}

fn digits<'t, N: TryFrom<i32>>(
    target: &mut N,
    text: &'t str,
    least: usize,
    most: usize,
) -> Option<&'t str> {
    let count = text
        .bytes()
        .take(most)
        .take_while(u8::is_ascii_digit)
        .count();
    if count < least {
        return None;
    }
    *target = N::try_from(text[..count].parse::<i32>().ok()?).ok()?;
    Some(&text[count..])
}

fn name<'t>(target: &mut i8, text: &'t str, names: &[&str], length: usize) -> Option<&'t str> {
    for (position, name) in names.iter().enumerate() {
        let name = &name[..name.len().min(length)];
        if text
            .get(..name.len())
            .is_some_and(|head| head.eq_ignore_ascii_case(name))
        {
            *target = i8::try_from(position + 1).ok()?;
            return Some(&text[name.len()..]);
        }
    }
    None
}

fn nanos<'t>(reading: &mut Reading, text: &'t str, exactly: Option<usize>) -> Option<&'t str> {
    let after = &text[1..];
    let count = after.bytes().take_while(u8::is_ascii_digit).count();
    if exactly.is_some_and(|wanted| wanted != count) {
        return None;
    }
    let kept = &after[..count.min(9)];
    reading.nanos = format!("{kept:0<9}").parse().ok()?;
    Some(&after[count..])
}

fn zone<'t>(reading: &mut Reading, text: &'t str) -> Option<&'t str> {
    let length = text.bytes().take_while(u8::is_ascii_uppercase).count();
    if !(3..=5).contains(&length) {
        return None;
    }
    // As in Go, an abbreviation that is not known counts as UTC.
    reading.zone = Some(TimeZone::UTC);
    Some(&text[length..])
}

fn offset<'t>(
    reading: &mut Reading,
    text: &'t str,
    z: bool,
    colon: bool,
    minutes: bool,
) -> Option<&'t str> {
    if z && let Some(rest) = text.strip_prefix('Z') {
        reading.zone = Some(TimeZone::UTC);
        return Some(rest);
    }
    let sign = match text.as_bytes().first()? {
        b'+' => 1,
        b'-' => -1,
        _ => return None,
    };
    let (mut hour, mut minute) = (0_i32, 0_i32);
    let mut rest = digits(&mut hour, &text[1..], 2, 2)?;
    if minutes {
        if colon {
            rest = rest.strip_prefix(':')?;
        }
        rest = digits(&mut minute, rest, 2, 2)?;
    }
    let seconds = sign * (hour * 3600 + minute * 60);
    reading.zone = Some(if seconds == 0 {
        TimeZone::UTC
    } else {
        Offset::from_seconds(seconds).ok()?.to_time_zone()
    });
    Some(rest)
}
