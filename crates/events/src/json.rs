//! JSON of foreign events, decoded as Go does.

use std::borrow::Cow;

use serde_json::Value;

/// Decodes JSON text. Half of a surrogate pair, which JSON permits and Unicode does not, becomes U+FFFD.
pub fn decode(text: &str) -> Result<Value, serde_json::Error> {
    serde_json::from_str(&without_lone_surrogates(text))
}

/// Replaces `\ud800` to `\udfff` where it is not part of a pair.
fn without_lone_surrogates(text: &str) -> Cow<'_, str> {
    let bytes = text.as_bytes();
    let mut fixed: Option<String> = None;
    let (mut at, mut copied) = (0, 0);
    while let Some(offset) = bytes[at..].iter().position(|byte| *byte == b'\\') {
        at += offset;
        let Some(unit) = escaped_unit(bytes, at) else {
            // Another escape: two bytes, the second of which may be a backslash.
            at = (at + 2).min(bytes.len());
            continue;
        };
        let low = escaped_unit(bytes, at + 6).is_some_and(|next| (0xDC00..0xE000).contains(&next));
        match unit {
            0xD800..0xDC00 if low => at += 12,
            0xD800..0xE000 => {
                let fixed = fixed.get_or_insert_with(String::new);
                fixed.push_str(&text[copied..at]);
                fixed.push_str("\\ufffd");
                at += 6;
                copied = at;
            }
            _ => at += 6,
        }
    }
    match fixed {
        None => Cow::Borrowed(text),
        Some(mut fixed) => {
            fixed.push_str(&text[copied..]);
            Cow::Owned(fixed)
        }
    }
}

/// The UTF-16 unit of `\uXXXX` at a position.
fn escaped_unit(bytes: &[u8], at: usize) -> Option<u16> {
    let escape = bytes.get(at..at + 6)?;
    if !escape.starts_with(b"\\u") {
        return None;
    }
    let digits = std::str::from_utf8(&escape[2..]).ok()?;
    digits
        .bytes()
        .all(|byte| byte.is_ascii_hexdigit())
        .then(|| u16::from_str_radix(digits, 16).ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_of_a_pair_is_replaced_and_nothing_else() {
        let decoded = |text: &str| decode(text).map(|value| value.to_string());
        assert_eq!(
            decoded(r#"{"s":"ok \ud83d cut","t":"\ude00"}"#).expect("decodes"),
            "{\"s\":\"ok \u{fffd} cut\",\"t\":\"\u{fffd}\"}"
        );
        for good in [r#""\ud83d\ude00""#, r#""\\ud83d""#, r#""a\"b\n""#] {
            assert!(
                matches!(without_lone_surrogates(good), Cow::Borrowed(_)),
                "{good}"
            );
        }
        assert_eq!(
            decoded(r#""\ud83d\ud83d\ude00""#).expect("decodes"),
            "\"\u{fffd}\u{1f600}\""
        );
        assert!(decoded(r#""\ud83"#).is_err());
    }
}
