//! Follows a path.

use std::cmp::Ordering;

use serde_json::Value;

use super::MAX_RESULTS;
use super::parser::{Comparison, Filter, Operand, Step};

type Values<'v> = Vec<&'v Value>;

pub(super) fn walk<'v>(start: Values<'v>, steps: &[Step]) -> Result<Values<'v>, String> {
    let mut values = start;
    for step in steps {
        values = take(&values, step)?;
        if values.len() > MAX_RESULTS {
            return Err(format!("more than {MAX_RESULTS} values"));
        }
    }
    Ok(values)
}

fn take<'v>(values: &[&'v Value], step: &Step) -> Result<Values<'v>, String> {
    match step {
        Step::Field(name) => {
            let found: Values<'v> = values.iter().filter_map(|value| value.get(name)).collect();
            // A filter that kept nothing is no reason to complain about what follows.
            if found.is_empty() && !values.is_empty() {
                Err(format!("`{name}` is not found"))
            } else {
                Ok(found)
            }
        }
        Step::Index(index) => {
            let end = index.checked_add(1).filter(|end| *end != 0);
            slices(values, Some(*index), end, None)
        }
        Step::Slice { from, to, step } => slices(values, *from, *to, *step),
        Step::Union(steps) => {
            let mut all = Vec::new();
            for step in steps {
                all.extend(take(values, step)?);
            }
            Ok(all)
        }
        Step::Wildcard => Ok(values.iter().flat_map(|value| children(value)).collect()),
        Step::Descend => {
            let mut all = Vec::new();
            let mut pending: Values<'v> = values.iter().rev().copied().collect();
            while let Some(value) = pending.pop() {
                let children = children(value);
                if !children.is_empty() {
                    all.push(value);
                    pending.extend(children.into_iter().rev());
                }
                if all.len() > MAX_RESULTS {
                    return Err(format!("more than {MAX_RESULTS} values"));
                }
            }
            Ok(all)
        }
        Step::Filter(filter) => {
            let mut kept = Vec::new();
            for value in values {
                let Value::Array(items) = value else {
                    return Err("only an array can be filtered".to_owned());
                };
                for item in items {
                    if accepts(filter, item)? {
                        kept.push(item);
                    }
                }
            }
            Ok(kept)
        }
    }
}

fn children(value: &Value) -> Values<'_> {
    match value {
        Value::Array(items) => items.iter().collect(),
        Value::Object(map) => map.values().collect(),
        _ => Vec::new(),
    }
}

fn slices<'v>(
    values: &[&'v Value],
    from: Option<i64>,
    to: Option<i64>,
    step: Option<i64>,
) -> Result<Values<'v>, String> {
    let mut all = Vec::new();
    for value in values {
        let Value::Array(items) = value else {
            return Err("an index needs an array".to_owned());
        };
        let length = i64::try_from(items.len()).unwrap_or(i64::MAX);
        let absolute = |bound: i64| {
            if bound < 0 {
                bound.saturating_add(length)
            } else {
                bound
            }
        };
        let start = absolute(from.unwrap_or(0));
        let end = absolute(to.unwrap_or(length));
        if start == end {
            continue;
        }
        let range = usize::try_from(start).ok().zip(usize::try_from(end).ok());
        let part = range
            .filter(|(s, _)| *s < items.len())
            .and_then(|(s, e)| items.get(s..e));
        let Some(part) = part else {
            return Err(format!(
                "index {} is out of range, the array has {length}",
                from.unwrap_or(0)
            ));
        };
        let step = usize::try_from(step.unwrap_or(1)).unwrap_or(usize::MAX);
        all.extend(part.iter().step_by(step.max(1)));
    }
    Ok(all)
}

fn accepts(filter: &Filter, item: &Value) -> Result<bool, String> {
    let Some((comparison, right)) = &filter.comparison else {
        return Ok(match &filter.left {
            Operand::Path(steps) => walk(vec![item], steps).is_ok_and(|found| !found.is_empty()),
            Operand::Literal(_) => true,
        });
    };
    let (Some(left), Some(right)) = (operand(&filter.left, item)?, operand(right, item)?) else {
        return Ok(false);
    };
    match comparison {
        Comparison::Equal => Ok(same(left, right)),
        Comparison::NotEqual => Ok(!same(left, right)),
        _ => {
            let order = order(left, right).ok_or("the values of the filter have no order")?;
            Ok(match comparison {
                Comparison::Less => order == Ordering::Less,
                Comparison::LessEqual => order != Ordering::Greater,
                Comparison::Greater => order == Ordering::Greater,
                _ => order != Ordering::Less,
            })
        }
    }
}

fn operand<'v>(operand: &'v Operand, item: &'v Value) -> Result<Option<&'v Value>, String> {
    match operand {
        Operand::Literal(value) => Ok(Some(value)),
        Operand::Path(steps) => {
            let found = walk(vec![item], steps)?;
            match found.as_slice() {
                [] => Ok(None),
                [one] => Ok(Some(one)),
                _ => Err("a filter compares one value at a time".to_owned()),
            }
        }
    }
}

fn same(left: &Value, right: &Value) -> bool {
    #[expect(clippy::float_cmp, reason = "the language compares floats exactly")]
    match (left.as_f64(), right.as_f64()) {
        (Some(a), Some(b)) => a == b,
        _ => left == right,
    }
}

fn order(left: &Value, right: &Value) -> Option<Ordering> {
    match (left, right) {
        (Value::String(a), Value::String(b)) => Some(a.cmp(b)),
        _ => left.as_f64()?.partial_cmp(&right.as_f64()?),
    }
}
