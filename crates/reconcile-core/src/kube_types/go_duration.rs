//! Go's `time.Duration`: signed nanoseconds with the grammar of `time.ParseDuration`.

use std::{
    fmt::{self, Write as _},
    str::FromStr,
    time::Duration,
};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

const NANOS_PER_MICRO: u64 = 1_000;
const NANOS_PER_MILLI: u64 = 1_000_000;
const NANOS_PER_SECOND: u64 = 1_000_000_000;
const NANOS_PER_MINUTE: u64 = 60 * NANOS_PER_SECOND;
const NANOS_PER_HOUR: u64 = 60 * NANOS_PER_MINUTE;

/// Go reads the magnitude as an unsigned number, so that the smallest duration can be written.
const MAGNITUDE_LIMIT: u64 = 1 << 63;

/// A span of time in nanoseconds, as Go's `time.Duration`.
///
/// Serialised as text (`metav1.Duration`): `90s` reads, `1m30s` is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct GoDuration(i64);

/// Why a text is not a Go duration. The sentences are those a Go program would log.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum GoDurationError {
    /// Not of the form `[-+](number unit)+`, or out of range.
    #[error("time: invalid duration {}", quote(.0))]
    Invalid(String),
    /// A number without a unit, for example `10`.
    #[error("time: missing unit in duration {}", quote(.0))]
    MissingUnit(String),
    /// A unit that Go does not know, for example `1d`.
    #[error("time: unknown unit {} in duration {}", quote(unit), quote(text))]
    UnknownUnit {
        /// The unit.
        unit: String,
        /// The whole text.
        text: String,
    },
}

impl GoDuration {
    /// Zero.
    pub const ZERO: Self = Self(0);

    /// From nanoseconds.
    pub const fn from_nanos(nanos: i64) -> Self {
        Self(nanos)
    }

    /// From whole seconds; saturates at about 292 years.
    pub const fn from_secs(seconds: i64) -> Self {
        Self(seconds.saturating_mul(NANOS_PER_SECOND.cast_signed()))
    }

    /// Nanoseconds.
    pub const fn as_nanos(self) -> i64 {
        self.0
    }

    /// Whole seconds, cut towards zero.
    pub const fn as_secs(self) -> i64 {
        self.0 / NANOS_PER_SECOND.cast_signed()
    }

    /// Seconds as Go's `Duration.Seconds()`.
    #[expect(
        clippy::cast_precision_loss,
        reason = "the parts are below 2^53, as in Go"
    )]
    pub fn as_secs_f64(self) -> f64 {
        let seconds = self.0 / NANOS_PER_SECOND.cast_signed();
        let rest = self.0 % NANOS_PER_SECOND.cast_signed();
        seconds as f64 + rest as f64 / 1e9
    }

    /// The same span for `std` and tokio; a negative one becomes zero.
    pub fn to_std(self) -> Duration {
        Duration::from_nanos(u64::try_from(self.0).unwrap_or(0))
    }

    /// The same span for jiff.
    pub const fn to_signed(self) -> jiff::SignedDuration {
        jiff::SignedDuration::from_nanos(self.0)
    }

    /// Reads a field in which a number without a unit means seconds (`10`, `"10"`, `"1m"`).
    ///
    /// The rule of pauses in Rollouts: an integer is tried first, then the duration grammar.
    pub fn parse_or_seconds(text: &str) -> Result<Self, GoDurationError> {
        match text.parse::<i64>() {
            Ok(seconds) => Ok(Self::from_secs(seconds)),
            Err(_) => text.parse(),
        }
    }
}

impl From<Duration> for GoDuration {
    fn from(span: Duration) -> Self {
        Self(i64::try_from(span.as_nanos()).unwrap_or(i64::MAX))
    }
}

impl FromStr for GoDuration {
    type Err = GoDurationError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let invalid = || GoDurationError::Invalid(text.to_owned());
        let (negative, mut rest) = match text.as_bytes().first() {
            Some(b'-') => (true, &text[1..]),
            Some(b'+') => (false, &text[1..]),
            _ => (false, text),
        };
        if rest == "0" {
            return Ok(Self(0));
        }
        if rest.is_empty() {
            return Err(invalid());
        }
        let mut total: u64 = 0;
        while !rest.is_empty() {
            let (nanos, after) = one_term(rest, text)?;
            total = total
                .checked_add(nanos)
                .filter(|sum| *sum <= MAGNITUDE_LIMIT)
                .ok_or_else(invalid)?;
            rest = after;
        }
        match (negative, i64::try_from(total)) {
            (false, Ok(nanos)) => Ok(Self(nanos)),
            (true, Ok(nanos)) => Ok(Self(-nanos)),
            (true, Err(_)) => Ok(Self(i64::MIN)),
            (false, Err(_)) => Err(invalid()),
        }
    }
}

/// The quoting of Go's time package: bytes outside printable ASCII as `\xNN`.
fn quote(text: &str) -> String {
    let mut quoted = String::from("\"");
    for byte in text.bytes() {
        match byte {
            b'"' | b'\\' => quoted.extend(['\\', char::from(byte)]),
            b' '..=b'~' => quoted.push(char::from(byte)),
            // Writing to a text cannot fail.
            _ => drop(write!(quoted, "\\x{byte:02x}")),
        }
    }
    quoted.push('"');
    quoted
}

