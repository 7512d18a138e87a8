//! The filter of an event: an expression over the payload.

use std::sync::Arc;

use expressions::expr::{EvalError, filter::Filter};
use jiff::Timestamp;
use thiserror::Error;

use crate::json;

/// Values in a payload that a filter looks at. A value of two bytes takes up to a hundred once it is decoded.
const MOST_VALUES: usize = 250_000;

/// Why a filter is wrong, or has no answer for a payload.
#[derive(Debug, Error)]
pub enum FilterError {
    /// The expression is wrong, or fails on this payload.
    #[error(transparent)]
    Expression(#[from] EvalError),
    /// The payload is not UTF-8.
    #[error(transparent)]
    NotText(#[from] std::str::Utf8Error),
    /// The payload has more values than a filter looks at.
    #[error("the payload has more than {MOST_VALUES} values")]
    TooManyValues,
    /// The payload cannot be decoded.
    #[error(transparent)]
    Json(#[from] serde_json::Error),
}

/// A parsed `filter.expression`.
#[derive(Clone)]
pub struct EventFilter {
    text: String,
    parsed: Arc<Filter>,
}

impl Eq for EventFilter {}

impl PartialEq for EventFilter {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl std::fmt::Debug for EventFilter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:?}", self.text)
    }
}

impl EventFilter {
    /// Parses the expression; an empty one filters nothing and is `None`.
    pub fn parse(text: &str) -> Result<Option<Self>, FilterError> {
        if text.trim().is_empty() {
            return Ok(None);
        }
        let parsed = Filter::parse(text)?;
        Ok(Some(Self {
            text: text.to_owned(),
            parsed: Arc::new(parsed),
        }))
    }

    /// Whether the payload, a JSON object, becomes an event.
    pub fn admits(&self, payload: &[u8], now: Timestamp) -> Result<bool, FilterError> {
        let payload = std::str::from_utf8(payload)?;
        // Each value but the first of its list or object follows a comma; those in texts only add to the bound.
        let begins = |byte: &u8| matches!(byte, b',' | b'[' | b'{');
        if payload
            .as_bytes()
            .iter()
            .filter(|byte| begins(byte))
            .count()
            > MOST_VALUES
        {
            return Err(FilterError::TooManyValues);
        }
        let payload = json::decode(payload)?;
        Ok(self.parsed.accepts(&payload, Some(now))?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_payload_of_too_many_values_is_not_decoded() {
        let filter = EventFilter::parse("len(body) > 0")
            .expect("parses")
            .expect("a filter");
        let admits = |values: usize| {
            let payload = format!("{{\"body\":[0{}]}}", ",0".repeat(values));
            filter.admits(payload.as_bytes(), Timestamp::UNIX_EPOCH)
        };
        assert!(admits(1000).expect("few values"));
        let refusal = admits(MOST_VALUES).expect_err("too many values");
        assert_eq!(
            refusal.to_string(),
            "the payload has more than 250000 values"
        );
    }
}
