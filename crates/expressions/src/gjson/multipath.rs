//! Multipaths `[a,b]` and `{a,"name":b}`, and literals `!...`.

use super::brackets::balanced;
use super::{Budget, Found};
use crate::go_text::json;

/// Selects several paths at once, each of which `find` looks up; `None` when the brackets do not fit together, so that
/// they are part of a key.
pub(super) fn select<'j, 'p>(
    path: &'p str,
    work: &mut Budget,
    find: impl Fn(&str, &mut Budget) -> Option<Found<'j>>,
) -> Option<(Found<'j>, Option<&'p str>)> {
    let end = balanced(path)?;
    let is_object = path.starts_with('{');
    let rest = match path.as_bytes().get(end) {
        None => None,
        Some(b'.' | b'|') => Some(&path[end + 1..]),
        Some(_) => return None,
    };
    let mut out = String::from(if is_object { "{" } else { "[" });
    for selector in split(&path[1..end - 1]) {
        let (name, selector) = named(selector);
        let Some(value) = find(selector, work) else {
            continue;
        };
        if out.len() > 1 {
            out.push(',');
        }
        if is_object {
            match name {
                // A name in quotes stands as it is; any other text is one too.
                Some(name) if name.starts_with('"') && super::is_json(name) => out.push_str(name),
                Some(name) => json::write_text(&mut out, name, false),
                None => json::write_text(&mut out, &last_name(selector), false),
            }
            out.push(':');
        }
        out.push_str(value.raw());
        work.spend(value.raw().len())?;
    }
    out.push(if is_object { '}' } else { ']' });
    Some((Found::owned(out), rest))
}

/// Splits at commas outside of brackets and strings.
fn split(text: &str) -> Vec<&str> {
    let mut parts = Vec::new();
    let (mut start, mut at) = (0, 0);
    let bytes = text.as_bytes();
    while at < bytes.len() {
        match bytes[at] {
            b'\\' => at += 1,
            b',' => {
                parts.push(&text[start..at]);
                start = at + 1;
            }
            b'(' | b'[' | b'{' | b'"' => match balanced(&text[at..]) {
                Some(length) => at += length - 1,
                None => break,
            },
            _ => {}
        }
        at += 1;
    }
    if start < text.len() {
        parts.push(&text[start..]);
    }
    parts
}

/// Takes the name of `"name":path` or `name:path` off: the first colon outside of brackets and texts ends it,
/// unless a modifier, which may have an argument after a colon, comes before.
fn named(selector: &str) -> (Option<&str>, &str) {
    let bytes = selector.as_bytes();
    let mut at = 0;
    while at < bytes.len() {
        match bytes[at] {
            b'\\' => at += 1,
            b'@' if at > 0 && matches!(bytes[at - 1], b'.' | b'|') => break,
            b':' => {
                let name = Some(&selector[..at]).filter(|name| !name.is_empty());
                return (name, &selector[at + 1..]);
            }
            b'(' | b'[' | b'{' | b'"' => match balanced(&selector[at..]) {
                Some(length) => at += length - 1,
                None => break,
            },
            _ => {}
        }
        at += 1;
    }
    (None, selector)
}

/// The name a selector without one gets: its last key, or `_` when that is no plain key.
fn last_name(selector: &str) -> String {
    let last = selector.rsplit(['.', '|']).next().unwrap_or_default();
    let plain = !last.is_empty()
        && !last.starts_with(['@', '!'])
        && !last.contains(['#', '(', ')', '[', ']', '{', '}', '"', '*', '?', '\\']);
    if plain {
        last.to_owned()
    } else {
        "_".to_owned()
    }
}

/// Reads the JSON value at the start of `text` and the rest of the path after it.
pub(super) fn literal(text: &str) -> Option<(&str, Option<&str>)> {
    let length = match text.as_bytes().first()? {
        b'"' | b'{' | b'[' => balanced(text)?,
        _ => text.find(['|', ',', ']', '}']).unwrap_or(text.len()),
    };
    let (value, rest) = text.split_at(length);
    super::is_json(value).then_some(())?;
    match rest.as_bytes().first() {
        None => Some((value, None)),
        Some(b'.' | b'|') => Some((value, Some(&rest[1..]))),
        Some(_) => None,
    }
}
