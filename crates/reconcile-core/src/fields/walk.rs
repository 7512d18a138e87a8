//! Matches a value against the patterns of a table while walking it once.

use std::fmt::Write as _;

use serde_json::Value;

use super::{Field, Finding, Level};

/// A row whose pattern agrees with the path walked so far.
#[derive(Clone, Copy)]
struct Candidate<'t> {
    field: &'t Field,
    /// What is left of the pattern: empty when the row names this very node, `.**` for a subtree.
    rest: &'t str,
    /// How many keys were matched by `{*}`; fewer is more exact.
    wild: usize,
}

const SUBTREE: &str = ".**";
const ANY_KEY: &str = "{*}";
const ANY_INDEX: &str = "[]";

pub(super) fn walk<'t>(
    value: &Value,
    root: &str,
    table: impl Iterator<Item = &'t Field>,
) -> Vec<Finding> {
    let candidates: Vec<_> = table
        .filter_map(|field| {
            let rest = field.path.strip_prefix(root)?;
            let at_border = rest.is_empty() || rest.starts_with(['.', '[']);
            at_border.then_some(Candidate {
                field,
                rest,
                wild: 0,
            })
        })
        .collect();
    let mut found = Vec::new();
    let mut path = root.to_owned();
    visit(value, &mut path, &candidates, &mut found);
    found
}

fn visit(value: &Value, path: &mut String, candidates: &[Candidate<'_>], out: &mut Vec<Finding>) {
    if is_unset(value) {
        return;
    }
    let below = candidates
        .iter()
        .any(|c| !c.rest.is_empty() && c.rest != SUBTREE);
    match decide(candidates) {
        Some(field) if field.level != Level::Supported => {
            // A row below an unsupported subtree may still be supported: keep looking for it, but a
            // field that has a row of its own is reported whole.
            let exact = candidates.iter().any(|c| c.rest.is_empty());
            if exact || !below || !descend(value, path, candidates, out) {
                out.push(Finding {
                    path: path.clone(),
                    level: field.level,
                    note: field.note,
                });
            }
        }
        Some(_) | None if below => {
            descend(value, path, candidates, out);
        }
        Some(_) => {}
        None => out.push(Finding {
            path: path.clone(),
            level: Level::Unknown,
            note: "",
        }),
    }
}

/// The row that speaks for this node itself: its own row first, else the deepest subtree.
fn decide<'t>(candidates: &[Candidate<'t>]) -> Option<&'t Field> {
    let exact = candidates
        .iter()
        .filter(|c| c.rest.is_empty())
        .min_by_key(|c| c.wild);
    let subtree = || {
        candidates
            .iter()
            .filter(|c| c.rest == SUBTREE)
            .max_by_key(|c| {
                (
                    c.field.path.matches(['.', '[']).count(),
                    std::cmp::Reverse(c.wild),
                )
            })
    };
    exact.or_else(subtree).map(|c| c.field)
}

/// Visits the children; false when the value has none (it is a scalar).
fn descend(
    value: &Value,
    path: &mut String,
    candidates: &[Candidate<'_>],
    out: &mut Vec<Finding>,
) -> bool {
    let length = path.len();
    match value {
        Value::Object(map) => {
            for (key, child) in map {
                path.push('.');
                path.push_str(key);
                visit(child, path, &step_key(candidates, key), out);
                path.truncate(length);
            }
            true
        }
        Value::Array(list) => {
            let inner = step_index(candidates);
            for (index, child) in list.iter().enumerate() {
                // Writing to a text cannot fail.
                let _ = write!(path, "[{index}]");
                visit(child, path, &inner, out);
                path.truncate(length);
            }
            true
        }
        _ => false,
    }
}

fn step_key<'t>(candidates: &[Candidate<'t>], key: &str) -> Vec<Candidate<'t>> {
    let mut next = Vec::new();
    for candidate in candidates {
        if candidate.rest == SUBTREE {
            next.push(*candidate);
            continue;
        }
        let Some(rest) = candidate.rest.strip_prefix('.') else {
            continue;
        };
        if let Some(rest) = rest.strip_prefix(ANY_KEY) {
            next.push(Candidate {
                rest,
                wild: candidate.wild + 1,
                ..*candidate
            });
        } else if let Some(rest) = rest.strip_prefix(key)
            && (rest.is_empty() || rest.starts_with(['.', '[']))
        {
            next.push(Candidate { rest, ..*candidate });
        }
    }
    next
}

fn step_index<'t>(candidates: &[Candidate<'t>]) -> Vec<Candidate<'t>> {
    // A list of plain values may be named without `[]`: the row of the list covers its elements.
    candidates
        .iter()
        .filter_map(|candidate| {
            if candidate.rest == SUBTREE {
                return Some(*candidate);
            }
            let rest = candidate.rest.strip_prefix(ANY_INDEX)?;
            Some(Candidate { rest, ..*candidate })
        })
        .collect()
}

fn is_unset(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::String(text) => text.is_empty(),
        Value::Array(list) => list.is_empty(),
        _ => false,
    }
}
