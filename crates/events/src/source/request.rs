//! What endpoints read of a request, as upstream does, and what they answer.

use std::{borrow::Cow, collections::BTreeMap};

use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use thiserror::Error;

use super::emitter;

/// Fields of a form or query, as Go: each costs far more memory than the two bytes that it may consist of.
pub const MOST_FIELDS: usize = 10_000;
const MASKED: &str = "*** Masked Auth Secret ***";

/// Status and text of an answer.
pub type Answer = (StatusCode, Cow<'static, str>);

/// Whether the body is a form.
pub(super) fn is_form(headers: &HeaderMap) -> bool {
    headers
        .get(http::header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .is_some_and(|value| {
            value
                .trim_start()
                .starts_with("application/x-www-form-urlencoded")
        })
}

/// Headers as Go's `http.Header` in JSON: canonical names, lists of values, no Host.
pub fn headers_as_go(map: &HeaderMap) -> BTreeMap<String, Vec<String>> {
    let mut all: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (name, value) in map {
        if name == http::header::HOST {
            continue;
        }
        let values = all.entry(canonical(name.as_str())).or_default();
        if name == http::header::AUTHORIZATION {
            // The secret must not travel with the event.
            *values = vec![MASKED.to_owned()];
        } else {
            values.push(String::from_utf8_lossy(value.as_bytes()).into_owned());
        }
    }
    all
}

fn canonical(name: &str) -> String {
    let mut upper = true;
    name.chars()
        .map(|c| {
            let c = if upper {
                c.to_ascii_uppercase()
            } else {
                c.to_ascii_lowercase()
            };
            upper = c == '-';
            c
        })
        .collect()
}

/// A form or query with more fields than [`MOST_FIELDS`].
#[derive(Debug, PartialEq, Eq, Error)]
#[error("the form has more than {MOST_FIELDS} fields")]
pub struct TooManyFields;

/// `a=1&a=2&b=x` as `{"a":["1","2"],"b":["x"]}`.
pub fn form_as_json(text: &str) -> Result<Bytes, TooManyFields> {
    Ok(emitter::payload(&form_fields(text)?))
}

/// The fields of a form or query, each with its values.
pub(super) fn form_fields(text: &str) -> Result<BTreeMap<String, Vec<String>>, TooManyFields> {
    let mut pairs = text.split('&').filter(|pair| !pair.is_empty());
    if pairs.nth(MOST_FIELDS).is_some() {
        return Err(TooManyFields);
    }
    let mut all: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for pair in text.split('&').filter(|pair| !pair.is_empty()) {
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        all.entry(decode(key)).or_default().push(decode(value));
    }
    Ok(all)
}

/// Undoes the percent and plus encoding of forms; what is not valid stays as it is.
fn decode(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let hex = || {
            let digits = std::str::from_utf8(bytes.get(at + 1..at + 3)?).ok()?;
            u8::from_str_radix(digits, 16).ok()
        };
        match bytes[at] {
            b'+' => out.push(b' '),
            b'%' if hex().is_some() => {
                out.extend(hex());
                at += 2;
            }
            other => out.push(other),
        }
        at += 1;
    }
    String::from_utf8_lossy(&out).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms_and_queries_become_maps_of_lists() {
        assert_eq!(
            form_as_json("a=1&a=2&b=x+y%21&c&d=100%").expect("few fields"),
            r#"{"a":["1","2"],"b":["x y!"],"c":[""],"d":["100%"]}"#
        );
        assert_eq!(form_as_json("").expect("none"), "{}");
    }

    #[test]
    fn a_form_has_a_bound_on_its_fields_however_short_they_are() {
        let form = |fields: usize| form_as_json(&"a&".repeat(fields));
        assert!(form(MOST_FIELDS).is_ok());
        assert_eq!(form(MOST_FIELDS + 1), Err(TooManyFields));
        // Separators are no fields.
        assert_eq!(form_as_json(&"&".repeat(1 << 20)).expect("none"), "{}");
    }

    #[test]
    fn headers_are_canonical_and_the_token_is_masked() {
        let mut map = HeaderMap::new();
        map.insert("x-git-hub", "a".parse().expect("value"));
        map.append("x-git-hub", "b".parse().expect("value"));
        map.insert("authorization", "Bearer s3cret".parse().expect("value"));
        map.insert("host", "h".parse().expect("value"));
        let json = serde_json::to_string(&headers_as_go(&map)).expect("JSON");
        assert_eq!(
            json,
            r#"{"Authorization":["*** Masked Auth Secret ***"],"X-Git-Hub":["a","b"]}"#
        );
    }
}
