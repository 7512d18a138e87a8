//! `resource.Quantity`: exact decimal amounts with a suffix (`500m`, `1.5Gi`, `2e3`).
//!
//! Amounts are whole multiples of 10^-9 held in 128 bits, which covers everything the API server
//! keeps exactly; a finer amount is rounded up, away from zero, as upstream does.

use std::{cmp::Ordering, fmt, str::FromStr};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// The finest step that Kubernetes keeps.
const NANO_EXPONENT: i32 = -9;
const NANOS_PER_UNIT: i128 = 1_000_000_000;
const BINARY_STEP: i128 = 1024;

const BINARY_SUFFIXES: [&str; 7] = ["", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei"];
/// Decimal suffixes with the power of ten they stand for.
const DECIMAL_SUFFIXES: [(&str, i32); 10] = [
    ("n", -9),
    ("u", -6),
    ("m", -3),
    ("", 0),
    ("k", 3),
    ("M", 6),
    ("G", 9),
    ("T", 12),
    ("P", 15),
    ("E", 18),
];

/// How an amount is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Format {
    Decimal,
    Binary,
    Exponent,
}

/// An exact amount, with the family of suffixes it was written in.
///
/// Comparison is by amount: `1000m` equals `1`.
#[derive(Clone, Copy, Debug)]
pub struct Quantity {
    nanos: i128,
    format: Format,
}

/// Why a text is not a quantity.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum QuantityError {
    /// An empty text, or a JSON value that is neither text nor number.
    #[error(
        "quantities must match the regular expression \
         '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'"
    )]
    Format,
    /// The suffix is not one of Kubernetes'.
    #[error("unable to parse quantity's suffix {0:?}")]
    Suffix(String),
    /// More than 29 digits before the point.
    #[error("quantity {0:?} is out of range")]
    Range(String),
}

impl Quantity {
    /// A whole number, written in decimal.
    pub const fn from_int(value: i64) -> Self {
        Self {
            nanos: value as i128 * NANOS_PER_UNIT,
            format: Format::Decimal,
        }
    }

    /// The amount in units, rounded up (`Quantity.Value()`); saturates at 64 bits.
    pub fn value(&self) -> i64 {
        clamp(round_up(self.nanos, NANOS_PER_UNIT))
    }

    /// The amount in thousandths, rounded up (`Quantity.MilliValue()`); saturates at 64 bits.
    pub fn milli_value(&self) -> i64 {
        clamp(round_up(self.nanos, NANOS_PER_UNIT / 1000))
    }

    /// The amount as a float, for metrics and health arithmetic.
    #[expect(clippy::cast_precision_loss, reason = "a float is what was asked for")]
    pub fn as_f64(&self) -> f64 {
        self.nanos as f64 / NANOS_PER_UNIT as f64
    }

    /// True for zero.
    pub const fn is_zero(&self) -> bool {
        self.nanos == 0
    }

    /// `text` in canonical form, or `None` when it is not a quantity. The API server answers with
    /// this form for typed fields, so a difference in spelling only is no difference.
    pub fn canonical(text: &str) -> Option<String> {
        text.parse::<Self>()
            .ok()
            .map(|quantity| quantity.to_string())
    }
}

/// Division that rounds away from zero, as `Quantity` does whenever it loses precision.
fn round_up(value: i128, unit: i128) -> i128 {
    let whole = value / unit;
    if value % unit == 0 {
        whole
    } else {
        whole + value.signum()
    }
}

fn clamp(value: i128) -> i64 {
    i64::try_from(value).unwrap_or(if value < 0 { i64::MIN } else { i64::MAX })
}

impl FromStr for Quantity {
    type Err = QuantityError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        // Missing digits count as zero (`Gi` is 0), as upstream has it; only the empty text fails.
        if text.is_empty() {
            return Err(QuantityError::Format);
        }
        let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
        let negative = text.starts_with('-');
        let digits_end = |from: &str| from.bytes().take_while(u8::is_ascii_digit).count();
        let (whole, rest) = unsigned.split_at(digits_end(unsigned));
        let (fraction, suffix) = match rest.strip_prefix('.') {
            Some(after) => after.split_at(digits_end(after)),
            None => ("", rest),
        };
        let (format, factor, exponent) = interpret(suffix)?;
        let range = || QuantityError::Range(text.to_owned());
        let mantissa = digits_value(whole, fraction).ok_or_else(range)?;
        let fraction_length = i32::try_from(fraction.len()).map_err(|_| range())?;
        let scaled = mantissa.checked_mul(factor).ok_or_else(range)?;
        let power = exponent - fraction_length - NANO_EXPONENT;
        let mut nanos = shift(scaled, power).ok_or_else(range)?;
        let mut format = format;
        if format == Format::Binary {
            nanos = nanos.min(i128::from(i64::MAX) * NANOS_PER_UNIT);
            if nanos > 0 && nanos < NANOS_PER_UNIT {
                format = Format::Decimal;
            }
        }
        Ok(Self {
            nanos: if negative { -nanos } else { nanos },
            format,
        })
    }
}

