//! Queries on arrays: the inside of `#(...)`.

use super::{Found, ValueKind, brackets::balanced, component};

/// A parsed query: a path in each element, and what its value must be.
pub(super) struct Query<'p> {
    path: &'p str,
    operator: &'p str,
    value: String,
}

/// Operators, the longer ones first.
const OPERATORS: [&str; 10] = ["==", "!=", "<=", ">=", "!%", "=", "<", ">", "%", "~"];

impl<'p> Query<'p> {
    pub(super) fn parse(text: &'p str) -> Self {
        let bytes = text.as_bytes();
        let mut at = 0;
        while at < bytes.len() {
            match bytes[at] {
                b'\\' => at += 1,
                b'(' | b'[' | b'{' | b'"' => match balanced(&text[at..]) {
                    Some(length) => at += length - 1,
                    None => break,
                },
                _ => {
                    // `~` as operator is only part of a value (`==~true`); alone it is a key.
                    let operator = OPERATORS[..9]
                        .iter()
                        .find(|o| text.get(at..).is_some_and(|rest| rest.starts_with(**o)));
                    if let Some(operator) = operator {
                        return Self {
                            path: text[..at].trim(),
                            operator: &text[at..at + operator.len()],
                            value: value_of(text[at + operator.len()..].trim()),
                        };
                    }
                }
            }
            at += 1;
        }
        Self {
            path: text.trim(),
            operator: "",
            value: String::new(),
        }
    }

    /// Whether the element passes; `find` looks the path of the query up in it.
    pub(super) fn matches(
        &self,
        item: &str,
        find: impl for<'i> FnOnce(Found<'i>, &str) -> Option<Found<'i>>,
    ) -> bool {
        let item = Found::borrowed(item);
        let found = if self.path.is_empty() {
            Some(item)
        } else if matches!(item.kind(), ValueKind::Object | ValueKind::Array) {
            find(item, self.path)
        } else {
            None
        };
        if let Some(wanted) = self.value.strip_prefix('~') {
            return self.matches_truth(found.as_ref(), wanted);
        }
        found.is_some_and(|found| self.holds(&found))
    }

    /// `~true`, `~false`, `~null` and `~*` ask whether a value counts as such.
    fn matches_truth(&self, found: Option<&Found<'_>>, wanted: &str) -> bool {
        let truthy = found.is_some_and(|f| match f.kind() {
            ValueKind::Bool => f.raw() == "true",
            ValueKind::Number => f.number() != 0.0,
            ValueKind::String => {
                matches!(f.text().to_ascii_lowercase().as_str(), "1" | "t" | "true")
            }
            _ => false,
        });
        let is = match wanted {
            "true" => truthy,
            "false" => !truthy,
            "null" => found.is_none_or(|f| f.kind() == ValueKind::Null),
            "*" => found.is_some(),
            _ => return false,
        };
        match self.operator {
            "=" | "==" => is,
            "!=" => !is,
            _ => false,
        }
    }

    fn holds(&self, found: &Found<'_>) -> bool {
        let wanted = self.value.as_str();
        match (found.kind(), self.operator) {
            (_, "") => true,
            (ValueKind::String, operator) => {
                let text = found.text();
                match operator {
                    "=" | "==" => text == wanted,
                    "!=" => text != wanted,
                    "<" => *text < *wanted,
                    "<=" => *text <= *wanted,
                    ">" => *text > *wanted,
                    ">=" => *text >= *wanted,
                    "%" => component::matches_pattern(wanted, &text),
                    "!%" => !component::matches_pattern(wanted, &text),
                    _ => false,
                }
            }
            (ValueKind::Number, operator) => {
                let (number, wanted) = (found.number(), wanted.parse().unwrap_or(0.0));
                #[expect(clippy::float_cmp, reason = "the language compares floats exactly")]
                match operator {
                    "=" | "==" => number == wanted,
                    "!=" => number != wanted,
                    "<" => number < wanted,
                    "<=" => number <= wanted,
                    ">" => number > wanted,
                    ">=" => number >= wanted,
                    _ => false,
                }
            }
            (ValueKind::Bool, operator) => {
                let truth = found.raw();
                match operator {
                    "=" | "==" => wanted == truth,
                    "!=" => wanted != truth,
                    ">" => truth == "true" && wanted == "false",
                    ">=" => truth == "true",
                    "<" => truth == "false" && wanted == "true",
                    "<=" => truth == "false",
                    _ => false,
                }
            }
            // Null and containers only answer to `~` and to the question whether they exist.
            _ => false,
        }
    }
}

/// The right side of a query: a JSON string stands for its text, the rest for itself.
fn value_of(text: &str) -> String {
    if text.starts_with('"') {
        if let Ok(unescaped) = serde_json::from_str(text) {
            return unescaped;
        }
        return text.trim_matches('"').to_owned();
    }
    text.to_owned()
}
