//! Functions on text.

use super::{Outcome, int, text};
use crate::expr::value::Value;

pub(super) fn call(name: &str, args: &[Value]) -> Outcome {
    let subject = text(name, args, 0)?;
    let second = || text(name, args, 1);
    Ok(match name {
        "trim" if args.len() == 1 => Value::text(subject.trim()),
        "trim" => {
            let set = second()?;
            Value::text(subject.trim_matches(|c| set.contains(c)))
        }
        "trimPrefix" => {
            let prefix = if args.len() > 1 { second()? } else { " " };
            Value::text(subject.strip_prefix(prefix).unwrap_or(subject))
        }
        "trimSuffix" => {
            let suffix = if args.len() > 1 { second()? } else { " " };
            Value::text(subject.strip_suffix(suffix).unwrap_or(subject))
        }
        "upper" => Value::text(subject.to_uppercase()),
        "lower" => Value::text(subject.to_lowercase()),
        "split" | "splitAfter" => {
            let limit = if args.len() > 2 {
                int(name, args, 2)?
            } else {
                -1
            };
            let parts = split(subject, second()?, limit, name == "splitAfter");
            Value::list(parts.into_iter().map(Value::text).collect())
        }
        "replace" => {
            let limit = if args.len() > 3 {
                int(name, args, 3)?
            } else {
                -1
            };
            Value::text(replace(subject, second()?, text(name, args, 2)?, limit))
        }
        "repeat" => {
            let count = int(name, args, 1)?;
            let count = usize::try_from(count)
                .map_err(|_| format!("repeat needs a positive count, not {count}"))?;
            Value::text(subject.repeat(count))
        }
        "indexOf" => position(subject.find(second()?)),
        "lastIndexOf" => position(subject.rfind(second()?)),
        "hasPrefix" => Value::Bool(subject.starts_with(second()?)),
        "hasSuffix" => Value::Bool(subject.ends_with(second()?)),
        _ => return Err(format!("unknown function {name}")),
    })
}

fn position(found: Option<usize>) -> Value {
    Value::Int(found.and_then(|at| i64::try_from(at).ok()).unwrap_or(-1))
}

/// Go's `strings.SplitN` and `SplitAfterN`: an empty separator splits into characters, a negative
/// limit means all parts, zero none.
fn split(subject: &str, separator: &str, limit: i64, keep: bool) -> Vec<String> {
    if limit == 0 {
        return Vec::new();
    }
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    let mut parts = Vec::new();
    let mut rest = subject;
    while parts.len() + 1 < limit {
        let (head, tail) = if separator.is_empty() {
            match rest.char_indices().nth(1) {
                Some((next, _)) => rest.split_at(next),
                None => break,
            }
        } else {
            match rest.find(separator) {
                Some(at) => {
                    let end = at + separator.len();
                    (&rest[..if keep { end } else { at }], &rest[end..])
                }
                None => break,
            }
        };
        parts.push(head.to_owned());
        rest = tail;
    }
    if !(separator.is_empty() && rest.is_empty()) {
        parts.push(rest.to_owned());
    }
    parts
}

fn replace(subject: &str, from: &str, to: &str, limit: i64) -> String {
    match usize::try_from(limit) {
        Ok(limit) => subject.replacen(from, to, limit),
        Err(_) => subject.replace(from, to),
    }
}
