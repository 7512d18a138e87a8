//! Walks along a path.

use super::brackets::balanced;
use super::component::{Component, Next};
use super::{Budget, Found, MAX_DEPTH, ValueKind, elements, members, modifiers, multipath, query};

/// Follows `path` from `from`.
pub(super) fn walk<'j>(
    from: Found<'j>,
    path: &str,
    depth: usize,
    work: &mut Budget,
) -> Option<Found<'j>> {
    let mut found = from;
    let mut path = path;
    let mut steps = depth;
    let mut after_dot = false;
    loop {
        steps += 1;
        if steps > MAX_DEPTH {
            return None;
        }
        work.spend(found.raw().len())?;
        let Some((value, rest)) = step(&found, path, steps, after_dot, work) else {
            // A pipe right after what is missing looks at nothing, and may still make something
            // of it: `missing.{a,b}` is `{}`.
            path = after_pipe(found.kind(), path)?;
            found = Found::owned(String::new());
            after_dot = false;
            continue;
        };
        match rest {
            None => return Some(value).filter(|value| !value.raw().is_empty()),
            Some(rest) => {
                // The rest is the end of the path, so the byte before it is the separator.
                let separator = path.len() - rest.len();
                after_dot = path.as_bytes().get(separator.wrapping_sub(1)) == Some(&b'.');
                found = value;
                path = rest;
            }
        }
    }
}

/// Takes the first component of `path`; gives the value there and the rest of the path.
fn step<'j, 'p>(
    found: &Found<'j>,
    path: &'p str,
    depth: usize,
    after_dot: bool,
    work: &mut Budget,
) -> Option<(Found<'j>, Option<&'p str>)> {
    match path.as_bytes().first() {
        Some(b'@') => {
            if let Some(applied) = modifiers::apply(found, path) {
                return applied;
            }
        }
        Some(b'[' | b'{') => {
            let find =
                |selector: &str, work: &mut Budget| walk(found.clone(), selector, depth, work);
            if let Some(selected) = multipath::select(path, work, find) {
                return Some(selected);
            }
        }
        Some(b'!') if !after_dot => {
            let (literal, rest) = multipath::literal(&path[1..])?;
            return Some((Found::owned(literal.to_owned()), rest));
        }
        _ => {}
    }
    match found.kind() {
        ValueKind::Object => object_step(found, path, depth, work),
        ValueKind::Array => array_step(found, path, depth, work),
        _ => None,
    }
}

/// A part of `found` that lives as long as the document when `found` does.
fn reborrow<'j>(found: &Found<'j>, part: &str) -> Found<'j> {
    if let std::borrow::Cow::Borrowed(raw) = found.raw {
        let start = (part.as_ptr() as usize).wrapping_sub(raw.as_ptr() as usize);
        if let Some(same) = raw.get(start..start + part.len()) {
            return Found::borrowed(same);
        }
    }
    Found::owned(part.trim_matches(super::is_space).to_owned())
}

fn object_step<'j, 'p>(
    found: &Found<'j>,
    path: &'p str,
    depth: usize,
    work: &mut Budget,
) -> Option<(Found<'j>, Option<&'p str>)> {
    let component = Component::parse(path);
    let members = members(found.raw())?;
    let mut matching = members
        .into_iter()
        .filter(|(key, _)| component.matches(key));
    match component.next {
        // A key with wildcards stands for the first one that has what follows.
        Next::Dot(rest) if component.has_wildcard && !rest.starts_with(['@', '[', '{']) => {
            let (inner, rest) = split_pipe(rest);
            matching.find_map(|(_, raw)| {
                let value = walk(reborrow(found, raw), inner, depth, work)?;
                Some((value, rest))
            })
        }
        _ => {
            let (_, raw) = matching.next()?;
            Some((reborrow(found, raw), component.rest()))
        }
    }
}

