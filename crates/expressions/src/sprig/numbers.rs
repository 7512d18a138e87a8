//! Numbers.

use gotmpl::Value;

use super::args::{Args, Outcome, go_string, list, text};
use super::{ANY, ELEMENT_SIZE, Function, charge, function};
use crate::go_text::{float_to_int, parse_float};

pub(super) const FUNCTIONS: &[Function] = &[
    function("atoi", 1, 1, |a| {
        Ok(Value::Int(a.str(0)?.parse().unwrap_or(0)))
    }),
    function("int", 1, 1, |a| Ok(Value::Int(to_int(a.any(0))))),
    function("int64", 1, 1, |a| Ok(Value::Int(to_int(a.any(0))))),
    function("float64", 1, 1, |a| Ok(Value::Float(to_float(a.any(0))))),
    function("toDecimal", 1, 1, |a| {
        Ok(Value::Int(
            i64::from_str_radix(&go_string(a.any(0)), 8).unwrap_or(0),
        ))
    }),
    function("add", 0, ANY, |a| {
        Ok(Value::Int(
            a.values
                .iter()
                .fold(0_i64, |sum, v| sum.wrapping_add(to_int(v))),
        ))
    }),
    function("add1", 1, 1, |a| {
        Ok(Value::Int(to_int(a.any(0)).wrapping_add(1)))
    }),
    function("sub", 2, 2, |a| {
        Ok(Value::Int(to_int(a.any(0)).wrapping_sub(to_int(a.any(1)))))
    }),
    function("mul", 1, ANY, |a| {
        Ok(Value::Int(
            a.values
                .iter()
                .fold(1_i64, |product, v| product.wrapping_mul(to_int(v))),
        ))
    }),
    function("div", 2, 2, |a| divided(a, i64::wrapping_div)),
    function("mod", 2, 2, |a| divided(a, i64::wrapping_rem)),
    function("addf", 0, ANY, |a| {
        decimals(Decimal::ZERO, a.values, Decimal::add)
    }),
    function("add1f", 1, 1, |a| {
        let one = Decimal {
            digits: 1,
            exponent: 0,
        };
        decimals(one, a.values, Decimal::add)
    }),
    function("subf", 1, ANY, |a| folded(a, Decimal::sub)),
    function("mulf", 1, ANY, |a| folded(a, Decimal::mul)),
    function("divf", 1, ANY, |a| folded(a, Decimal::div)),
    function("max", 1, ANY, |a| {
        Ok(Value::Int(ints(a).max().unwrap_or(0)))
    }),
    function("biggest", 1, ANY, |a| {
        Ok(Value::Int(ints(a).max().unwrap_or(0)))
    }),
    function("min", 1, ANY, |a| {
        Ok(Value::Int(ints(a).min().unwrap_or(0)))
    }),
    function("maxf", 1, ANY, |a| {
        Ok(Value::Float(floats(a).fold(f64::NEG_INFINITY, f64::max)))
    }),
    function("minf", 1, ANY, |a| {
        Ok(Value::Float(floats(a).fold(f64::INFINITY, f64::min)))
    }),
    function("ceil", 1, 1, |a| {
        Ok(Value::Float(to_float(a.any(0)).ceil()))
    }),
    function("floor", 1, 1, |a| {
        Ok(Value::Float(to_float(a.any(0)).floor()))
    }),
    function("round", 2, 3, round),
    function("until", 1, 1, |a| {
        let count = a.int(0)?;
        Ok(list(steps(0, count, if count < 0 { -1 } else { 1 })?))
    }),
    function("untilStep", 3, 3, |a| {
        Ok(list(steps(a.int(0)?, a.int(1)?, a.int(2)?)?))
    }),
    function("seq", 0, ANY, seq),
];

/// Any value as an integer, zero when it is none.
pub(super) fn to_int(value: &Value) -> i64 {
    match value {
        Value::Int(i) => *i,
        Value::Uint(u) => u.cast_signed(),
        Value::Float(f) => float_to_int(*f),
        Value::Bool(b) => i64::from(*b),
        Value::String(text) => int_of_text(text).unwrap_or(0),
        _ => 0,
    }
}

