//! JSON values as YAML text: block style, keys sorted, two spaces, strings quoted only where any
//! reader (YAML 1.1 or 1.2) could take them for something else.

use std::fmt::Write as _;

use serde_json::{Map, Value};

use super::scalar::{Scalar, plain};

const INDENT: usize = 2;

/// `value` as one YAML document, without a separator, with a line break at the end.
///
/// Lists have the indentation of their key, as `kubectl` and Go's library write them. The same
/// value always gives the same text.
pub fn to_string(value: &Value) -> String {
    let mut out = String::new();
    match value {
        Value::Object(map) if !map.is_empty() => write_map(&mut out, map, 0, First::OwnLine),
        Value::Array(list) if !list.is_empty() => write_list(&mut out, list, 0, First::OwnLine),
        other => {
            write_scalar(&mut out, other, 0);
            out.push('\n');
        }
    }
    out
}

fn pad(out: &mut String, depth: usize) {
    out.extend(std::iter::repeat_n(' ', depth));
}

/// Where the first entry of a map or list goes.
#[derive(Clone, Copy, PartialEq, Eq)]
enum First {
    /// On a line of its own.
    OwnLine,
    /// On the line that is already begun (`- key: ...`).
    SameLine,
}

fn write_map(out: &mut String, map: &Map<String, Value>, depth: usize, mut first: First) {
    for (key, value) in map {
        if first == First::OwnLine {
            pad(out, depth);
        }
        first = First::OwnLine;
        write_text(out, key, None);
        out.push(':');
        match value {
            Value::Object(inner) if !inner.is_empty() => {
                out.push('\n');
                write_map(out, inner, depth + INDENT, First::OwnLine);
            }
            Value::Array(list) if !list.is_empty() => {
                out.push('\n');
                write_list(out, list, depth, First::OwnLine);
            }
            other => {
                out.push(' ');
                write_scalar(out, other, depth + INDENT);
                out.push('\n');
            }
        }
    }
}

fn write_list(out: &mut String, list: &[Value], depth: usize, mut first: First) {
    for value in list {
        if first == First::OwnLine {
            pad(out, depth);
        }
        first = First::OwnLine;
        out.push_str("- ");
        match value {
            Value::Object(inner) if !inner.is_empty() => {
                write_map(out, inner, depth + INDENT, First::SameLine);
            }
            Value::Array(inner) if !inner.is_empty() => {
                write_list(out, inner, depth + INDENT, First::SameLine);
            }
            other => {
                write_scalar(out, other, depth + INDENT);
                out.push('\n');
            }
        }
    }
}

fn write_scalar(out: &mut String, value: &Value, depth: usize) {
    match value {
        Value::String(text) => write_text(out, text, Some(depth)),
        Value::Object(_) => out.push_str("{}"),
        Value::Array(_) => out.push_str("[]"),
        other => {
            // Null, booleans and numbers are written as in JSON.
            let _ = write!(out, "{other}");
        }
    }
}

/// `block` gives the indentation of a literal block; `None` where a block is not allowed (keys).
fn write_text(out: &mut String, text: &str, block: Option<usize>) {
    if let Some(depth) = block.filter(|_| fits_literal_block(text)) {
        out.push_str(if text.ends_with('\n') { "|" } else { "|-" });
        for line in text.trim_end_matches('\n').split('\n') {
            out.push('\n');
            if !line.is_empty() {
                pad(out, depth);
                out.push_str(line);
            }
        }
    } else if is_plain(text) {
        out.push_str(text);
    } else {
        write_quoted(out, text);
    }
}

/// Several lines of printable text, none of which begins or ends with a blank (those would change
/// the block's indentation or be invisible).
fn fits_literal_block(text: &str) -> bool {
    let body = text.strip_suffix('\n').unwrap_or(text);
    body.contains('\n')
        && !body.ends_with('\n')
        && !body.starts_with(['\n', ' ', '\t'])
        && body.split('\n').all(|line| {
            !line.ends_with([' ', '\t'])
                && line
                    .chars()
                    .all(|c| c == '\t' || (!c.is_control() && !is_odd(c)))
        })
}

/// Characters that some reader takes for a line break or a byte order mark.
fn is_odd(c: char) -> bool {
    matches!(c, '\u{85}' | '\u{2028}' | '\u{2029}' | '\u{feff}')
}

fn is_plain(text: &str) -> bool {
    let starts_well = text.chars().next().is_some_and(|c| {
        c.is_ascii_alphanumeric() || matches!(c, '_' | '/' | '.' | '$' | '(' | '+')
    });
    starts_well
        && !text.starts_with("---")
        && text.chars().all(|c| c.is_ascii_graphic() || c == ' ')
        && !text.ends_with([' ', ':'])
        && !text.contains(": ")
        && !text.contains(" #")
        && !text.contains(['{', '}', '[', ']', ',', '"', '\'', '`', '\\'])
        && matches!(plain(text), Scalar::Text(_))
        && !looks_like_number(text)
}

/// Dates, times in base 60, and other digits that another reader may take for a number.
fn looks_like_number(text: &str) -> bool {
    let digits =
        |c: char| c.is_ascii_digit() || matches!(c, '.' | '_' | ':' | '-' | '+' | 'e' | 'E');
    text.starts_with(|c: char| c.is_ascii_digit() || matches!(c, '.' | '+'))
        && (text.chars().all(digits)
            || text.contains(':')
            || text.starts_with("0o")
            || text.starts_with("0x"))
}

fn write_quoted(out: &mut String, text: &str) {
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\t' => out.push_str("\\t"),
            '\r' => out.push_str("\\r"),
            c if c.is_control() || is_odd(c) => {
                let _ = write!(out, "\\u{:04x}", u32::from(c));
            }
            c => out.push(c),
        }
    }
    out.push('"');
}
