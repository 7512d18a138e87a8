//! Go's time layouts: formatting and parsing by the example date `Mon Jan 2 15:04:05 MST 2006`.

use jiff::civil::{Date, Time, Weekday};
use jiff::tz::{Offset, TimeZone};
use jiff::{Timestamp, Zoned};

/// `time.RFC3339`.
pub const RFC3339: &str = "2006-01-02T15:04:05Z07:00";
/// `time.RFC3339Nano`.
pub const RFC3339_NANO: &str = "2006-01-02T15:04:05.999999999Z07:00";
/// What `Time.String()` uses.
pub const GO_STRING: &str = "2006-01-02 15:04:05.999999999 -0700 MST";

/// The layouts that expr's `date()` tries in turn.
pub const COMMON: [&str; 7] = [
    "2006-01-02",
    "15:04:05",
    "2006-01-02 15:04:05",
    RFC3339,
    "02 Jan 06 15:04 MST",
    "Monday, 02-Jan-06 15:04:05 MST",
    "Mon, 02 Jan 2006 15:04:05 MST",
];

const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];
const DAYS: [&str; 7] = [
    "Sunday",
    "Monday",
    "Tuesday",
    "Wednesday",
    "Thursday",
    "Friday",
    "Saturday",
];

/// One piece of a layout.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Piece<'a> {
    Text(&'a str),
    LongMonth,
    ShortMonth,
    Month,
    MonthZero,
    LongDay,
    ShortDay,
    Day,
    DayPadded,
    DayZero,
    YearDay,
    Hour24,
    Hour12,
    Hour12Zero,
    Minute,
    MinuteZero,
    Second,
    SecondZero,
    LongYear,
    ShortYear,
    UpperNoon,
    LowerNoon,
    ZoneName,
    /// Numeric offset; `z` prints `Z` for UTC, `colon` puts one between hours and minutes.
    Offset {
        z: bool,
        colon: bool,
        minutes: bool,
    },
    /// Fraction of a second, with as many digits; `trim` drops trailing zeros.
    Fraction {
        digits: usize,
        trim: bool,
    },
}

/// Known pieces, the longer spelling before the shorter one it starts with.
const PIECES: &[(&str, Piece<'static>)] = &[
    ("January", Piece::LongMonth),
    ("Jan", Piece::ShortMonth),
    ("Monday", Piece::LongDay),
    ("Mon", Piece::ShortDay),
    ("MST", Piece::ZoneName),
    ("2006", Piece::LongYear),
    ("002", Piece::YearDay),
    ("01", Piece::MonthZero),
    ("02", Piece::DayZero),
    ("03", Piece::Hour12Zero),
    ("04", Piece::MinuteZero),
    ("05", Piece::SecondZero),
    ("06", Piece::ShortYear),
    ("15", Piece::Hour24),
    ("1", Piece::Month),
    ("_2", Piece::DayPadded),
    ("2", Piece::Day),
    ("3", Piece::Hour12),
    ("4", Piece::Minute),
    ("5", Piece::Second),
    ("PM", Piece::UpperNoon),
    ("pm", Piece::LowerNoon),
    (
        "-07:00",
        Piece::Offset {
            z: false,
            colon: true,
            minutes: true,
        },
    ),
    (
        "-0700",
        Piece::Offset {
            z: false,
            colon: false,
            minutes: true,
        },
    ),
    (
        "-07",
        Piece::Offset {
            z: false,
            colon: false,
            minutes: false,
        },
    ),
    (
        "Z07:00",
        Piece::Offset {
            z: true,
            colon: true,
            minutes: true,
        },
    ),
    (
        "Z0700",
        Piece::Offset {
            z: true,
            colon: false,
            minutes: true,
        },
    ),
    (
        "Z07",
        Piece::Offset {
            z: true,
            colon: false,
            minutes: false,
        },
    ),
];

fn split(layout: &str) -> Vec<Piece<'_>> {
    let mut pieces = Vec::new();
    let (mut text_start, mut at) = (0, 0);
    while at < layout.len() {
        let rest = &layout[at..];
        let found = PIECES
            .iter()
            .find(|(spelling, _)| is_piece(rest, spelling))
            .map(|(spelling, piece)| (*piece, spelling.len()))
            .or_else(|| fraction(rest));
        let Some((piece, length)) = found else {
            at += rest.chars().next().map_or(1, char::len_utf8);
            continue;
        };
        if at > text_start {
            pieces.push(Piece::Text(&layout[text_start..at]));
        }
        pieces.push(piece);
        at += length;
        text_start = at;
    }
    if text_start < layout.len() {
        pieces.push(Piece::Text(&layout[text_start..]));
    }
    pieces
}

/// `Jan` and `Mon` are pieces only when no lower-case letter follows (`Month` is text).
fn is_piece(rest: &str, spelling: &str) -> bool {
    rest.starts_with(spelling)
        && !(matches!(spelling, "Jan" | "Mon")
            && rest[spelling.len()..].starts_with(|c: char| c.is_ascii_lowercase()))
        && !(spelling == "_2" && rest.starts_with("_2006"))
}

