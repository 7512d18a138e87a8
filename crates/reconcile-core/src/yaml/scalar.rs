//! What a scalar means: the resolution table of Go's YAML 1.1 library, for JSON.

use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::{Number, Value};

/// The meaning of a scalar before it becomes a JSON value or a key.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Scalar {
    Null,
    Bool(bool),
    Int(i64),
    /// Beyond the signed range.
    Unsigned(u64),
    Float(f64),
    Text(String),
}

/// A tag that decides how a scalar is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tag<'t> {
    /// No tag on a plain scalar: the table decides.
    Plain,
    /// Quoted, block, `!!str`, `!` or a tag that the library does not know: text.
    Text,
    /// `!!int`, `!!float`, `!!bool`, `!!null`, `!!timestamp`, `!!binary` by their short name.
    Core(&'t str),
}

/// Resolves `text` under `tag`; the error is a sentence.
pub(super) fn resolve(text: &str, tag: Tag<'_>) -> Result<Scalar, String> {
    let wanted = match tag {
        Tag::Text => return Ok(Scalar::Text(text.to_owned())),
        Tag::Plain => return Ok(plain(text)),
        Tag::Core(name) => name,
    };
    let found = plain(text);
    let fits = match (wanted, found) {
        ("binary", _) => Some(Scalar::Text(binary(text)?)),
        ("timestamp", _) => Some(Scalar::Text(text.to_owned())),
        ("float", Scalar::Int(number)) => Some(float(&number.to_string())),
        ("float", Scalar::Unsigned(number)) => Some(float(&number.to_string())),
        ("float", found @ Scalar::Float(_))
        | ("int", found @ (Scalar::Int(_) | Scalar::Unsigned(_)))
        | ("bool", found @ Scalar::Bool(_))
        | ("null", found @ Scalar::Null) => Some(found),
        _ => None,
    };
    fits.ok_or_else(|| format!("cannot decode `{text}` as a !!{wanted}"))
}

fn binary(text: &str) -> Result<String, String> {
    // Go's decoder skips line breaks only.
    let compact: String = text.chars().filter(|c| !matches!(c, '\n' | '\r')).collect();
    let bytes = STANDARD
        .decode(compact)
        .map_err(|_| "!!binary value contains invalid base64 data")?;
    // JSON has no bytes; what is not UTF-8 becomes replacement characters, as Go's encoder does.
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// The table for plain scalars without a tag.
pub(super) fn plain(text: &str) -> Scalar {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return Scalar::Null,
        "y" | "Y" | "yes" | "Yes" | "YES" | "true" | "True" | "TRUE" | "on" | "On" | "ON" => {
            return Scalar::Bool(true);
        }
        "n" | "N" | "no" | "No" | "NO" | "false" | "False" | "FALSE" | "off" | "Off" | "OFF" => {
            return Scalar::Bool(false);
        }
        ".nan" | ".NaN" | ".NAN" => return Scalar::Float(f64::NAN),
        ".inf" | ".Inf" | ".INF" | "+.inf" | "+.Inf" | "+.INF" => {
            return Scalar::Float(f64::INFINITY);
        }
        "-.inf" | "-.Inf" | "-.INF" => return Scalar::Float(f64::NEG_INFINITY),
        _ => {}
    }
    match text.as_bytes()[0] {
        b'.' => go_float(text).map_or_else(|| Scalar::Text(text.to_owned()), Scalar::Float),
        b'0'..=b'9' | b'+' | b'-' => number(text),
        _ => Scalar::Text(text.to_owned()),
    }
}

/// Text that begins like a number. Dates stay text, as Go keeps them for untyped targets.
fn number(text: &str) -> Scalar {
    let as_text = || Scalar::Text(text.to_owned());
    if is_date(text) {
        return as_text();
    }
    let compact: String = text.chars().filter(|c| *c != '_').collect();
    if let Some(found) = integer(&compact) {
        return found;
    }
    if has_float_form(&compact) {
        if let Some(value) = go_float(&compact) {
            return Scalar::Float(value);
        }
        // Too large for a float: Go leaves the text alone.
        return as_text();
    }
    as_text()
}

/// Go's `ParseInt` and `ParseUint` with base 0: `0x`, `0o`, `0b`, and a leading zero for octal.
fn integer(text: &str) -> Option<Scalar> {
    let (sign, digits) = match text.as_bytes().first()? {
        b'-' => ("-", &text[1..]),
        b'+' => ("", &text[1..]),
        _ => ("", text),
    };
    let lower = digits.get(..2).map(str::to_ascii_lowercase);
    let (radix, digits) = match lower.as_deref() {
        Some("0x") => (16, &digits[2..]),
        Some("0o") => (8, &digits[2..]),
        Some("0b") => (2, &digits[2..]),
        _ if digits.len() > 1 && digits.starts_with('0') => (8, &digits[1..]),
        _ => (10, digits),
    };
    if digits.is_empty() || !digits.bytes().all(|c| c.is_ascii_alphanumeric()) {
        return None;
    }
    if let Ok(value) = i64::from_str_radix(&format!("{sign}{digits}"), radix) {
        return Some(Scalar::Int(value));
    }
    // ParseUint takes no sign, not even plus.
    if text.starts_with(['-', '+']) {
        return None;
    }
    u64::from_str_radix(digits, radix)
        .ok()
        .map(Scalar::Unsigned)
}

