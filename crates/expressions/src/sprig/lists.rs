//! Lists.

use gotmpl::Value;

use super::args::{Args, Outcome, go_string, is_empty, list, strings, texts};
use super::numbers::to_int;
use super::{ANY, ELEMENT_SIZE, Function, charge, function};

/// Comparing every element with every other one is refused beyond this many.
const MAX_COMPARED: usize = 5_000;

pub(super) const FUNCTIONS: &[Function] = &[
    function("list", 0, ANY, |a| Ok(list(a.values.to_vec()))),
    function("tuple", 0, ANY, |a| Ok(list(a.values.to_vec()))),
    function("append", 2, 2, push),
    function("mustAppend", 2, 2, push),
    function("push", 2, 2, push),
    function("mustPush", 2, 2, push),
    function("prepend", 2, 2, prepend),
    function("mustPrepend", 2, 2, prepend),
    function("first", 1, 1, first),
    function("mustFirst", 1, 1, first),
    function("last", 1, 1, last),
    function("mustLast", 1, 1, last),
    function("rest", 1, 1, rest),
    function("mustRest", 1, 1, rest),
    function("initial", 1, 1, initial),
    function("mustInitial", 1, 1, initial),
    function("reverse", 1, 1, reverse),
    function("mustReverse", 1, 1, reverse),
    function("uniq", 1, 1, unique),
    function("mustUniq", 1, 1, unique),
    function("without", 1, ANY, without),
    function("mustWithout", 1, ANY, without),
    function("has", 2, 2, has),
    function("mustHas", 2, 2, has),
    function("compact", 1, 1, compact),
    function("mustCompact", 1, 1, compact),
    function("slice", 1, ANY, slice),
    function("mustSlice", 1, ANY, slice),
    function("concat", 0, ANY, concat),
    function("chunk", 2, 2, chunk),
    function("mustChunk", 2, 2, chunk),
    function("sortAlpha", 1, 1, |a| {
        let mut sorted = match a.any(0) {
            Value::List(_) => strings(a.any(0)),
            other => vec![go_string(other)],
        };
        sorted.sort();
        Ok(texts(sorted))
    }),
];

fn push(args: &Args<'_>) -> Outcome {
    let mut items = args.list(0)?.to_vec();
    items.push(args.any(1).clone());
    Ok(list(items))
}

fn prepend(args: &Args<'_>) -> Outcome {
    let mut items = vec![args.any(1).clone()];
    items.extend_from_slice(args.list(0)?);
    Ok(list(items))
}

fn first(args: &Args<'_>) -> Outcome {
    Ok(args.list(0)?.first().cloned().unwrap_or(Value::Nil))
}

fn last(args: &Args<'_>) -> Outcome {
    Ok(args.list(0)?.last().cloned().unwrap_or(Value::Nil))
}

fn rest(args: &Args<'_>) -> Outcome {
    Ok(list(args.list(0)?.get(1..).unwrap_or_default().to_vec()))
}

fn initial(args: &Args<'_>) -> Outcome {
    let items = args.list(0)?;
    Ok(list(items[..items.len().saturating_sub(1)].to_vec()))
}

fn reverse(args: &Args<'_>) -> Outcome {
    Ok(list(args.list(0)?.iter().rev().cloned().collect()))
}

fn unique(args: &Args<'_>) -> Outcome {
    let mut kept: Vec<Value> = Vec::new();
    for item in args.list(0)? {
        if !kept.contains(item) {
            kept.push(item.clone());
        }
        if kept.len() > MAX_COMPARED {
            return Err(format!(
                "the list has more than {MAX_COMPARED} different elements"
            ));
        }
    }
    Ok(list(kept))
}

fn without(args: &Args<'_>) -> Outcome {
    let omitted = &args.values[1..];
    Ok(list(
        args.list(0)?
            .iter()
            .filter(|item| !omitted.contains(item))
            .cloned()
            .collect(),
    ))
}

fn has(args: &Args<'_>) -> Outcome {
    if matches!(args.any(1), Value::Nil) {
        return Ok(Value::Bool(false));
    }
    Ok(Value::Bool(args.list(1)?.contains(args.any(0))))
}

fn compact(args: &Args<'_>) -> Outcome {
    Ok(list(
        args.list(0)?
            .iter()
            .filter(|item| !is_empty(item))
            .cloned()
            .collect(),
    ))
}

fn slice(args: &Args<'_>) -> Outcome {
    let items = args.list(0)?;
    if items.is_empty() {
        return Ok(Value::Nil);
    }
    let bound = |index: usize, default: usize| match args.values.get(index) {
        Some(value) => usize::try_from(to_int(value)).ok(),
        None => Some(default),
    };
    bound(1, 0)
        .zip(bound(2, items.len()))
        .and_then(|(from, to)| items.get(from..to))
        .map(|part| list(part.to_vec()))
        .ok_or_else(|| "slice bounds out of range".to_owned())
}

fn concat(args: &Args<'_>) -> Outcome {
    let mut all = Vec::new();
    for index in 0..args.len() {
        let items = args.list(index)?;
        charge(items.len().saturating_mul(ELEMENT_SIZE))?;
        all.extend_from_slice(items);
    }
    Ok(list(all))
}

fn chunk(args: &Args<'_>) -> Outcome {
    let size = usize::try_from(args.int(0)?).ok().filter(|size| *size > 0);
    let size = size.ok_or_else(|| "the size of a chunk must be positive".to_owned())?;
    Ok(list(
        args.list(1)?
            .chunks(size)
            .map(|part| list(part.to_vec()))
            .collect(),
    ))
}
