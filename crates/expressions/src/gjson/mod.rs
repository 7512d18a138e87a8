//! GJSON paths (`tidwall/gjson`): how sensors and filters pick values out of an event.
//!
//! Paths work on the JSON text, not on a decoded value, so that a picked object keeps the order
//! of its keys and a picked number keeps its digits. Supported: keys with `\` escapes and the
//! wildcards `*` and `?`, indexes, `#`, `#.path`, queries `#(a=="b")` and `#(...)#`, pipes, the
//! modifiers `@this @valid @ugly @pretty @reverse @keys @values @flatten @join @tostr @fromstr`,
//! multipaths `[a,b]` and `{a,b}`, and literals `!"x"`.

mod brackets;
mod component;
mod members;
mod modifiers;
mod multipath;
mod path;
mod query;

use std::borrow::Cow;

pub(crate) use members::{Members, elements, members};

/// Longer paths are refused (nothing is found).
pub const MAX_PATH: usize = 4096;

/// Nesting of queries, multipaths and pipes that a path may have.
const MAX_DEPTH: usize = 48;

/// Nesting that a document may have. Go reads 10,000 levels, but laying out or flattening takes time
/// and memory with the square of the depth; no document that people write has as many as this.
const MAX_NESTING: usize = 512;

/// True for JSON that is not nested too deeply.
pub(crate) fn is_json(text: &str) -> bool {
    is_shallow(text) && serde_json::from_str::<serde::de::IgnoredAny>(text).is_ok()
}

/// Counts the brackets outside of strings.
fn is_shallow(text: &str) -> bool {
    let mut depth = 0_usize;
    let mut in_string = false;
    let mut escaped = false;
    for byte in text.bytes() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = in_string,
            b'"' => in_string = !in_string,
            b'[' | b'{' if !in_string => depth += 1,
            b']' | b'}' if !in_string => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth > MAX_NESTING {
            return false;
        }
    }
    true
}

/// The kind of a JSON value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ValueKind {
    /// `null`
    Null,
    /// `true` or `false`
    Bool,
    /// A number.
    Number,
    /// A string.
    String,
    /// An object.
    Object,
    /// An array.
    Array,
}

/// Bytes that one lookup may read and write, counted at each step: pipes and multipaths could
/// read and copy a large document again and again.
const MAX_WORK: usize = 64 << 20;

/// What is left of a lookup's bounds.
#[derive(Debug)]
struct Budget {
    left: usize,
    /// Set when the bounds were met: a part that was not found then says nothing.
    exhausted: bool,
}

impl Budget {
    fn spend(&mut self, bytes: usize) -> Option<()> {
        let Some(left) = self.left.checked_sub(bytes) else {
            self.exhausted = true;
            self.left = 0;
            return None;
        };
        self.left = left;
        Some(())
    }
}

/// A value that a path has found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found<'j> {
    raw: Cow<'j, str>,
}

impl<'j> Found<'j> {
    fn borrowed(raw: &'j str) -> Self {
        Self {
            raw: Cow::Borrowed(raw.trim_matches(is_space)),
        }
    }

    fn owned(raw: String) -> Found<'static> {
        Found {
            raw: Cow::Owned(raw),
        }
    }

    /// Position of the value in the document it was found in; `None` when it was put together.
    pub(crate) fn position_in(&self, document: &str) -> Option<(usize, usize)> {
        let Cow::Borrowed(raw) = self.raw else {
            return None;
        };
        let start = (raw.as_ptr() as usize).checked_sub(document.as_ptr() as usize)?;
        let end = start.checked_add(raw.len())?;
        (document.get(start..end) == Some(raw)).then_some((start, end))
    }

    /// The JSON text of the value, as it stood in the document.
    pub fn raw(&self) -> &str {
        &self.raw
    }

    /// The kind of the value.
    pub fn kind(&self) -> ValueKind {
        match self.raw.as_bytes().first() {
            Some(b'{') => ValueKind::Object,
            Some(b'[') => ValueKind::Array,
            Some(b'"') => ValueKind::String,
            Some(b't' | b'f') => ValueKind::Bool,
            Some(b'n') | None => ValueKind::Null,
            _ => ValueKind::Number,
        }
    }

    /// The value as text, as `Result.String()` of the Go library: strings unescaped, whole numbers
    /// with their digits, other numbers without exponent, null as nothing, the rest as JSON.
    pub fn text(&self) -> String {
        match self.kind() {
            ValueKind::Null => String::new(),
            ValueKind::String => serde_json::from_str(&self.raw).unwrap_or_default(),
            ValueKind::Number => {
                let digits = self.raw.strip_prefix('-').unwrap_or(&self.raw);
                if digits.bytes().all(|b| b.is_ascii_digit()) {
                    self.raw.to_string()
                } else {
                    format!("{}", self.number())
                }
            }
            _ => self.raw.to_string(),
        }
    }

    /// The number; numbers in strings count, true is one, everything else zero.
    pub fn number(&self) -> f64 {
        match self.kind() {
            ValueKind::Number => self.raw.parse().unwrap_or(0.0),
            ValueKind::Bool if self.raw == "true" => 1.0,
            ValueKind::String => self.text().parse().unwrap_or(0.0),
            _ => 0.0,
        }
    }

    /// The decoded value; null when it is nested too deeply to be decoded.
    pub fn to_json(&self) -> serde_json::Value {
        serde_json::from_str(&self.raw).unwrap_or_default()
    }
}

/// Whitespace of JSON.
fn is_space(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\n' | '\r')
}

/// Looks `path` up in `json`. `None` when there is nothing at that place, when `json` is no JSON
/// (the Go library is undefined there) or is nested too deeply, or when the lookup takes too much work.
pub fn get<'j>(json: &'j str, path: &str) -> Option<Found<'j>> {
    if path.len() > MAX_PATH || !is_json(json) {
        return None;
    }
    let mut work = Budget {
        left: MAX_WORK,
        exhausted: false,
    };
    path::walk(Found::borrowed(json), path, 0, &mut work).filter(|_| !work.exhausted)
}

/// Looks `path` up in a decoded value. Objects come out with sorted keys.
pub fn get_in(value: &serde_json::Value, path: &str) -> Option<serde_json::Value> {
    let text = value.to_string();
    get(&text, path).map(|found| found.to_json())
}

#[cfg(test)]
mod tests;