fn fraction(rest: &str) -> Option<(Piece<'static>, usize)> {
    let digits = rest.strip_prefix(['.', ','])?;
    let kind = digits.chars().next().filter(|c| matches!(c, '0' | '9'))?;
    let count = digits.chars().take_while(|c| *c == kind).count();
    let after = digits[count..].chars().next();
    if after.is_some_and(|c| c.is_ascii_digit()) {
        return None;
    }
    Some((
        Piece::Fraction {
            digits: count,
            trim: kind == '9',
        },
        count + 1,
    ))
}

/// `Time.Format(layout)`.
pub fn format(time: &Zoned, layout: &str) -> String {
    let mut out = String::new();
    for piece in split(layout) {
        push(&mut out, time, piece);
    }
    out
}

fn push(out: &mut String, time: &Zoned, piece: Piece<'_>) {
    let month = MONTHS[usize::from(time.month().unsigned_abs() - 1)];
    let day = DAYS[usize::from(time.weekday().to_sunday_zero_offset().unsigned_abs())];
    let hour12 = match time.hour() % 12 {
        0 => 12,
        hour => hour,
    };
    let text = match piece {
        Piece::Text(text) => text.to_owned(),
        Piece::LongMonth => month.to_owned(),
        Piece::ShortMonth => month[..3].to_owned(),
        Piece::Month => time.month().to_string(),
        Piece::MonthZero => format!("{:02}", time.month()),
        Piece::LongDay => day.to_owned(),
        Piece::ShortDay => day[..3].to_owned(),
        Piece::Day => time.day().to_string(),
        Piece::DayPadded => format!("{:2}", time.day()),
        Piece::DayZero => format!("{:02}", time.day()),
        Piece::YearDay => format!("{:03}", time.day_of_year()),
        Piece::Hour24 => format!("{:02}", time.hour()),
        Piece::Hour12 => hour12.to_string(),
        Piece::Hour12Zero => format!("{hour12:02}"),
        Piece::Minute => time.minute().to_string(),
        Piece::MinuteZero => format!("{:02}", time.minute()),
        Piece::Second => time.second().to_string(),
        Piece::SecondZero => format!("{:02}", time.second()),
        Piece::LongYear => format!("{:04}", time.year()),
        Piece::ShortYear => format!("{:02}", time.year().rem_euclid(100)),
        Piece::UpperNoon => if time.hour() >= 12 { "PM" } else { "AM" }.to_owned(),
        Piece::LowerNoon => if time.hour() >= 12 { "pm" } else { "am" }.to_owned(),
        Piece::ZoneName => zone_name(time),
        Piece::Offset { z, colon, minutes } => offset_text(time.offset(), z, colon, minutes),
        Piece::Fraction { digits, trim } => {
            let all = format!("{:09}", time.subsec_nanosecond());
            let kept = &all[..digits.min(9)];
            let kept = if trim {
                kept.trim_end_matches('0')
            } else {
                kept
            };
            if kept.is_empty() {
                String::new()
            } else {
                format!(".{kept}")
            }
        }
    };
    out.push_str(&text);
}

fn zone_name(time: &Zoned) -> String {
    let info = time.time_zone().to_offset_info(time.timestamp());
    let name = info.abbreviation();
    if time.offset() == Offset::UTC && name.is_empty() {
        "UTC".to_owned()
    } else {
        name.to_owned()
    }
}

fn offset_text(offset: Offset, z: bool, colon: bool, minutes: bool) -> String {
    let seconds = offset.seconds();
    if z && seconds == 0 {
        return "Z".to_owned();
    }
    let sign = if seconds < 0 { '-' } else { '+' };
    let total = seconds.unsigned_abs() / 60;
    match (minutes, colon) {
        (false, _) => format!("{sign}{:02}", total / 60),
        (true, true) => format!("{sign}{:02}:{:02}", total / 60, total % 60),
        (true, false) => format!("{sign}{:02}{:02}", total / 60, total % 60),
    }
}

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

/// The zone of an IANA name as Go's `time.LoadLocation` reads it (`""` is UTC).
pub fn load_zone(name: &str) -> Result<TimeZone, String> {
    match name {
        "" | "UTC" => Ok(TimeZone::UTC),
        _ => TimeZone::get(name).map_err(|_| format!("unknown time zone {name}")),
    }
}

/// The moment in UTC.
pub fn utc(timestamp: Timestamp) -> Zoned {
    timestamp.to_zoned(TimeZone::UTC)
}

/// Full English name of a weekday.
pub fn day_name(day: Weekday) -> &'static str {
    DAYS[usize::from(day.to_sunday_zero_offset().unsigned_abs())]
}

/// Full English name of a month, 1 to 12.
pub fn month_name(month: i8) -> &'static str {
    MONTHS[usize::from(month.unsigned_abs().clamp(1, 12) - 1)]
}
