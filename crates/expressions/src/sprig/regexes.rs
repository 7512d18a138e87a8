//! Regular expressions. The pattern comes first, the text second.

use gotmpl::Value;
use regex::{NoExpand, Regex};

use super::args::{Args, Outcome, text, texts};
use super::{ELEMENT_SIZE, Function, charge, function};
use crate::pattern::compile_pattern;

pub(super) const FUNCTIONS: &[Function] = &[
    // A pattern that is none just does not match, as upstream.
    function("regexMatch", 2, 2, |a| {
        Ok(matches(a).unwrap_or(Value::Bool(false)))
    }),
    function("mustRegexMatch", 2, 2, matches),
    function("regexFind", 2, 2, find),
    function("mustRegexFind", 2, 2, find),
    function("regexFindAll", 3, 3, find_all),
    function("mustRegexFindAll", 3, 3, find_all),
    function("regexReplaceAll", 3, 3, replace),
    function("mustRegexReplaceAll", 3, 3, replace),
    function("regexReplaceAllLiteral", 3, 3, replace_literal),
    function("mustRegexReplaceAllLiteral", 3, 3, replace_literal),
    function("regexSplit", 3, 3, split),
    function("mustRegexSplit", 3, 3, split),
    function("regexQuoteMeta", 1, 1, |a| Ok(text(quote(a.str(0)?)))),
];

fn pattern(args: &Args<'_>) -> Result<Regex, String> {
    Ok(compile_pattern(args.str(0)?)?)
}

fn matches(args: &Args<'_>) -> Outcome {
    Ok(Value::Bool(pattern(args)?.is_match(args.str(1)?)))
}

fn find(args: &Args<'_>) -> Outcome {
    Ok(text(
        pattern(args)?
            .find(args.str(1)?)
            .map_or("", |found| found.as_str()),
    ))
}

/// A negative count means all.
fn limit(args: &Args<'_>) -> Result<usize, String> {
    Ok(usize::try_from(args.int(2)?).unwrap_or(usize::MAX))
}

fn find_all(args: &Args<'_>) -> Outcome {
    let pattern = pattern(args)?;
    let mut found = Vec::new();
    for one in pattern.find_iter(args.str(1)?).take(limit(args)?) {
        charge(ELEMENT_SIZE)?;
        found.push(one.as_str());
    }
    Ok(texts(found))
}

fn replace(args: &Args<'_>) -> Outcome {
    let (pattern, subject, by) = (pattern(args)?, args.str(1)?, args.str(2)?);
    // A replacement may quote the whole match several times.
    let quotes = by.matches('$').count();
    charge(subject.len().saturating_mul(quotes + 1))?;
    charge((subject.len() + 1).saturating_mul(by.len()))?;
    Ok(text(pattern.replace_all(subject, by).into_owned()))
}

fn replace_literal(args: &Args<'_>) -> Outcome {
    let (pattern, subject, by) = (pattern(args)?, args.str(1)?, args.str(2)?);
    charge((subject.len() + 1).saturating_mul(by.len()))?;
    Ok(text(
        pattern.replace_all(subject, NoExpand(by)).into_owned(),
    ))
}

fn split(args: &Args<'_>) -> Outcome {
    let (pattern, subject, limit) = (pattern(args)?, args.str(1)?, limit(args)?);
    if limit == 0 {
        return Ok(Value::Nil);
    }
    if subject.is_empty() && !args.str(0)?.is_empty() {
        return Ok(texts([""]));
    }
    let mut parts = Vec::new();
    let (mut from, mut to) = (0, 0);
    for found in pattern.find_iter(subject) {
        if parts.len() + 1 == limit {
            break;
        }
        charge(ELEMENT_SIZE)?;
        to = found.start();
        if found.end() != 0 {
            parts.push(&subject[from..to]);
        }
        from = found.end();
    }
    if to != subject.len() {
        parts.push(&subject[from..]);
    }
    Ok(texts(parts))
}

fn quote(subject: &str) -> String {
    let mut out = String::with_capacity(subject.len() + 8);
    for c in subject.chars() {
        if r"\.+*?()|[]{}^$".contains(c) {
            out.push('\\');
        }
        out.push(c);
    }
    out
}
