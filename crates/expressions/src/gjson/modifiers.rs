//! Modifiers: `@name` or `@name:argument`.

use serde_json::Value;

use super::brackets::balanced;
use super::{Found, ValueKind, elements, members};
use crate::go_text::json;

/// Applies the modifier at the start of `path`. The outer `None` means that there is no such
/// modifier, so that `@x` is a key.
#[expect(
    clippy::option_option,
    reason = "no modifier and a modifier without result differ"
)]
pub(super) fn apply<'j, 'p>(
    found: &Found<'j>,
    path: &'p str,
) -> Option<Option<(Found<'j>, Option<&'p str>)>> {
    let after = &path[1..];
    let end = after
        .find([':', '|', '.', '{', '[', '('])
        .unwrap_or(after.len());
    let (name, mut rest) = after.split_at(end);
    let mut argument = "";
    if let Some(text) = rest.strip_prefix(':') {
        let length = match text.as_bytes().first() {
            Some(b'{' | b'[' | b'(' | b'"') => balanced(text)?,
            _ => text.find(['|', '.']).unwrap_or(text.len()),
        };
        (argument, rest) = text.split_at(length);
    }
    let rest = match rest.as_bytes().first() {
        None => None,
        Some(b'.' | b'|') => Some(&rest[1..]),
        Some(_) => Some(rest),
    };
    let result = match name {
        // Everything that is looked into is valid.
        "this" | "valid" => Some(found.clone()),
        "ugly" => Some(Found::owned(layout(found.raw(), 0))),
        "pretty" => Some(Found::owned(layout(found.raw(), 2) + "\n")),
        "reverse" => Some(reverse(found)),
        "keys" => keys(found),
        "values" => values(found),
        "flatten" if is_set(argument, "deep") => Some(flatten(found, Levels::All)),
        "flatten" => Some(flatten(found, Levels::One)),
        "join" if is_set(argument, "preserve") => Some(join(found, DoubleKeys::Keep)),
        "join" => Some(join(found, DoubleKeys::LastWins)),
        "tostr" => {
            let mut text = String::new();
            json::write_text(&mut text, found.raw(), false);
            Some(Found::owned(text))
        }
        "fromstr" => {
            let text = found.text();
            super::is_json(&text).then(|| Found::owned(text))
        }
        _ => return None,
    };
    Some(result.map(|found| (found, rest)))
}

/// Rewrites the space of JSON text: none at all, or a line per element. Order and digits stay.
fn layout(raw: &str, indent: usize) -> String {
    let mut out = String::with_capacity(raw.len());
    let mut level = 0_usize;
    let mut in_string = false;
    let mut escaped = false;
    let new_line = |out: &mut String, level: usize| {
        if indent > 0 {
            out.push('\n');
            out.extend(std::iter::repeat_n(' ', indent * level));
        }
    };
    let mut fresh = false;
    for c in raw.chars() {
        if in_string {
            out.push(c);
            in_string = escaped || c != '"';
            escaped = !escaped && c == '\\';
            continue;
        }
        if super::is_space(c) {
            continue;
        }
        if fresh && !matches!(c, ']' | '}') {
            new_line(&mut out, level);
        }
        match c {
            '[' | '{' => {
                level += 1;
                fresh = true;
                out.push(c);
                continue;
            }
            ']' | '}' => {
                level = level.saturating_sub(1);
                if !fresh {
                    new_line(&mut out, level);
                }
            }
            '"' => in_string = true,
            _ => {}
        }
        fresh = false;
        out.push(c);
        match c {
            ',' => new_line(&mut out, level),
            ':' if indent > 0 => out.push(' '),
            _ => {}
        }
    }
    out
}

/// Whether a flag is set in a modifier's JSON argument.
fn is_set(argument: &str, name: &str) -> bool {
    serde_json::from_str::<Value>(argument)
        .is_ok_and(|value| value.get(name) == Some(&Value::Bool(true)))
}

fn object<'m>(members: impl Iterator<Item = (&'m str, &'m str)>) -> Found<'static> {
    let mut out = String::from("{");
    for (key, value) in members {
        if out.len() > 1 {
            out.push(',');
        }
        json::write_text(&mut out, key, false);
        out.push(':');
        out.push_str(value);
    }
    out.push('}');
    Found::owned(out)
}

fn reverse<'j>(found: &Found<'j>) -> Found<'j> {
    match found.kind() {
        ValueKind::Array => {
            let mut items = elements(found.raw()).unwrap_or_default();
            items.reverse();
            Found::owned(format!("[{}]", items.join(",")))
        }
        ValueKind::Object => {
            let members = members(found.raw()).unwrap_or_default();
            object(members.iter().rev().map(|(k, v)| (k.as_str(), *v)))
        }
        _ => found.clone(),
    }
}

fn keys(found: &Found<'_>) -> Option<Found<'static>> {
    match found.kind() {
        ValueKind::Object => {
            let mut out = String::from("[");
            for (key, _) in members(found.raw())? {
                if out.len() > 1 {
                    out.push(',');
                }
                json::write_text(&mut out, &key, false);
            }
            out.push(']');
            Some(Found::owned(out))
        }
        ValueKind::Array => {
            let count = elements(found.raw())?.len();
            Some(Found::owned(format!("[{}]", vec!["null"; count].join(","))))
        }
        // A value without keys counts as one element, nothing at all as none.
        _ if found.raw().is_empty() => Some(Found::owned("[]".to_owned())),
        _ => Some(Found::owned("[null]".to_owned())),
    }
}

fn values<'j>(found: &Found<'j>) -> Option<Found<'j>> {
    match found.kind() {
        ValueKind::Object => {
            let values: Vec<&str> = members(found.raw())?.into_iter().map(|(_, v)| v).collect();
            Some(Found::owned(format!("[{}]", values.join(","))))
        }
        ValueKind::Array => Some(found.clone()),
        _ => Some(Found::owned(format!("[{}]", found.raw()))),
    }
}

/// How far arrays inside of an array are replaced by their elements.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Levels {
    One,
    All,
}

/// What becomes of a key that several objects of an array have.
#[derive(Clone, Copy, PartialEq, Eq)]
enum DoubleKeys {
    LastWins,
    Keep,
}

/// Replaces elements that are arrays by their elements.
fn flatten<'j>(found: &Found<'j>, levels: Levels) -> Found<'j> {
    let Some(items) = elements(found.raw()) else {
        return found.clone();
    };
    let mut out: Vec<&str> = Vec::new();
    let mut pending: Vec<(&str, bool)> = items.into_iter().rev().map(|item| (item, true)).collect();
    while let Some((item, open)) = pending.pop() {
        match elements(item) {
            Some(inner) if open => {
                pending.extend(
                    inner
                        .into_iter()
                        .rev()
                        .map(|item| (item, levels == Levels::All)),
                );
            }
            _ => out.push(item),
        }
    }
    Found::owned(format!("[{}]", out.join(",")))
}

/// Joins the objects of an array to one.
fn join<'j>(found: &Found<'j>, double: DoubleKeys) -> Found<'j> {
    let Some(items) = elements(found.raw()) else {
        return found.clone();
    };
    let mut joined: Vec<(String, &str)> = Vec::new();
    for item in items {
        for (key, value) in members(item).unwrap_or_default() {
            match joined
                .iter_mut()
                .find(|(known, _)| double == DoubleKeys::LastWins && *known == key)
            {
                Some(slot) => slot.1 = value,
                None => joined.push((key, value)),
            }
        }
    }
    object(joined.iter().map(|(k, v)| (k.as_str(), *v)))
}
