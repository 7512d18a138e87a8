//! The filter of an event: an expression over the payload.

use std::sync::Arc;

use expressions::expr::filter::Filter;
use jiff::Timestamp;

use crate::json;

/// Values in a payload that a filter looks at. A value of two bytes takes up to a hundred once it is decoded.
const MOST_VALUES: usize = 250_000;

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
    pub fn parse(text: &str) -> Result<Option<Self>, String> {
        if text.trim().is_empty() {
            return Ok(None);
        }
        let parsed = Filter::parse(text).map_err(|error| error.to_string())?;
        Ok(Some(Self {
            text: text.to_owned(),
            parsed: Arc::new(parsed),
        }))
    }

    /// Whether the payload, a JSON object, becomes an event.
    pub fn admits(&self, payload: &[u8], now: Timestamp) -> Result<bool, String> {
        let payload = std::str::from_utf8(payload).map_err(|error| error.to_string())?;
        // Each value but the first of its list or object follows a comma; those in texts only add to the bound.
        let begins = |byte: &u8| matches!(byte, b',' | b'[' | b'{');
        if payload
            .as_bytes()
            .iter()
            .filter(|byte| begins(byte))
            .count()
            > MOST_VALUES
        {
            return Err(format!("the payload has more than {MOST_VALUES} values"));
        }
        let payload = json::decode(payload).map_err(|error| error.to_string())?;
        self.parsed
            .accepts(&payload, Some(now))
            .map_err(|error| error.to_string())
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
        assert_eq!(admits(1000), Ok(true));
        assert_eq!(
            admits(MOST_VALUES),
            Err("the payload has more than 250000 values".to_owned())
        );
    }
}
