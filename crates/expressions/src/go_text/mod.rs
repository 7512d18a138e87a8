//! How Go writes values as text: floats, JSON, durations and times.
//!
//! Several of the languages in this crate print values, and manifests rely on the exact spelling
//! (`1e+06`, `1h0m0s`), so all of them share these functions.

pub mod duration;
pub mod json;
pub mod time;

use std::fmt::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// `%v` of a float: the shortest digits that read back the same, with an exponent below 1e-4 and
/// from 1e6 on.
pub fn float(value: f64) -> String {
    shortest(value, -4, 6)
}

/// The shortest digits of `value`; an exponent is used below `10^low` and from `10^high` on.
pub(crate) fn shortest(value: f64, low: i32, high: i32) -> String {
    if value.is_nan() {
        return "NaN".to_owned();
    }
    if value.is_infinite() {
        return if value > 0.0 { "+Inf" } else { "-Inf" }.to_owned();
    }
    // `{:e}` gives the shortest digits with an exponent, as in `1.5e-7`.
    let scientific = format!("{value:e}");
    let (mantissa, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    if value != 0.0 && (exponent < low || exponent >= high) {
        let sign = if exponent < 0 { '-' } else { '+' };
        return format!("{mantissa}e{sign}{:02}", exponent.unsigned_abs());
    }
    format!("{value}")
}

/// A float as JSON number; whole numbers become integers, as Go prints them without a point.
/// `None` for NaN and the infinities, which JSON does not have.
pub fn json_number(value: f64) -> Option<serde_json::Value> {
    /// Whole floats up to here are exact as integers.
    const EXACT: f64 = 9_007_199_254_740_992.0;
    if value.fract() == 0.0 && value.abs() <= EXACT {
        return Some(serde_json::Value::from(float_to_int(value)));
    }
    serde_json::Number::from_f64(value).map(serde_json::Value::Number)
}

/// Float to integer as Go converts on amd64: cut towards zero, and the smallest integer for
/// everything that does not fit.
#[expect(
    clippy::cast_possible_truncation,
    reason = "the range is checked before"
)]
pub fn float_to_int(value: f64) -> i64 {
    /// 2^63, the first float that does not fit.
    const LIMIT: f64 = 9_223_372_036_854_775_808.0;
    if value.is_nan() || !(-LIMIT..LIMIT).contains(&value) {
        i64::MIN
    } else {
        value as i64
    }
}

/// Standard base64 with padding.
pub fn base64_standard(bytes: &[u8]) -> String {
    STANDARD.encode(bytes)
}

/// Reads standard base64 with padding; the message is for the author of the manifest.
pub fn base64_decode(text: &str) -> Result<Vec<u8>, String> {
    // Go skips line breaks inside of base64.
    let text: String = text.chars().filter(|c| !matches!(c, '\r' | '\n')).collect();
    STANDARD
        .decode(text)
        .map_err(|error| format!("illegal base64 data: {error}"))
}

/// `%q`: a quoted string with Go's escapes.
pub fn quote(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\u{7}' => out.push_str("\\a"),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\u{b}' => out.push_str("\\v"),
            c if u32::from(c) < 0x20 || c == '\u{7f}' => {
                escape(&mut out, "\\x", 2, c);
            }
            c if c.is_control() || c == '\u{feff}' => {
                escape(&mut out, "\\u", 4, c);
            }
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

/// Appends `prefix` and the code of `c` in hexadecimal digits.
fn escape(out: &mut String, prefix: &str, width: usize, c: char) {
    out.push_str(prefix);
    // Writing to a string cannot fail.
    let _ = write!(out, "{:0width$x}", u32::from(c));
}

/// Go's `strconv.ParseInt(text, 10, 64)`: an optional sign and digits, nothing else.
pub fn parse_int(text: &str) -> Option<i64> {
    text.parse().ok()
}

/// Go's `strconv.ParseFloat` for the decimal notations.
pub fn parse_float(text: &str) -> Option<f64> {
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    match unsigned.to_ascii_lowercase().as_str() {
        "inf" | "infinity" | "nan" => text.parse().ok(),
        _ if unsigned.starts_with(|c: char| c.is_ascii_digit() || c == '.') => {
            text.parse().ok().filter(|value: &f64| value.is_finite())
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests;
