//! SJSON (`tidwall/sjson`): sets and deletes values in JSON text by path.
//!
//! A path is a list of keys joined by dots; `\.` is a dot inside of a key, a number is an index
//! in an array, `-1` appends, and `:` before a number makes it a key. Missing parents are
//! created; what is not on the way keeps its text. A path with the searching elements of GJSON
//! (`*`, `?`, `#(...)`, `|`, `@`) replaces the value it finds and changes nothing otherwise.

use crate::gjson::{Members, elements, members};
use crate::go_text::json;

/// Paths longer than this are refused.
pub const MAX_PATH: usize = 4096;

/// Keys a path may have. Each is one level of JSON, and JSON deeper than 128 levels cannot be
/// read again.
const MAX_KEYS: usize = 100;

/// Arrays are filled with null up to a new index; this bounds how many.
const MAX_INDEX: usize = 10_000;

/// Why a value could not be set.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SetError {
    /// The path is empty.
    #[error("path cannot be empty")]
    EmptyPath,
    /// The path searches, which only reading and setting can do.
    #[error("`{character}` is not allowed in path `{path}`")]
    NotAKey {
        /// The path.
        path: String,
        /// The wildcard, query or modifier character.
        character: char,
    },
    /// The path or an index in it is too large.
    #[error("path `{path}` is too long or has a too large index")]
    TooLarge {
        /// The beginning of the path.
        path: String,
    },
    /// A key is used on an array.
    #[error("cannot use the key `{key}` of path `{path}` in an array")]
    KeyOnArray {
        /// The path.
        path: String,
        /// The key that is no index.
        key: String,
    },
    /// The document or the new value is no JSON.
    #[error("{what} is no JSON, or is nested too deeply")]
    NotJson {
        /// Which of the two.
        what: &'static str,
    },
}

/// Sets the value at `path` to a string.
pub fn set_string(document: &str, path: &str, value: &str) -> Result<String, SetError> {
    let mut raw = String::with_capacity(value.len() + 2);
    json::write_text(&mut raw, value, false);
    set_raw(document, path, &raw)
}

/// Sets the value at `path` to a JSON value.
pub fn set(document: &str, path: &str, value: &serde_json::Value) -> Result<String, SetError> {
    set_raw(document, path, &value.to_string())
}

/// Sets the value at `path` to JSON text. An empty document counts as nothing yet.
pub fn set_raw(document: &str, path: &str, raw: &str) -> Result<String, SetError> {
    check_json(raw, "the new value")?;
    if !document.trim().is_empty() {
        check_json(document, "the document")?;
    }
    let document = document.trim();
    let Some(keys) = keys(path)? else {
        return Ok(replaced(document, path, raw));
    };
    let mut out = String::with_capacity(document.len() + raw.len() + path.len());
    write_set(&mut out, document, &keys, raw, path)?;
    Ok(out)
}

/// Puts `raw` where a searching path leads.
fn replaced(document: &str, path: &str, raw: &str) -> String {
    match crate::gjson::get(document, path).and_then(|found| found.position_in(document)) {
        Some((start, end)) => format!("{}{raw}{}", &document[..start], &document[end..]),
        None => document.to_owned(),
    }
}

/// Deletes the value at `path`; nothing happens when there is none.
pub fn delete(document: &str, path: &str) -> Result<String, SetError> {
    check_json(document, "the document")?;
    let Some(keys) = keys(path)? else {
        let character = path.chars().find(|c| SEARCHING.contains(c)).unwrap_or('@');
        return Err(SetError::NotAKey {
            path: path.to_owned(),
            character,
        });
    };
    Ok(deleted(document.trim(), &keys).unwrap_or_else(|| document.to_owned()))
}

fn check_json(text: &str, what: &'static str) -> Result<(), SetError> {
    if crate::gjson::is_json(text) {
        Ok(())
    } else {
        Err(SetError::NotJson { what })
    }
}

struct Key {
    text: String,
    /// Written with a `:` before it: never an index.
    forced: bool,
}

impl Key {
    /// The index this key is in an array.
    fn index(&self) -> Option<usize> {
        let digits = !self.text.is_empty() && self.text.bytes().all(|b| b.is_ascii_digit());
        if digits && !self.forced {
            self.text.parse().ok()
        } else {
            None
        }
    }

    fn appends(&self) -> bool {
        self.text == "-1" && !self.forced
    }
}

/// Characters that search instead of naming one place.
const SEARCHING: [char; 4] = ['*', '?', '|', '#'];

/// The keys of a path; `None` when the path searches.
fn keys(path: &str) -> Result<Option<Vec<Key>>, SetError> {
    if path.is_empty() {
        return Err(SetError::EmptyPath);
    }
    let too_large = || SetError::TooLarge {
        path: path.chars().take(80).collect(),
    };
    if path.len() > MAX_PATH {
        return Err(too_large());
    }
    let mut keys = Vec::new();
    let mut chars = path.chars().peekable();
    loop {
        let forced = chars.peek() == Some(&':');
        if forced {
            chars.next();
        }
        let mut text = String::new();
        let mut more = false;
        while let Some(c) = chars.next() {
            match c {
                '\\' => text.extend(chars.next()),
                '.' => {
                    more = true;
                    break;
                }
                c if SEARCHING.contains(&c) => return Ok(None),
                '@' if text.is_empty() => return Ok(None),
                c => text.push(c),
            }
        }
        let key = Key { text, forced };
        if keys.len() >= MAX_KEYS || key.index().is_some_and(|index| index > MAX_INDEX) {
            return Err(too_large());
        }
        keys.push(key);
        if !more {
            return Ok(Some(keys));
        }
    }
}

