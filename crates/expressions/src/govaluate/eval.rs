//! Evaluates the tree.

use std::collections::BTreeMap;

use super::parser::{Node, NodeKind};
use super::{Fault, MAX_TEXT, Value};
use crate::go_text::float_to_int;

type Evaluated = Result<Value, Fault>;

pub(super) fn evaluate(node: &Node, variables: &BTreeMap<String, Value>) -> Evaluated {
    match &*node.kind {
        NodeKind::Literal(value) => Ok(value.clone()),
        NodeKind::Variable(name) => variables
            .get(name)
            .cloned()
            .ok_or_else(|| Fault::new(node.at, format!("no value for `{name}`"))),
        NodeKind::Prefix(symbol, operand) => {
            let operand = evaluate(operand, variables)?;
            prefix(symbol, &operand).map_err(|reason| Fault::new(node.at, reason))
        }
        NodeKind::Matches {
            text,
            pattern,
            negated,
        } => match evaluate(text, variables)? {
            Value::Text(text) => Ok(Value::Bool(pattern.is_match(&text) != *negated)),
            other => Err(Fault::new(
                node.at,
                format!("cannot match {}", other.kind()),
            )),
        },
        NodeKind::Infix(symbol, left, right) => {
            let left = evaluate(left, variables)?;
            // What need not be known is not evaluated.
            match (*symbol, &left) {
                ("&&", Value::Bool(false)) | ("||", Value::Bool(true)) => return Ok(left),
                ("?", Value::Bool(false)) => return Ok(Value::Nil),
                ("??" | ":", value) if *value != Value::Nil => return Ok(left),
                _ => {}
            }
            let right = evaluate(right, variables)?;
            infix(symbol, left, right).map_err(|reason| Fault::new(node.at, reason))
        }
    }
}

fn prefix(symbol: &str, operand: &Value) -> Result<Value, String> {
    match (symbol, operand) {
        ("-", Value::Number(n)) => Ok(Value::Number(-n)),
        ("!", Value::Bool(b)) => Ok(Value::Bool(!b)),
        ("~", Value::Number(n)) => Ok(number(!float_to_int(*n))),
        _ => Err(format!("`{symbol}` is not defined for {}", operand.kind())),
    }
}

#[expect(
    clippy::cast_precision_loss,
    reason = "upstream rounds in the same way"
)]
fn number(value: i64) -> Value {
    Value::Number(value as f64)
}

fn infix(symbol: &str, left: Value, right: Value) -> Result<Value, String> {
    let undefined = || {
        format!(
            "`{symbol}` is not defined for {} and {}",
            left.kind(),
            right.kind()
        )
    };
    match symbol {
        "," => {
            return Ok(Value::List(match left {
                Value::List(mut items) => {
                    items.push(right);
                    items
                }
                first => vec![first, right],
            }));
        }
        "==" => return Ok(Value::Bool(left == right)),
        "!=" => return Ok(Value::Bool(left != right)),
        "?" if matches!(left, Value::Bool(true)) => return Ok(right),
        // The left side is nil here, otherwise it would have been the answer.
        ":" | "??" => return Ok(right),
        "+" if matches!(left, Value::Text(_)) || matches!(right, Value::Text(_)) => {
            let text = format!("{}{}", left.go_string(), right.go_string());
            if text.len() > MAX_TEXT {
                return Err(format!("text is longer than {MAX_TEXT} bytes"));
            }
            return Ok(Value::Text(text));
        }
        _ => {}
    }
    match (symbol, &left, &right) {
        ("&&" | "||", Value::Bool(_), Value::Bool(right)) => Ok(Value::Bool(*right)),
        ("in", _, Value::List(items)) => Ok(Value::Bool(items.contains(&left))),
        ("=~" | "!~", Value::Text(text), Value::Text(pattern)) => {
            let matches = crate::pattern::compile_pattern(pattern)?.is_match(text);
            Ok(Value::Bool(matches == (symbol == "=~")))
        }
        (_, Value::Text(a), Value::Text(b)) => {
            compare(symbol, a, b).map(Value::Bool).ok_or_else(undefined)
        }
        (_, Value::Number(a), Value::Number(b)) => match compare(symbol, a, b) {
            Some(answer) => Ok(Value::Bool(answer)),
            None => arithmetic(symbol, *a, *b).ok_or_else(undefined),
        },
        _ => Err(undefined()),
    }
}

fn compare<T: PartialOrd + ?Sized>(symbol: &str, a: &T, b: &T) -> Option<bool> {
    Some(match symbol {
        ">" => a > b,
        ">=" => a >= b,
        "<" => a < b,
        "<=" => a <= b,
        _ => return None,
    })
}

fn arithmetic(symbol: &str, a: f64, b: f64) -> Option<Value> {
    let bits = |operation: fn(i64, i64) -> i64| number(operation(float_to_int(a), float_to_int(b)));
    Some(match symbol {
        "+" => Value::Number(a + b),
        "-" => Value::Number(a - b),
        "*" => Value::Number(a * b),
        "/" => Value::Number(a / b),
        "%" => Value::Number(a % b),
        "**" => Value::Number(a.powf(b)),
        "&" => bits(|a, b| a & b),
        "|" => bits(|a, b| a | b),
        "^" => bits(|a, b| a ^ b),
        "<<" | ">>" => {
            let value = float_to_int(a).cast_unsigned();
            let by = u32::try_from(float_to_int(b)).unwrap_or(u32::MAX);
            let shifted = if symbol == "<<" {
                value.checked_shl(by)
            } else {
                value.checked_shr(by)
            };
            #[expect(
                clippy::cast_precision_loss,
                reason = "upstream rounds in the same way"
            )]
            Value::Number(shifted.unwrap_or(0) as f64)
        }
        _ => return None,
    })
}
