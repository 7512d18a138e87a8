//! The filter of an event: an expression over the payload.

use std::sync::Arc;

use expressions::expr::filter::Filter;
use jiff::Timestamp;

use crate::json;

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
        let payload = json::decode(payload).map_err(|error| error.to_string())?;
        self.parsed
            .accepts(&payload, Some(now))
            .map_err(|error| error.to_string())
    }
}
