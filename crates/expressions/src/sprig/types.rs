//! Defaults, types and errors.

use gotmpl::Value;

use super::args::{Outcome, is_empty, text, type_name};
use super::{ANY, Function, function};

pub(super) const FUNCTIONS: &[Function] = &[
    function("default", 1, 2, |a| {
        let given = a.values.get(1);
        Ok(given
            .filter(|value| !is_empty(value))
            .unwrap_or(a.any(0))
            .clone())
    }),
    function("empty", 1, 1, |a| Ok(Value::Bool(is_empty(a.any(0))))),
    function("coalesce", 0, ANY, |a| {
        Ok(a.values
            .iter()
            .find(|value| !is_empty(value))
            .cloned()
            .unwrap_or(Value::Nil))
    }),
    function("all", 0, ANY, |a| {
        Ok(Value::Bool(!a.values.iter().any(is_empty)))
    }),
    function("any", 0, ANY, |a| {
        Ok(Value::Bool(!a.values.iter().all(is_empty)))
    }),
    function("ternary", 3, 3, |a| {
        Ok(a.any(usize::from(!a.bool(2)?)).clone())
    }),
    function("typeOf", 1, 1, |a| Ok(text(type_name(a.any(0))))),
    function("typeIs", 2, 2, |a| {
        Ok(Value::Bool(a.str(0)? == type_name(a.any(1))))
    }),
    function("typeIsLike", 2, 2, |a| {
        let name = type_name(a.any(1));
        Ok(Value::Bool(a.str(0)?.trim_start_matches('*') == name))
    }),
    function("kindOf", 1, 1, |a| Ok(text(kind(a.any(0))))),
    function("kindIs", 2, 2, |a| {
        Ok(Value::Bool(a.str(0)? == kind(a.any(1))))
    }),
    function("deepEqual", 2, 2, |a| {
        Ok(Value::Bool(same(a.any(0), a.any(1))))
    }),
    function("fail", 1, 1, fail),
];

fn fail(args: &super::args::Args<'_>) -> Outcome {
    Err(args.str(0)?.to_owned())
}

/// Go's kind of a value.
fn kind(value: &Value) -> &'static str {
    match value {
        Value::Nil => "invalid",
        Value::List(_) => "slice",
        Value::Map(_) => "map",
        other => type_name(other),
    }
}

/// Equality that tells integers from floats, as Go's `reflect.DeepEqual` does.
fn same(a: &Value, b: &Value) -> bool {
    type_name(a) == type_name(b) && a == b
}
