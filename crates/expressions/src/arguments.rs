//! Substitution of `{{args.name}}` in the JSON text of an analysis metric.
//!
//! The whole object is written as JSON, tags are replaced inside of that text, and the result is
//! read again. Values are therefore escaped as JSON strings are, without the quotes; that is also
//! why a numeric looking text works in fields that take an integer or a string.

use crate::go_text::json;

/// Objects whose JSON is larger than this, before or after substitution, are refused: the API
/// server itself takes no more than 1.5 MiB.
pub const MAX_LENGTH: usize = 3 * 1024 * 1024;

/// Why a text could not be filled in.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ArgumentError {
    /// A tag names nothing that has a value.
    #[error("failed to resolve {{{{{tag}}}}}")]
    Unresolved {
        /// The tag without braces and surrounding space.
        tag: String,
    },
    /// A `{{` has no `}}`.
    #[error("`{{{{` at byte {at} has no closing `}}}}`")]
    Unclosed {
        /// Where the tag starts.
        at: usize,
    },
    /// Input or output is larger than [`MAX_LENGTH`].
    #[error("text is larger than {MAX_LENGTH} bytes")]
    TooLong,
    /// The text is no JSON after substitution.
    #[error("text is no JSON after its arguments were filled in: {reason}")]
    NotJson {
        /// The parser's message.
        reason: String,
    },
}

/// Replaces each `{{tag}}` by what `resolve` gives for the trimmed tag, exactly as given.
pub fn substitute(
    text: &str,
    mut resolve: impl FnMut(&str) -> Option<String>,
) -> Result<String, ArgumentError> {
    if text.len() > MAX_LENGTH {
        return Err(ArgumentError::TooLong);
    }
    let mut out = String::with_capacity(text.len());
    let mut at = 0;
    while let Some(start) = text[at..].find("{{").map(|found| at + found) {
        out.push_str(&text[at..start]);
        let Some(end) = text[start + 2..].find("}}").map(|found| start + 2 + found) else {
            return Err(ArgumentError::Unclosed { at: start });
        };
        let tag = text[start + 2..end].trim();
        let value = resolve(tag).ok_or_else(|| ArgumentError::Unresolved {
            tag: tag.to_owned(),
        })?;
        out.push_str(&value);
        if out.len() > MAX_LENGTH {
            return Err(ArgumentError::TooLong);
        }
        at = end + 2;
    }
    out.push_str(&text[at..]);
    Ok(out)
}

/// Fills `{{args.name}}` tags in JSON text; `resolve` gets the name without `args.`. Every other
/// tag is an error.
pub fn substitute_args<'v>(
    json_text: &str,
    resolve: impl Fn(&str) -> Option<&'v str>,
) -> Result<String, ArgumentError> {
    substitute(json_text, |tag| {
        let value = resolve(tag.strip_prefix("args.")?)?;
        Some(escape(value))
    })
}

/// Fills `{{args.name}}` tags in every text of a JSON value, as if it were written out and read
/// again.
pub fn substitute_args_in<'v>(
    value: &serde_json::Value,
    resolve: impl Fn(&str) -> Option<&'v str>,
) -> Result<serde_json::Value, ArgumentError> {
    let text = json::to_string(value, json::RAW);
    let filled = substitute_args(&text, resolve)?;
    serde_json::from_str(&filled).map_err(|error| ArgumentError::NotJson {
        reason: error.to_string(),
    })
}

/// The inside of a JSON string.
fn escape(value: &str) -> String {
    let mut quoted = String::with_capacity(value.len() + 2);
    json::write_text(&mut quoted, value, true);
    quoted[1..quoted.len() - 1].to_owned()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn args(name: &str) -> Option<&'static str> {
        match name {
            "name" => Some("guestbook"),
            "count" => Some("3"),
            "quoted" => Some("say \"hi\"\n"),
            "nested" => Some("{{args.name}}"),
            _ => None,
        }
    }

    #[test]
    fn tags_are_filled_with_escaped_values() {
        let metric = json!({"query": "up{app=\"{{args.name}}\"}", "text": "{{ args.quoted }}"});
        assert_eq!(
            substitute_args_in(&metric, args).unwrap(),
            json!({"query": "up{app=\"guestbook\"}", "text": "say \"hi\"\n"})
        );
    }

    #[test]
    fn values_are_not_filled_again() {
        assert_eq!(
            substitute_args("{{args.nested}}", args).unwrap(),
            "{{args.name}}"
        );
    }

    #[test]
    fn unknown_tags_are_named() {
        for (text, message) in [
            ("{{args.missing}}", "failed to resolve {{args.missing}}"),
            ("{{ name }}", "failed to resolve {{name}}"),
            ("a {{args.name", "`{{` at byte 2 has no closing `}}`"),
        ] {
            assert_eq!(
                substitute_args(text, args).unwrap_err().to_string(),
                message
            );
        }
    }

    proptest! {
        #[test]
        fn no_text_panics(text in "[{}a. é\"]{0,30}") {
            let _ = substitute_args(&text, |_| Some("}}\"{{"));
        }

        #[test]
        fn a_value_arrives_unchanged(value in "\\PC{0,30}") {
            let filled = substitute_args_in(&json!({"v": "<{{args.x}}>"}), |_| Some(&value)).unwrap();
            prop_assert_eq!(filled["v"].as_str().unwrap(), format!("<{value}>"));
        }
    }
}
