//! The body of a message in a payload.

use std::borrow::Cow;

use serde::Serialize;
use serde_json::value::RawValue;

use super::{emitter, kind::SourceContext};

/// A body as upstream writes it.
#[derive(Serialize)]
#[serde(untagged)]
pub(super) enum Body<'b> {
    /// With `jsonBody`.
    Json(&'b RawValue),
    /// Text.
    Text(Cow<'b, str>),
}

impl<'b> Body<'b> {
    /// A body that is written as text, or as JSON with `jsonBody`; `None` when it is not JSON, which is counted.
    pub(super) fn text(context: &SourceContext, body: &'b [u8], json: bool) -> Option<Self> {
        if json {
            return Self::json(context, body);
        }
        Some(Self::Text(String::from_utf8_lossy(body)))
    }

    fn json(context: &SourceContext, body: &'b [u8]) -> Option<Self> {
        match emitter::raw_json(body) {
            Ok(json) => Some(Self::Json(json)),
            Err(error) => {
                context.refused();
                tracing::warn!(eventsource = %context.emitter.key, event = context.event(), %error, "message dropped: its body is not JSON");
                None
            }
        }
    }
}