/// Reads one `number unit` and returns its nanoseconds and what follows.
fn one_term<'t>(rest: &'t str, text: &str) -> Result<(u64, &'t str), GoDurationError> {
    let invalid = || GoDurationError::Invalid(text.to_owned());
    let digits = |from: &str| from.bytes().take_while(u8::is_ascii_digit).count();

    let whole_length = digits(rest);
    let (whole_text, mut rest) = rest.split_at(whole_length);
    let mut whole: u64 = 0;
    for digit in whole_text.bytes() {
        whole = whole
            .checked_mul(10)
            .and_then(|value| value.checked_add(u64::from(digit - b'0')))
            .filter(|value| *value <= MAGNITUDE_LIMIT)
            .ok_or_else(invalid)?;
    }
    let mut fraction = "";
    if let Some(after) = rest.strip_prefix('.') {
        let length = digits(after);
        (fraction, rest) = after.split_at(length);
        if whole_text.is_empty() && fraction.is_empty() {
            return Err(invalid());
        }
    } else if whole_text.is_empty() {
        return Err(invalid());
    }

    let unit_length = rest
        .find(|c: char| c == '.' || c.is_ascii_digit())
        .unwrap_or(rest.len());
    let (unit, after) = rest.split_at(unit_length);
    if unit.is_empty() {
        return Err(GoDurationError::MissingUnit(text.to_owned()));
    }
    let scale = scale_of(unit).ok_or_else(|| GoDurationError::UnknownUnit {
        unit: unit.to_owned(),
        text: text.to_owned(),
    })?;
    let nanos = whole
        .checked_mul(scale)
        .and_then(|nanos| nanos.checked_add(fraction_of(fraction, scale)))
        .filter(|nanos| *nanos <= MAGNITUDE_LIMIT)
        .ok_or_else(invalid)?;
    Ok((nanos, after))
}

fn scale_of(unit: &str) -> Option<u64> {
    Some(match unit {
        "ns" => 1,
        // Both the micro sign and the Greek letter.
        "us" | "\u{b5}s" | "\u{3bc}s" => NANOS_PER_MICRO,
        "ms" => NANOS_PER_MILLI,
        "s" => NANOS_PER_SECOND,
        "m" => NANOS_PER_MINUTE,
        "h" => NANOS_PER_HOUR,
        _ => return None,
    })
}

/// `0.digits * scale`, computed in floating point because Go does and the last nanosecond shows it.
#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "the same conversions as Go, so that the result is the same"
)]
fn fraction_of(digits: &str, scale: u64) -> u64 {
    let mut value: u64 = 0;
    let mut divisor: f64 = 1.0;
    for digit in digits.bytes() {
        // Digits that no longer fit are dropped, as in Go.
        let next = value
            .checked_mul(10)
            .and_then(|v| v.checked_add(u64::from(digit - b'0')));
        match next.filter(|v| *v < MAGNITUDE_LIMIT) {
            Some(next) => value = next,
            None => break,
        }
        divisor *= 10.0;
    }
    if value == 0 {
        0
    } else {
        (value as f64 * (scale as f64 / divisor)) as u64
    }
}

impl fmt::Display for GoDuration {
    /// `Duration.String()`: `0s`, `1.5s`, `2ms`, `1h0m0s`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let magnitude = self.0.unsigned_abs();
        if magnitude == 0 {
            return f.write_str("0s");
        }
        if self.0 < 0 {
            f.write_str("-")?;
        }
        if magnitude < NANOS_PER_SECOND {
            return match magnitude {
                nanos if nanos < NANOS_PER_MICRO => write!(f, "{nanos}ns"),
                nanos if nanos < NANOS_PER_MILLI => {
                    write_decimal(f, nanos, NANOS_PER_MICRO, 3)?;
                    f.write_str("\u{b5}s")
                }
                nanos => {
                    write_decimal(f, nanos, NANOS_PER_MILLI, 6)?;
                    f.write_str("ms")
                }
            };
        }
        let (hours, rest) = (magnitude / NANOS_PER_HOUR, magnitude % NANOS_PER_HOUR);
        let (minutes, rest) = (rest / NANOS_PER_MINUTE, rest % NANOS_PER_MINUTE);
        if hours > 0 {
            write!(f, "{hours}h{minutes}m")?;
        } else if minutes > 0 {
            write!(f, "{minutes}m")?;
        }
        write_decimal(f, rest, NANOS_PER_SECOND, 9)?;
        f.write_str("s")
    }
}

/// `value / unit` with at most `places` decimals and no trailing zeros.
fn write_decimal(f: &mut fmt::Formatter<'_>, value: u64, unit: u64, places: usize) -> fmt::Result {
    write!(f, "{}", value / unit)?;
    let fraction = value % unit;
    if fraction == 0 {
        return Ok(());
    }
    let digits = format!("{fraction:0places$}");
    write!(f, ".{}", digits.trim_end_matches('0'))
}

impl Serialize for GoDuration {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for GoDuration {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
        text.parse().map_err(de::Error::custom)
    }
}
