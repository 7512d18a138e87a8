//! Functions on arrays and maps.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::sync::Arc;

use super::{Outcome, text, wrong};
use crate::expr::value::Value;

pub(super) fn call(name: &str, args: &[Value]) -> Outcome {
    match name {
        "len" => return length(&args[0]),
        "keys" | "values" | "toPairs" => return of_map(name, &args[0]),
        "join" => return join(args),
        "concat" => {
            let mut all = Vec::new();
            for arg in args {
                all.extend(items(name, arg)?.iter().cloned());
            }
            return Ok(Value::list(all));
        }
        // Asking for an end of something that has none gives nil, as in Go.
        "first" | "last" if !matches!(args[0], Value::List(_)) => {
            return Ok(super::get(
                &args[0],
                &Value::Int(if name == "first" { 0 } else { -1 }),
            ));
        }
        _ => {}
    }
    let list = items(name, &args[0])?;
    Ok(match name {
        "first" => list.first().cloned().unwrap_or(Value::Nil),
        "last" => list.last().cloned().unwrap_or(Value::Nil),
        "take" => {
            let count = match args[1] {
                Value::Int(count) => count,
                ref other => return Err(wrong(name, other)),
            };
            let count = usize::try_from(count).map_err(|_| "take needs a positive count")?;
            Value::list(list[..count.min(list.len())].to_vec())
        }
        "fromPairs" => from_pairs(&list)?,
        "reverse" => Value::list(list.iter().rev().cloned().collect()),
        "uniq" => unique(&list)?,
        "flatten" => {
            let mut flat = Vec::new();
            flatten(&list, &mut flat);
            Value::list(flat)
        }
        "sort" => {
            let descending = args.get(1).map_or(Ok(false), is_descending)?;
            let mut keyed: Vec<_> = list.iter().map(|v| (v.clone(), v.clone())).collect();
            sort_keyed(&mut keyed, descending)?;
            Value::list(keyed.into_iter().map(|(_, v)| v).collect())
        }
        _ => return Err(format!("unknown function {name}")),
    })
}

fn items(name: &str, value: &Value) -> Result<Arc<[Value]>, String> {
    match value {
        Value::List(items) => Ok(items.clone()),
        Value::Bytes(bytes) => Ok(bytes.iter().map(|b| Value::Int(i64::from(*b))).collect()),
        other => Err(wrong(name, other)),
    }
}

fn length(value: &Value) -> Outcome {
    let length = match value {
        Value::Str(text) => text.chars().count(),
        Value::Bytes(bytes) => bytes.len(),
        Value::List(items) => items.len(),
        Value::Map(map) => map.len(),
        Value::Groups(groups) => groups.len(),
        other => return Err(wrong("len", other)),
    };
    Ok(Value::Int(i64::try_from(length).unwrap_or(i64::MAX)))
}

/// Keys and values come sorted by key; Go gives them in random order.
fn of_map(name: &str, value: &Value) -> Outcome {
    let pairs: Vec<(Value, Value)> = match value {
        Value::Map(map) => map
            .iter()
            .map(|(k, v)| (Value::text(k.as_str()), v.clone()))
            .collect(),
        Value::Groups(groups) => groups.to_vec(),
        other => return Err(wrong(name, other)),
    };
    Ok(Value::list(
        pairs
            .into_iter()
            .map(|(key, value)| match name {
                "keys" => key,
                "values" => value,
                _ => Value::list(vec![key, value]),
            })
            .collect(),
    ))
}

fn join(args: &[Value]) -> Outcome {
    let glue = if args.len() > 1 {
        text("join", args, 1)?
    } else {
        ""
    };
    let list = items("join", &args[0])?;
    let parts: Vec<&str> = list
        .iter()
        .map(|item| item.as_str().ok_or_else(|| wrong("join", item)))
        .collect::<Result<_, _>>()?;
    Ok(Value::text(parts.join(glue)))
}

fn from_pairs(list: &[Value]) -> Outcome {
    let mut map = BTreeMap::new();
    for pair in list {
        match pair {
            Value::List(pair) if pair.len() == 2 => {
                let key = pair[0]
                    .as_str()
                    .ok_or_else(|| wrong("fromPairs", &pair[0]))?;
                map.insert(key.to_owned(), pair[1].clone());
            }
            other => return Err(format!("fromPairs needs pairs, not {}", other.go_string())),
        }
    }
    Ok(Value::Map(Arc::new(map)))
}

/// Each value is compared with all kept ones, so long lists are refused.
fn unique(list: &[Value]) -> Outcome {
    /// Kept values beyond this would make the comparison quadratic in earnest.
    const MAX_KEPT: usize = 5_000;
    let mut kept: Vec<Value> = Vec::new();
    for item in list {
        if !kept.iter().any(|k| k.equals(item)) {
            kept.push(item.clone());
        }
        if kept.len() > MAX_KEPT {
            return Err(format!("uniq finds more than {MAX_KEPT} different values"));
        }
    }
    Ok(Value::list(kept))
}

fn flatten(list: &[Value], into: &mut Vec<Value>) {
    for item in list {
        match item {
            Value::List(inner) => flatten(inner, into),
            other => into.push(other.clone()),
        }
    }
}

/// Reads the optional order of `sort` and `sortBy`.
pub(crate) fn is_descending(order: &Value) -> Result<bool, String> {
    match order.as_str() {
        Some("asc") => Ok(false),
        Some("desc") => Ok(true),
        _ => Err(format!(
            "the order must be \"asc\" or \"desc\", not {}",
            order.go_string()
        )),
    }
}

/// Sorts by the first of each pair; keys of kinds without a common order are an error.
pub(crate) fn sort_keyed(keyed: &mut [(Value, Value)], descending: bool) -> Result<(), String> {
    for pair in keyed.windows(2) {
        if !pair[0].0.can_order(&pair[1].0) {
            let (a, b) = (pair[0].0.go_type(), pair[1].0.go_type());
            return Err(format!("cannot sort {a} and {b}"));
        }
    }
    keyed.sort_by(|(a, _), (b, _)| {
        let order = a.order(b).unwrap_or(Ordering::Equal);
        if descending { order.reverse() } else { order }
    });
    Ok(())
}
