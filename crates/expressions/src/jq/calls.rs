//! Functions by name.

use jaq_core::load::parse::Term;
use regex::Regex;
use serde_json::Value;

use super::{
    functions::{self, Ordered},
    parse::{Access, Assignment, Comparison, Filter, Part, Quantifier, TextTest, boxed, filter},
};
use crate::pattern::compile_pattern;

/// `.[]`
fn each() -> Filter {
    let members = Part {
        access: Access::All,
        optional: false,
    };
    Filter::Path(Box::new(Filter::Identity), vec![members])
}

fn pipe(first: Filter, second: Filter) -> Filter {
    Filter::Pipe(Box::new(first), Box::new(second))
}

/// `map(f)`
fn map(inner: Filter) -> Filter {
    Filter::Array(Some(Box::new(pipe(each(), inner))))
}

/// Quantifiers are over the members of the value.
fn quantifier(which: Quantifier, inner: Filter) -> Filter {
    Filter::Quantifier(which, Box::new(pipe(each(), inner)))
}

/// A call of a function; the error names what is not supported.
pub(super) fn call(name: &str, arguments: &[Term<&str>]) -> Result<Filter, String> {
    if let Some(function) = functions::find(name, arguments.len()) {
        let argument = arguments.first().map(boxed).transpose()?;
        return Ok(Filter::Call(function, argument));
    }
    let ordered = |how, key: Filter| Filter::Ordered(how, Box::new(key));
    let kept = |comparison| {
        let null = Box::new(Filter::Literal(Value::Null));
        let compare = Filter::Compare(comparison, Box::new(Filter::Identity), null);
        Filter::Select(Box::new(compare))
    };
    Ok(match (name, arguments) {
        ("null", []) => Filter::Literal(Value::Null),
        ("true", []) => Filter::Literal(Value::Bool(true)),
        ("false", []) => Filter::Literal(Value::Bool(false)),
        ("empty", []) => Filter::Empty,
        ("recurse", []) => Filter::Recurse,
        ("values", []) => kept(Comparison::Different),
        ("nulls", []) => kept(Comparison::Equal),
        ("select", [condition]) => Filter::Select(boxed(condition)?),
        ("map", [inner]) => map(filter(inner)?),
        ("map_values", [inner]) => {
            Filter::Assign(Assignment::Update, Box::new(each()), boxed(inner)?)
        }
        ("with_entries", [inner]) => {
            let entries = pipe(call("to_entries", &[])?, map(filter(inner)?));
            pipe(entries, call("from_entries", &[])?)
        }
        ("del", [places]) => Filter::Delete(boxed(places)?),
        ("first", [inner]) => Filter::First(boxed(inner)?),
        ("range", [to]) => Filter::Range(Box::new(Filter::Literal(0.into())), boxed(to)?),
        ("range", [from, to]) => Filter::Range(boxed(from)?, boxed(to)?),
        ("sort", []) => ordered(Ordered::Sort, Filter::Identity),
        ("unique", []) => ordered(Ordered::Unique, Filter::Identity),
        ("min", []) => ordered(Ordered::Least, Filter::Identity),
        ("max", []) => ordered(Ordered::Most, Filter::Identity),
        ("sort_by", [key]) => ordered(Ordered::Sort, filter(key)?),
        ("group_by", [key]) => ordered(Ordered::Group, filter(key)?),
        ("unique_by", [key]) => ordered(Ordered::Unique, filter(key)?),
        ("min_by", [key]) => ordered(Ordered::Least, filter(key)?),
        ("max_by", [key]) => ordered(Ordered::Most, filter(key)?),
        ("any", []) => quantifier(Quantifier::Any, Filter::Identity),
        ("all", []) => quantifier(Quantifier::All, Filter::Identity),
        ("any", [condition]) => quantifier(Quantifier::Any, filter(condition)?),
        ("all", [condition]) => quantifier(Quantifier::All, filter(condition)?),
        ("startswith", [text]) => Filter::TextTest(TextTest::StartsWith, boxed(text)?),
        ("endswith", [text]) => Filter::TextTest(TextTest::EndsWith, boxed(text)?),
        ("contains", [text]) => Filter::TextTest(TextTest::Contains, boxed(text)?),
        ("test", [pattern]) => Filter::Matches(regex(pattern, None)?),
        ("test", [pattern, flags]) => Filter::Matches(regex(pattern, Some(flags))?),
        ("sub", [pattern, text]) => Filter::Replace(regex(pattern, None)?, literal(text)?, false),
        ("gsub", [pattern, text]) => Filter::Replace(regex(pattern, None)?, literal(text)?, true),
        (name, arguments) => {
            return Err(match arguments.len() {
                0 => format!("function {name}"),
                count => format!("function {name} with {count} arguments"),
            });
        }
    })
}

/// A text that is not computed.
fn literal(term: &Term<&str>) -> Result<String, String> {
    match filter(term)? {
        Filter::Literal(Value::String(text)) => Ok(text),
        _ => Err("a computed pattern or replacement".to_owned()),
    }
}

fn regex(pattern: &Term<&str>, flags: Option<&Term<&str>>) -> Result<Regex, String> {
    let pattern = literal(pattern)?;
    let pattern = match flags.map(literal).transpose()?.as_deref() {
        None | Some("") => pattern,
        Some(flags) if flags.chars().all(|flag| "isx".contains(flag)) => {
            format!("(?{flags}){pattern}")
        }
        Some(flags) => return Err(format!("test with flags {flags:?}")),
    };
    compile_pattern(&pattern).map_err(|_| format!("regular expression {pattern:?}"))
}