fn write_set(
    out: &mut String,
    current: &str,
    keys: &[Key],
    raw: &str,
    path: &str,
) -> Result<(), SetError> {
    let Some((key, rest)) = keys.split_first() else {
        out.push_str(raw);
        return Ok(());
    };
    if let Some(members) = members(current) {
        return write_object(out, &members, key, |out, old| {
            write_set(out, old, rest, raw, path)
        });
    }
    let is_array = current.starts_with('[');
    let items = elements(current).unwrap_or_default();
    let is_new = current.is_empty() && out.is_empty();
    let at = match (is_array, key.index(), key.appends() && !is_new) {
        (_, Some(index), _) => index,
        (_, _, true) => items.len(),
        (false, ..) => {
            // Anything that is not a container gives way to a new object.
            return write_object(out, &Vec::new(), key, |out, old| {
                write_set(out, old, rest, raw, path)
            });
        }
        (true, ..) => {
            return Err(SetError::KeyOnArray {
                path: path.to_owned(),
                key: key.text.clone(),
            });
        }
    };
    out.push('[');
    for index in 0..items.len().max(at + 1) {
        if index > 0 {
            out.push(',');
        }
        match items.get(index) {
            old if index == at => write_set(out, old.unwrap_or(&""), rest, raw, path)?,
            Some(old) => out.push_str(old),
            None => out.push_str("null"),
        }
    }
    out.push(']');
    Ok(())
}

fn write_object(
    out: &mut String,
    members: &Members<'_>,
    key: &Key,
    write_value: impl FnOnce(&mut String, &str) -> Result<(), SetError>,
) -> Result<(), SetError> {
    let mut write_value = Some(write_value);
    out.push('{');
    for (name, value) in members {
        if !out.ends_with('{') {
            out.push(',');
        }
        json::write_text(out, name, false);
        out.push(':');
        match (*name == key.text).then(|| write_value.take()).flatten() {
            Some(write) => write(out, value)?,
            None => out.push_str(value),
        }
    }
    if let Some(write) = write_value {
        if !members.is_empty() {
            out.push(',');
        }
        json::write_text(out, &key.text, false);
        out.push(':');
        write(out, "")?;
    }
    out.push('}');
    Ok(())
}

/// The document without the value; `None` when there is no such value.
fn deleted(current: &str, keys: &[Key]) -> Option<String> {
    let (key, rest) = keys.split_first()?;
    if let Some(members) = members(current) {
        let found = members.iter().position(|(name, _)| *name == key.text)?;
        let mut parts = Vec::with_capacity(members.len());
        for (index, (name, value)) in members.iter().enumerate() {
            let mut part = String::new();
            json::write_text(&mut part, name, false);
            part.push(':');
            match (index == found, rest.is_empty()) {
                (true, true) => continue,
                (true, false) => part.push_str(&deleted(value, rest)?),
                (false, _) => part.push_str(value),
            }
            parts.push(part);
        }
        return Some(format!("{{{}}}", parts.join(",")));
    }
    let items = elements(current)?;
    let found = if key.appends() {
        items.len().checked_sub(1)?
    } else {
        key.index()?
    };
    let inner = if rest.is_empty() {
        items.get(found)?;
        None
    } else {
        Some(deleted(items.get(found)?, rest)?)
    };
    let mut parts: Vec<&str> = items.clone();
    match &inner {
        Some(inner) => parts[found] = inner,
        None => {
            parts.remove(found);
        }
    }
    Some(format!("[{}]", parts.join(",")))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn untouched_parts_keep_their_text() {
        assert_eq!(
            set_string(r#"{"b": 1.50, "a": {"z": [1, 2]}}"#, "a.y", "\"<").unwrap(),
            r#"{"b":1.50,"a":{"z":[1, 2],"y":"\"<"}}"#
        );
    }

    #[test]
    fn bad_paths_are_explained() {
        for (path, message) in [
            ("", "path cannot be empty"),
            ("l.k", "cannot use the key `k` of path `l.k` in an array"),
            (
                "l.99999",
                "path `l.99999` is too long or has a too large index",
            ),
        ] {
            let error = set_string(r#"{"l": []}"#, path, "v").unwrap_err();
            assert_eq!(error.to_string(), message);
        }
        assert!(set_string("{}", &"a.".repeat(200), "v").is_err());
        assert_eq!(
            delete("{}", "a.#").unwrap_err().to_string(),
            "`#` is not allowed in path `a.#`"
        );
        assert!(set_raw("{}", "a", "{").is_err());
        assert!(set_raw("{", "a", "1").is_err());
    }

    proptest! {
        #[test]
        fn what_is_set_can_be_read(path in "[ab01]{1,2}(\\.[ab01]{1,2}){0,3}", start in prop::sample::select(vec!["", "{}", "{\"a\":{\"b\":[1]}}", "{\"0\":[{}]}"])) {
            if let Ok(document) = set_string(start, &path, "new") {
                // `-1` alone makes a key, which reads back as well.
                prop_assert_eq!(crate::gjson::get(&document, &path).unwrap().text(), "new");
            }
        }

        #[test]
        fn no_path_panics(path in "[ab01.:\\\\é@-]{0,12}") {
            let document = r#"{"a": [1, {"b": "é"}], "0": null}"#;
            let _ = set_string(document, &path, "v");
            let _ = delete(document, &path);
        }
    }
}