/// Whole numbers with Go's prefixes; zeros after a point are ignored.
fn int_of_text(text: &str) -> Option<i64> {
    let text = match text.split_once('.') {
        Some((whole, zeros)) if zeros.bytes().all(|b| b == b'0') => whole,
        _ => text,
    };
    let (sign, digits) = match text.strip_prefix('-') {
        Some(digits) => (-1, digits),
        None => (1, text.strip_prefix('+').unwrap_or(text)),
    };
    if digits.starts_with(['+', '-']) {
        return None;
    }
    let lower = digits.to_ascii_lowercase();
    let value = if let Some(hex) = lower.strip_prefix("0x") {
        i64::from_str_radix(hex, 16)
    } else if let Some(binary) = lower.strip_prefix("0b") {
        i64::from_str_radix(binary, 2)
    } else if let Some(octal) = lower.strip_prefix("0o") {
        i64::from_str_radix(octal, 8)
    } else if lower.len() > 1 && lower.starts_with('0') {
        i64::from_str_radix(&lower[1..], 8)
    } else {
        lower.parse()
    };
    value.ok().map(|value: i64| sign * value)
}

/// Any value as a float, zero when it is none.
pub(super) fn to_float(value: &Value) -> f64 {
    #[expect(
        clippy::cast_precision_loss,
        reason = "Go rounds to the nearest float as well"
    )]
    match value {
        Value::Int(i) => *i as f64,
        Value::Uint(u) => *u as f64,
        Value::Float(f) => *f,
        Value::Bool(b) => f64::from(u8::from(*b)),
        Value::String(text) => parse_float(text).unwrap_or(0.0),
        _ => 0.0,
    }
}

fn ints(args: &Args<'_>) -> impl Iterator<Item = i64> {
    args.values.iter().map(to_int)
}

fn floats(args: &Args<'_>) -> impl Iterator<Item = f64> {
    args.values.iter().map(to_float)
}

fn divided(args: &Args<'_>, operation: fn(i64, i64) -> i64) -> Outcome {
    match to_int(args.any(1)) {
        0 => Err("integer divide by zero".to_owned()),
        divisor => Ok(Value::Int(operation(to_int(args.any(0)), divisor))),
    }
}

fn round(args: &Args<'_>) -> Outcome {
    let places = i32::try_from(args.int(1)?).unwrap_or(i32::MAX);
    let up_from = match args.values.get(2) {
        Some(value) => to_float(value),
        None => 0.5,
    };
    let power = 10_f64.powi(places);
    let scaled = power * to_float(args.any(0));
    let rounded = if scaled.fract() >= up_from {
        scaled.ceil()
    } else {
        scaled.floor()
    };
    Ok(Value::Float(rounded / power))
}

/// The numbers from `start` to before `stop`.
fn steps(start: i64, stop: i64, step: i64) -> Result<Vec<Value>, String> {
    let downwards = stop < start;
    if (downwards && step >= 0) || (!downwards && step <= 0) {
        return Ok(Vec::new());
    }
    let count = (i128::from(stop) - i128::from(start)).abs() / i128::from(step).abs() + 1;
    charge(
        usize::try_from(count)
            .unwrap_or(usize::MAX)
            .saturating_mul(ELEMENT_SIZE),
    )?;
    let mut numbers = Vec::new();
    let mut at = start;
    while if downwards { at > stop } else { at < stop } {
        numbers.push(Value::Int(at));
        let Some(next) = at.checked_add(step) else {
            break;
        };
        at = next;
    }
    Ok(numbers)
}

/// `seq` of the shell: both ends included.
fn seq(args: &Args<'_>) -> Outcome {
    let (start, step, end) = match args.len() {
        1 => (1, None, args.int(0)?),
        2 => (args.int(0)?, None, args.int(1)?),
        3 => (args.int(0)?, Some(args.int(1)?), args.int(2)?),
        _ => return Ok(text("")),
    };
    let direction = if end < start { -1 } else { 1 };
    if direction < 0 && step.is_some_and(|step| step > 0) {
        return Ok(text(""));
    }
    let numbers = steps(
        start,
        end.saturating_add(direction),
        step.unwrap_or(direction),
    )?;
    Ok(text(
        numbers.iter().map(go_string).collect::<Vec<_>>().join(" "),
    ))
}

