//! The functions of sprig (`Masterminds/sprig` 3.3) on template values.
//!
//! Left out on purpose: everything that reads the surroundings (`env`, `expandenv`,
//! `getHostByName`), everything random (`rand*`, `shuffle`, `uuidv4`), key and certificate
//! making, `semver*`, `url*`, `osBase` and friends. `set` and `unset` give a changed copy: values
//! are immutable, so the dictionary they were given stays as it was.

mod args;
mod cases;
mod dates;
mod dicts;
mod encoding;
mod lists;
mod numbers;
mod regexes;
mod strings;
mod types;

use std::cell::Cell;
use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};

use gotmpl::Value;
use jiff::Timestamp;

use args::Args;
pub(crate) use args::{from_json, go_string, type_name};

/// Bytes that all values made by the functions of one rendering may have together.
const MAX_SIZE: usize = 32_000_000;

/// Bytes that one element of a list or dictionary counts as, beside its text.
const ELEMENT_SIZE: usize = 32;

/// Nesting that lists and dictionaries may reach.
const MAX_DEPTH: usize = 64;

/// What a function may be given, and the function.
struct Function {
    name: &'static str,
    min: usize,
    max: usize,
    run: fn(&Args<'_>) -> Result<Value, String>,
}

/// Arguments without upper bound.
const ANY: usize = usize::MAX;

const fn function(
    name: &'static str,
    min: usize,
    max: usize,
    run: fn(&Args<'_>) -> Result<Value, String>,
) -> Function {
    Function {
        name,
        min,
        max,
        run,
    }
}

static FUNCTIONS: LazyLock<BTreeMap<&'static str, &'static Function>> = LazyLock::new(|| {
    [
        strings::FUNCTIONS,
        numbers::FUNCTIONS,
        lists::FUNCTIONS,
        dicts::FUNCTIONS,
        types::FUNCTIONS,
        encoding::FUNCTIONS,
        regexes::FUNCTIONS,
        dates::FUNCTIONS,
    ]
    .into_iter()
    .flatten()
    .map(|function| (function.name, function))
    .collect()
});

/// The names of all functions, sorted.
pub fn names() -> impl Iterator<Item = &'static str> {
    FUNCTIONS.keys().copied()
}

/// Whether there is a function of this name.
pub fn exists(name: &str) -> bool {
    FUNCTIONS.contains_key(name)
}

thread_local! {
    /// Size still allowed, and the moment that `now` gives. A rendering runs on one thread from
    /// begin to end, and the functions are shared between threads, so this is kept per thread.
    static BUDGET: Cell<usize> = const { Cell::new(0) };
    static NOW: Cell<Option<Timestamp>> = const { Cell::new(None) };
}

/// Opens a fresh budget; every rendering starts with this.
pub(crate) fn begin(now: Option<Timestamp>) {
    BUDGET.set(MAX_SIZE);
    NOW.set(now);
}

/// The moment of the rendering.
fn now() -> Result<Timestamp, String> {
    NOW.get()
        .ok_or_else(|| "the current time is not offered here".to_owned())
}

/// Takes `size` off the budget, before something of that size is made.
pub(crate) fn charge(size: usize) -> Result<(), String> {
    let left = BUDGET.get();
    if size > left {
        return Err("the template makes too large values".to_owned());
    }
    BUDGET.set(left - size);
    Ok(())
}

/// Charges a finished value with everything reachable from it.
pub(crate) fn charge_value(value: &Value) -> Result<(), String> {
    let limit = BUDGET.get() + 1;
    let mut size = 0_usize;
    let mut pending = vec![(value, 0)];
    while let Some((value, depth)) = pending.pop() {
        size += ELEMENT_SIZE;
        if depth > MAX_DEPTH {
            return Err(format!("values are nested deeper than {MAX_DEPTH} levels"));
        }
        match value {
            Value::String(text) => size += text.len(),
            Value::List(items) => pending.extend(items.iter().map(|v| (v, depth + 1))),
            Value::Map(map) => pending.extend(map.values().map(|v| (v, depth + 1))),
            _ => {}
        }
        if size >= limit {
            break;
        }
    }
    charge(size)
}

/// Calls a function. `begin` must have been called on this thread.
pub(crate) fn call(name: &str, args: &[Value]) -> Result<Value, String> {
    let function = FUNCTIONS
        .get(name)
        .ok_or_else(|| format!("no function {name}"))?;
    if args.len() < function.min || args.len() > function.max {
        let wanted = match (function.min, function.max) {
            (min, ANY) => format!("at least {min}"),
            (min, max) if min == max => min.to_string(),
            (min, max) => format!("{min} to {max}"),
        };
        return Err(format!(
            "{name} takes {wanted} arguments, not {}",
            args.len()
        ));
    }
    let value = (function.run)(&Args {
        name: function.name,
        values: args,
    })?;
    charge_value(&value)?;
    Ok(value)
}

/// All functions in the form the template engine takes.
pub(crate) fn function_map() -> gotmpl::FuncMap {
    names()
        .map(|name| {
            let run: gotmpl::ValueFunc = Arc::new(move |args: &[Value]| {
                call(name, args)
                    .map_err(|reason| gotmpl::TemplateError::Exec(format!("{name}: {reason}")))
            });
            (name.to_owned(), run)
        })
        .collect()
}

#[cfg(test)]
mod tests;
