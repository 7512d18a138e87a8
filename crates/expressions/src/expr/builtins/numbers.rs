//! Functions on numbers.

use super::{Outcome, int, wrong};
use crate::expr::value::Value;
use crate::go_text;

pub(super) fn call(name: &str, args: &[Value]) -> Outcome {
    if matches!(name, "max" | "min" | "mean" | "median") {
        return aggregate(name, args);
    }
    let arg = &args[0];
    Ok(match (name, arg) {
        ("abs", Value::Int(i)) => Value::Int(i.wrapping_abs()),
        ("abs", Value::Float(f)) => Value::Float(f.abs()),
        ("ceil", _) if arg.as_float().is_some() => rounded(arg, f64::ceil),
        ("floor", _) if arg.as_float().is_some() => rounded(arg, f64::floor),
        ("round", _) if arg.as_float().is_some() => rounded(arg, f64::round),
        ("int", Value::Str(text)) => go_text::parse_int(text)
            .map(Value::Int)
            .ok_or_else(|| not_a(text, "an integer"))?,
        ("int", Value::Int(_) | Value::Float(_)) => Value::Int(int(name, args, 0)?),
        ("int", Value::Duration(nanos)) => Value::Int(*nanos),
        ("float", Value::Str(text)) => go_text::parse_float(text)
            .map(Value::Float)
            .ok_or_else(|| not_a(text, "a number"))?,
        ("float", Value::Int(_) | Value::Float(_)) => rounded(arg, |f| f),
        _ => return Err(wrong(name, arg)),
    })
}

fn not_a(text: &str, what: &str) -> String {
    format!("{text:?} is not {what}")
}

fn rounded(arg: &Value, rule: fn(f64) -> f64) -> Value {
    Value::Float(rule(arg.as_float().unwrap_or(f64::NAN)))
}

fn aggregate(name: &str, args: &[Value]) -> Outcome {
    // One lone value of another kind is handed back as it is.
    if let ("max" | "min", [single]) = (name, args)
        && !matches!(single, Value::List(_) | Value::Bytes(_))
    {
        return Ok(single.clone());
    }
    let mut numbers = Vec::new();
    for arg in args {
        collect(name, arg, &mut numbers)?;
    }
    if matches!(name, "max" | "min") {
        let mut best: Option<Value> = None;
        for number in numbers {
            let better = best.as_ref().is_none_or(|best| {
                let order = best.order(&number);
                order
                    == Some(if name == "max" {
                        std::cmp::Ordering::Less
                    } else {
                        std::cmp::Ordering::Greater
                    })
            });
            if better {
                best = Some(number);
            }
        }
        return Ok(best.unwrap_or(Value::Nil));
    }
    let mut floats: Vec<f64> = numbers.iter().filter_map(Value::as_float).collect();
    if floats.is_empty() {
        return Ok(Value::Float(0.0));
    }
    #[expect(
        clippy::cast_precision_loss,
        reason = "no list comes near 2^52 elements"
    )]
    let count = floats.len() as f64;
    if name == "mean" {
        return Ok(Value::Float(floats.iter().sum::<f64>() / count));
    }
    // Go sorts NaN first.
    floats.sort_by(|a, b| match (a.is_nan(), b.is_nan()) {
        (true, true) => std::cmp::Ordering::Equal,
        (true, false) => std::cmp::Ordering::Less,
        (false, true) => std::cmp::Ordering::Greater,
        (false, false) => a.total_cmp(b),
    });
    let middle = floats.len() / 2;
    Ok(Value::Float(if floats.len() % 2 == 1 {
        floats[middle]
    } else {
        f64::midpoint(floats[middle - 1], floats[middle])
    }))
}

/// Numbers of an argument; arrays inside of arrays count with their elements.
fn collect(name: &str, value: &Value, into: &mut Vec<Value>) -> Result<(), String> {
    let mut pending = vec![value];
    while let Some(value) = pending.pop() {
        match value {
            Value::Int(_) | Value::Float(_) => into.push(value.clone()),
            Value::Bytes(bytes) => {
                into.extend(bytes.iter().map(|b| Value::Int(i64::from(*b))));
            }
            Value::List(items) => pending.extend(items.iter().rev()),
            other => return Err(wrong(name, other)),
        }
    }
    Ok(())
}

pub(super) fn bits(name: &str, args: &[Value]) -> Outcome {
    let Value::Int(a) = args[0] else {
        return Err(wrong(name, &args[0]));
    };
    if name == "bitnot" {
        return Ok(Value::Int(!a));
    }
    let Value::Int(b) = args[1] else {
        return Err(wrong(name, &args[1]));
    };
    Ok(Value::Int(match name {
        "bitand" => a & b,
        "bitor" => a | b,
        "bitxor" => a ^ b,
        "bitnand" => a & !b,
        "bitshl" | "bitshr" | "bitushr" => {
            let by = u32::try_from(b).map_err(|_| format!("{name} by a negative count"))?;
            match name {
                "bitshl" => a.checked_shl(by).unwrap_or(0),
                "bitshr" => a >> by.min(63),
                _ => a.cast_unsigned().checked_shr(by).unwrap_or(0).cast_signed(),
            }
        }
        _ => return Err(format!("unknown function {name}")),
    }))
}