/// A decimal number `digits * 10^exponent`: sprig calculates with decimals, so that
/// `addf 0.1 0.2` is `0.3`.
#[derive(Clone, Copy)]
struct Decimal {
    digits: i128,
    exponent: i32,
}

impl Decimal {
    const ZERO: Self = Self {
        digits: 0,
        exponent: 0,
    };

    /// The shortest decimal that reads back as `value`; `None` for NaN and the infinities.
    fn of(value: f64) -> Option<Self> {
        let scientific = format!("{value:e}");
        let (mantissa, exponent) = scientific.split_once('e')?;
        let exponent: i32 = exponent.parse().ok()?;
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        let digits = format!("{whole}{fraction}").parse().ok()?;
        Some(Self {
            digits,
            exponent: exponent - i32::try_from(fraction.len()).ok()?,
        })
    }

    fn to_float(self) -> f64 {
        format!("{}e{}", self.digits, self.exponent)
            .parse()
            .unwrap_or(f64::NAN)
    }

    /// Both numbers with the smaller exponent of the two.
    fn aligned(self, other: Self) -> Option<(i128, i128, i32)> {
        let exponent = self.exponent.min(other.exponent);
        let scale = |n: Self| {
            let by = 10_i128.checked_pow(u32::try_from(n.exponent - exponent).ok()?)?;
            n.digits.checked_mul(by)
        };
        Some((scale(self)?, scale(other)?, exponent))
    }

    fn add(self, other: Self) -> Option<Self> {
        let (a, b, exponent) = self.aligned(other)?;
        Some(Self {
            digits: a.checked_add(b)?,
            exponent,
        })
    }

    fn sub(self, other: Self) -> Option<Self> {
        self.add(Self {
            digits: -other.digits,
            ..other
        })
    }

    fn mul(self, other: Self) -> Option<Self> {
        let digits = self.digits.checked_mul(other.digits)?;
        Some(Self {
            digits,
            exponent: self.exponent.checked_add(other.exponent)?,
        })
    }

    /// Rounded to 16 decimals, as the Go library does.
    fn div(self, other: Self) -> Option<Self> {
        const DECIMALS: i32 = 16;
        if other.digits == 0 {
            return None;
        }
        let shift = self.exponent - other.exponent + DECIMALS;
        let (mut a, mut b) = (self.digits, other.digits);
        let factor = 10_i128.checked_pow(shift.unsigned_abs())?;
        if shift >= 0 {
            a = a.checked_mul(factor)?;
        } else {
            b = b.checked_mul(factor)?;
        }
        let (mut quotient, rest) = (a / b, a % b);
        if rest.unsigned_abs() >= b.unsigned_abs().div_ceil(2) {
            quotient += if (a < 0) == (b < 0) { 1 } else { -1 };
        }
        Some(Self {
            digits: quotient,
            exponent: -DECIMALS,
        })
    }
}

type Operation = fn(Decimal, Decimal) -> Option<Decimal>;

fn folded(args: &Args<'_>, operation: Operation) -> Outcome {
    let first = Decimal::of(to_float(args.any(0))).ok_or("the number is not finite")?;
    decimals(first, &args.values[1..], operation)
}

fn decimals(start: Decimal, values: &[Value], operation: Operation) -> Outcome {
    let mut result = start;
    for value in values {
        let next = Decimal::of(to_float(value)).ok_or("the number is not finite")?;
        result = operation(result, next).ok_or("division by zero, or the number is too long")?;
        // Digits that a float cannot hold are of no use and would overflow in long chains.
        if result.digits.unsigned_abs() > 10_u128.pow(24) {
            result = Decimal::of(result.to_float()).ok_or("the number is not finite")?;
        }
    }
    Ok(Value::Float(result.to_float()))
}