/// `[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?`
fn has_float_form(text: &str) -> bool {
    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
    let (mantissa, exponent) = match unsigned.find(['e', 'E']) {
        Some(at) => (&unsigned[..at], Some(&unsigned[at + 1..])),
        None => (unsigned, None),
    };
    let digits = |part: &str| part.bytes().all(|c| c.is_ascii_digit());
    let mantissa_fits = match mantissa.split_once('.') {
        Some(("", fraction)) => !fraction.is_empty() && digits(fraction),
        Some((whole, fraction)) => digits(whole) && digits(fraction),
        None => !mantissa.is_empty() && digits(mantissa),
    };
    let exponent_fits = exponent.is_none_or(|part| {
        let part = part.strip_prefix(['-', '+']).unwrap_or(part);
        !part.is_empty() && digits(part)
    });
    mantissa_fits && exponent_fits
}

/// A decimal float, `None` when it overflows as Go reports an error then.
fn go_float(text: &str) -> Option<f64> {
    if !has_float_form(text) {
        return None;
    }
    text.parse::<f64>().ok().filter(|value| value.is_finite())
}

fn float(text: &str) -> Scalar {
    go_float(text).map_or_else(|| Scalar::Text(text.to_owned()), Scalar::Float)
}

/// The forms that Go's YAML library takes for a timestamp, which are kept as text.
fn is_date(text: &str) -> bool {
    let year = text.bytes().take_while(u8::is_ascii_digit).count();
    if year != 4 || text.as_bytes().get(4) != Some(&b'-') {
        return false;
    }
    let mut parts = text[5..].splitn(2, '-');
    let month = parts.next().unwrap_or_default();
    let rest = parts.next().unwrap_or_default();
    let day = rest.bytes().take_while(u8::is_ascii_digit).count();
    let short = |length: usize| (1..=2).contains(&length);
    short(month.len()) && month.bytes().all(|c| c.is_ascii_digit()) && short(day)
}

impl Scalar {
    /// As a JSON value. Floats without a fraction become integers because Go prints them so.
    pub(super) fn into_value(self) -> Result<Value, String> {
        Ok(match self {
            Self::Null => Value::Null,
            Self::Bool(value) => value.into(),
            Self::Int(value) => value.into(),
            Self::Unsigned(value) => value.into(),
            Self::Text(text) => text.into(),
            Self::Float(value) => {
                let whole = whole_number(value);
                match whole {
                    Some(whole) => whole.into(),
                    None => Number::from_f64(value)
                        .map(Value::Number)
                        .ok_or_else(|| format!("JSON has no number {value}"))?,
                }
            }
        })
    }

    /// As the key of a JSON object.
    pub(super) fn into_key(self) -> Result<String, String> {
        Ok(match self {
            Self::Null => return Err("a key must not be null".to_owned()),
            Self::Bool(value) => value.to_string(),
            Self::Int(value) => value.to_string(),
            Self::Unsigned(value) => return Err(format!("{value} is too large for a key")),
            Self::Text(text) => text,
            Self::Float(value) if value.is_nan() => ".nan".to_owned(),
            Self::Float(value) if value.is_infinite() => {
                if value > 0.0 { ".inf" } else { "-.inf" }.to_owned()
            }
            Self::Float(value) => short_float(value),
        })
    }
}

/// The integer that Go's JSON encoder prints for a float: up to 10^21 it writes no exponent.
#[expect(
    clippy::cast_possible_truncation,
    clippy::float_cmp,
    reason = "exactly whole and in range"
)]
fn whole_number(value: f64) -> Option<i64> {
    /// 2^63: the first float that does not fit.
    const LIMIT: f64 = 9_223_372_036_854_775_808.0;
    (value == value.trunc() && value.abs() < LIMIT).then_some(value as i64)
}

/// `strconv.FormatFloat(value, 'g', -1, 32)`, which is how a float key is spelled.
#[expect(
    clippy::cast_possible_truncation,
    reason = "Go formats keys with single precision"
)]
fn short_float(value: f64) -> String {
    /// `%g` with shortest digits switches to an exponent from here on.
    const EXPONENT_FROM: i32 = 6;
    let single = value as f32;
    let scientific = format!("{single:e}");
    let (mantissa, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    if (-4..EXPONENT_FROM).contains(&exponent) {
        return format!("{single}");
    }
    let sign = if exponent < 0 { '-' } else { '+' };
    format!("{mantissa}e{sign}{:02}", exponent.abs())
}