fn array_step<'j, 'p>(
    found: &Found<'j>,
    path: &'p str,
    depth: usize,
    work: &mut Budget,
) -> Option<(Found<'j>, Option<&'p str>)> {
    let items = elements(found.raw())?;
    if path.starts_with("#(") || path.starts_with("#[") {
        return query_step(found, &items, path, depth, work);
    }
    if let Some(after) = path.strip_prefix('#') {
        return match after.as_bytes().first() {
            None => Some((Found::owned(items.len().to_string()), None)),
            Some(b'|') => Some((Found::owned(items.len().to_string()), Some(&after[1..]))),
            Some(b'.') => {
                let (inner, rest) = split_pipe(&after[1..]);
                Some((Found::owned(collect(&items, inner, depth, work)?), rest))
            }
            _ => None,
        };
    }
    let component = Component::parse(path);
    let index: usize = component.plain()?.parse().ok()?;
    // Go reads digits only: no sign.
    component
        .plain()
        .filter(|text| text.bytes().all(|b| b.is_ascii_digit()))?;
    let item = items.get(index)?;
    Some((reborrow(found, item), component.rest()))
}

/// `[..]` with what `path` finds in each item that has it.
fn collect(items: &[&str], path: &str, depth: usize, work: &mut Budget) -> Option<String> {
    let mut out = String::from("[");
    for item in items {
        if let Some(found) = walk(Found::borrowed(item), path, depth, work) {
            if out.len() > 1 {
                out.push(',');
            }
            out.push_str(found.raw());
        }
    }
    out.push(']');
    work.spend(out.len())?;
    Some(out)
}

fn query_step<'j, 'p>(
    found: &Found<'j>,
    items: &[&str],
    path: &'p str,
    depth: usize,
    work: &mut Budget,
) -> Option<(Found<'j>, Option<&'p str>)> {
    let end = balanced(&path[1..])? + 1;
    let query = query::Query::parse(&path[2..end - 1]);
    let after = &path[end..];
    let (all, after) = match after.strip_prefix('#') {
        Some(after) => (true, after),
        None => (false, after),
    };
    let next = match after.as_bytes().first() {
        None => Next::End,
        Some(b'.') => Next::Dot(&after[1..]),
        Some(b'|') => Next::Pipe(&after[1..]),
        Some(_) => return None,
    };
    let mut matching = items
        .iter()
        .filter(|item| query.matches(item, |item, path| walk(item, path, depth, work)));
    if !all {
        let first = matching.next()?;
        let rest = match next {
            Next::End => None,
            Next::Dot(rest) | Next::Pipe(rest) => Some(rest),
        };
        return Some((reborrow(found, first), rest));
    }
    let matching: Vec<&str> = matching.copied().collect();
    Some(match next {
        Next::Dot(rest) => {
            let (inner, rest) = split_pipe(rest);
            (Found::owned(collect(&matching, inner, depth, work)?), rest)
        }
        Next::End => (Found::owned(format!("[{}]", matching.join(","))), None),
        Next::Pipe(rest) => (
            Found::owned(format!("[{}]", matching.join(","))),
            Some(rest),
        ),
    })
}

/// What follows the first component when that ends with a pipe: `|`, or a dot before a modifier
/// or a multipath. Nothing has no components.
fn after_pipe(kind: ValueKind, path: &str) -> Option<&str> {
    let is_pipe = |rest: &str| rest.starts_with(['@', '[', '{']);
    match kind {
        ValueKind::Object => match Component::parse(path).next {
            Next::Pipe(rest) => Some(rest),
            Next::Dot(rest) if is_pipe(rest) => Some(rest),
            _ => None,
        },
        ValueKind::Array => {
            let bytes = path.as_bytes();
            let mut at = 0;
            while at < bytes.len() {
                match bytes[at] {
                    b'\\' => at += 1,
                    b'|' => return Some(&path[at + 1..]),
                    b'.' => return Some(&path[at + 1..]).filter(|rest| is_pipe(rest)),
                    b'(' | b'[' | b'{' | b'"' => at += balanced(&path[at..])? - 1,
                    _ => {}
                }
                at += 1;
            }
            None
        }
        _ => None,
    }
}

/// Splits at the first pipe that is outside of brackets and strings.
fn split_pipe(path: &str) -> (&str, Option<&str>) {
    let bytes = path.as_bytes();
    let mut at = 0;
    while at < bytes.len() {
        match bytes[at] {
            b'\\' => at += 1,
            b'|' => return (&path[..at], Some(&path[at + 1..])),
            b'(' | b'[' | b'{' | b'"' => match balanced(&path[at..]) {
                Some(length) => at += length - 1,
                None => return (path, None),
            },
            _ => {}
        }
        at += 1;
    }
    (path, None)
}