/// The suffix as (family, factor, power of ten).
fn interpret(suffix: &str) -> Result<(Format, i128, i32), QuantityError> {
    if let Some((_, exponent)) = DECIMAL_SUFFIXES.iter().find(|(name, _)| *name == suffix) {
        return Ok((Format::Decimal, 1, *exponent));
    }
    if let Some(step) = BINARY_SUFFIXES.iter().position(|name| *name == suffix) {
        let factor = (0..step).fold(1_i128, |product, _| product * BINARY_STEP);
        return Ok((Format::Binary, factor, 0));
    }
    let unknown = || QuantityError::Suffix(suffix.to_owned());
    let exponent = suffix.strip_prefix(['e', 'E']).ok_or_else(unknown)?;
    let exponent: i32 = exponent.parse().map_err(|_| unknown())?;
    Ok((Format::Exponent, 1, exponent))
}

fn digits_value(whole: &str, fraction: &str) -> Option<i128> {
    whole
        .bytes()
        .chain(fraction.bytes())
        .try_fold(0_i128, |value, digit| {
            value.checked_mul(10)?.checked_add(i128::from(digit - b'0'))
        })
}

/// `value * 10^power`, rounded up where digits are lost.
fn shift(value: i128, power: i32) -> Option<i128> {
    if value == 0 {
        return Some(0);
    }
    let exponent = power.unsigned_abs();
    if power >= 0 {
        return value.checked_mul(10_i128.checked_pow(exponent)?);
    }
    match 10_i128.checked_pow(exponent) {
        Some(divisor) => Some(round_up(value, divisor)),
        None => Some(1),
    }
}

impl fmt::Display for Quantity {
    /// The canonical form: no precision lost, no fraction, the largest suffix that allows it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.nanos == 0 {
            return f.write_str("0");
        }
        let small = self.nanos.abs() < BINARY_STEP * NANOS_PER_UNIT;
        let whole = self.nanos % NANOS_PER_UNIT == 0;
        if self.format == Format::Binary && !small && whole {
            return write_binary(f, self.nanos / NANOS_PER_UNIT);
        }
        write_decimal(f, self.nanos, self.format == Format::Exponent)
    }
}

fn write_binary(f: &mut fmt::Formatter<'_>, mut value: i128) -> fmt::Result {
    let mut step = 0;
    while value % BINARY_STEP == 0 && step + 1 < BINARY_SUFFIXES.len() {
        value /= BINARY_STEP;
        step += 1;
    }
    write!(f, "{value}{}", BINARY_SUFFIXES[step])
}

fn write_decimal(f: &mut fmt::Formatter<'_>, mut value: i128, as_exponent: bool) -> fmt::Result {
    let mut exponent = NANO_EXPONENT;
    let top = DECIMAL_SUFFIXES[DECIMAL_SUFFIXES.len() - 1].1;
    while value % 1000 == 0 && (as_exponent || exponent < top) {
        value /= 1000;
        exponent += 3;
    }
    if as_exponent {
        return if exponent == 0 {
            write!(f, "{value}")
        } else {
            write!(f, "{value}e{exponent}")
        };
    }
    let suffix = DECIMAL_SUFFIXES
        .iter()
        .find(|(_, e)| *e == exponent)
        .map_or("", |(name, _)| name);
    write!(f, "{value}{suffix}")
}

impl PartialEq for Quantity {
    fn eq(&self, other: &Self) -> bool {
        self.nanos == other.nanos
    }
}

impl Eq for Quantity {}

impl PartialOrd for Quantity {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Quantity {
    fn cmp(&self, other: &Self) -> Ordering {
        self.nanos.cmp(&other.nanos)
    }
}

impl Serialize for Quantity {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Quantity {
    /// Accepts numbers (`cpu: 1`) as well as text, like the API server.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = serde_json::Value::deserialize(deserializer)?;
        let text = match &value {
            serde_json::Value::String(text) => text.clone(),
            serde_json::Value::Number(number) => number.to_string(),
            _ => return Err(de::Error::custom(QuantityError::Format)),
        };
        text.parse().map_err(de::Error::custom)
    }
}
