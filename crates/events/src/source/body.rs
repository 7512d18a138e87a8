//! The body of a message in a payload.

use std::{borrow::Cow, collections::BTreeMap};

use base64::prelude::{BASE64_STANDARD, Engine as _};
use serde::Serialize;
use serde_json::value::RawValue;

use super::{emitter, kind::SourceContext};

/// The payload of a call over HTTP, as upstream writes it.
#[derive(Serialize)]
pub(super) struct CallPayload<'p> {
    pub(super) header: BTreeMap<String, Vec<String>>,
    pub(super) body: &'p RawValue,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(super) metadata: &'p BTreeMap<String, String>,
}

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

    /// A body that is written in base64, as Go writes bytes, or as JSON with `jsonBody`.
    pub(super) fn bytes(context: &SourceContext, body: &'b [u8], json: bool) -> Option<Self> {
        if json {
            return Self::json(context, body);
        }
        Some(Self::Text(BASE64_STANDARD.encode(body).into()))
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
