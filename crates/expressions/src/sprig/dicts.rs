//! Dictionaries.

use std::sync::Arc;

use gotmpl::Value;

use super::args::{Args, Map, Outcome, go_string, is_empty, list, map, text, texts};
use super::{ANY, Function, function};

pub(super) const FUNCTIONS: &[Function] = &[
    function("dict", 0, ANY, |a| {
        let pairs = a.values.chunks(2);
        Ok(map(pairs
            .map(|pair| {
                let value = pair.get(1).cloned().unwrap_or_else(|| text(""));
                (Arc::from(go_string(&pair[0])), value)
            })
            .collect()))
    }),
    function("get", 2, 2, |a| {
        Ok(a.map(0)?
            .get(a.str(1)?)
            .cloned()
            .unwrap_or_else(|| text("")))
    }),
    function("set", 3, 3, |a| {
        let mut changed = a.map(0)?.clone();
        changed.insert(a.str(1)?.into(), a.any(2).clone());
        Ok(map(changed))
    }),
    function("unset", 2, 2, |a| {
        let mut changed = a.map(0)?.clone();
        changed.remove(a.str(1)?);
        Ok(map(changed))
    }),
    function("hasKey", 2, 2, |a| {
        Ok(Value::Bool(a.map(0)?.contains_key(a.str(1)?)))
    }),
    function("pluck", 1, ANY, |a| {
        let key = a.str(0)?;
        let mut found = Vec::new();
        for index in 1..a.len() {
            found.extend(a.map(index)?.get(key).cloned());
        }
        Ok(list(found))
    }),
    function("keys", 0, ANY, |a| {
        let mut all: Vec<Arc<str>> = Vec::new();
        for index in 0..a.len() {
            all.extend(a.map(index)?.keys().cloned());
        }
        Ok(texts(all))
    }),
    function("values", 1, 1, |a| {
        Ok(list(a.map(0)?.values().cloned().collect()))
    }),
    function("pick", 1, ANY, |a| chosen(a, Named::Stay)),
    function("omit", 1, ANY, |a| chosen(a, Named::Go)),
    function("merge", 1, ANY, |a| merged(a, Conflict::KeepFirst)),
    function("mustMerge", 1, ANY, |a| merged(a, Conflict::KeepFirst)),
    function("mergeOverwrite", 1, ANY, |a| merged(a, Conflict::TakeLast)),
    function("mustMergeOverwrite", 1, ANY, |a| {
        merged(a, Conflict::TakeLast)
    }),
    function("dig", 3, ANY, dig),
    function("deepCopy", 1, 1, |a| Ok(a.any(0).clone())),
    function("mustDeepCopy", 1, 1, |a| Ok(a.any(0).clone())),
];

/// What becomes of the entries that are named.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Named {
    Stay,
    Go,
}

/// Which value wins where two dictionaries have one.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Conflict {
    KeepFirst,
    TakeLast,
}

fn chosen(args: &Args<'_>, named: Named) -> Outcome {
    let mut names = Vec::new();
    for index in 1..args.len() {
        names.push(args.str(index)?);
    }
    let chosen = args
        .map(0)?
        .iter()
        .filter(|(name, _)| names.contains(&&***name) == (named == Named::Stay));
    Ok(map(chosen
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect()))
}

/// Merges dictionaries into the first one, down into dictionaries that both sides have. An empty place is always
/// filled, and an empty value never replaces another.
fn merged(args: &Args<'_>, conflict: Conflict) -> Outcome {
    let mut result = args.map(0)?.clone();
    for index in 1..args.len() {
        merge_into(&mut result, args.map(index)?, conflict);
    }
    Ok(map(result))
}

fn merge_into(target: &mut Map, source: &Map, conflict: Conflict) {
    for (name, value) in source {
        match (target.get_mut(name), value) {
            (Some(Value::Map(inner)), Value::Map(value)) => {
                merge_into(Arc::make_mut(inner), value, conflict);
            }
            (Some(old), value) => {
                if (conflict == Conflict::TakeLast && !is_empty(value)) || is_empty(old) {
                    *old = value.clone();
                }
            }
            (None, value) => {
                target.insert(name.clone(), value.clone());
            }
        }
    }
}

/// `dig "a" "b" default dict`.
fn dig(args: &Args<'_>) -> Outcome {
    let keys = args.len() - 2;
    let mut dict = args.map(keys + 1)?;
    for index in 0..keys {
        match (dict.get(args.str(index)?), index + 1 == keys) {
            (None, _) => return Ok(args.any(keys).clone()),
            (Some(found), true) => return Ok(found.clone()),
            (Some(Value::Map(inner)), false) => dict = inner,
            (Some(_), false) => return Err("a key on the way leads to no dict".to_owned()),
        }
    }
    Ok(args.last().clone())
}
