//! Go's time layouts: formatting and parsing by the example date `Mon Jan 2 15:04:05 MST 2006`.

mod parse;

use jiff::civil::Weekday;
use jiff::tz::{Offset, TimeZone};
use jiff::{Timestamp, Zoned};

pub use parse::parse;

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
