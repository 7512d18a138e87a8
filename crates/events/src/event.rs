//! The CloudEvent that crosses the bus.
//!
//! Structured JSON mode, version 1.0. The payload is written as `data_base64`, as upstream's sources do;
//! `data` is accepted too.

use base64::{Engine, engine::general_purpose::STANDARD};
use bytes::Bytes;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json, value::RawValue};
use thiserror::Error;

/// Media type of payloads that this crate makes.
pub const JSON: &str = "application/json";

/// One event with its payload decoded.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CloudEvent {
    /// Identity; also the bus's message id.
    pub id: String,
    /// Name of the EventSource.
    pub source: String,
    /// Type of the event source, for example `webhook`.
    pub type_: String,
    /// Name of the event inside the EventSource.
    pub subject: String,
    /// Media type of the payload.
    pub datacontenttype: String,
    /// When it happened, RFC 3339.
    pub time: String,
    /// The payload.
    pub data: Bytes,
}

/// A message that is not an event.
#[derive(Debug, Error)]
pub enum DecodeError {
    /// Not JSON of the expected form.
    #[error("not a CloudEvent in JSON: {0}")]
    Json(#[from] serde_json::Error),
    /// The payload is not base64.
    #[error("data_base64: {0}")]
    Base64(#[from] base64::DecodeError),
}

#[derive(Serialize)]
#[serde(rename_all = "lowercase")]
struct Out<'e> {
    specversion: &'e str,
    id: &'e str,
    source: &'e str,
    r#type: &'e str,
    #[serde(skip_serializing_if = "str::is_empty")]
    subject: &'e str,
    #[serde(skip_serializing_if = "str::is_empty")]
    datacontenttype: &'e str,
    #[serde(skip_serializing_if = "str::is_empty")]
    time: &'e str,
    data_base64: String,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct In<'b> {
    id: String,
    source: String,
    r#type: String,
    subject: Option<String>,
    datacontenttype: Option<String>,
    time: Option<String>,
    // Not copied: it is most of the message.
    #[serde(borrow)]
    data_base64: Option<&'b RawValue>,
    #[serde(borrow)]
    data: Option<&'b RawValue>,
}

impl CloudEvent {
    /// An event with a JSON payload.
    pub fn new(
        id: String,
        source: &str,
        type_: &str,
        subject: &str,
        now: Timestamp,
        data: Bytes,
    ) -> Self {
        Self {
            id,
            source: source.to_owned(),
            type_: type_.to_owned(),
            subject: subject.to_owned(),
            datacontenttype: JSON.to_owned(),
            time: now.to_string(),
            data,
        }
    }

    /// The message body.
    pub fn encode(&self) -> Bytes {
        let out = Out {
            specversion: "1.0",
            id: &self.id,
            source: &self.source,
            r#type: &self.type_,
            subject: &self.subject,
            datacontenttype: &self.datacontenttype,
            time: &self.time,
            data_base64: STANDARD.encode(&self.data),
        };
        serde_json::to_vec(&out)
            .expect("a struct of strings is always JSON")
            .into()
    }

    /// Reads a message body.
    pub fn decode(body: &[u8]) -> Result<Self, DecodeError> {
        let event: In<'_> = serde_json::from_slice(body)?;
        let datacontenttype = event.datacontenttype.unwrap_or_default();
        let data = match (event.data_base64, event.data) {
            (Some(raw), _) => encoded_data(raw)?,
            (None, Some(raw)) => plain_data(raw, &datacontenttype),
            (None, None) => Bytes::new(),
        };
        Ok(Self {
            id: event.id,
            source: event.source,
            type_: event.r#type,
            subject: event.subject.unwrap_or_default(),
            datacontenttype,
            time: event.time.unwrap_or_default(),
            data,
        })
    }

    /// The context attributes as parameters see them.
    pub fn context(&self) -> Value {
        json!({
            "id": self.id,
            "source": self.source,
            "specversion": "1.0",
            "type": self.type_,
            "datacontenttype": self.datacontenttype,
            "subject": self.subject,
            "time": self.time,
        })
    }

    /// The whole event as parameters without a key see it.
    pub fn whole(&self) -> Value {
        json!({ "context": self.context(), "data": STANDARD.encode(&self.data) })
    }

    /// The time of the event, when it is one.
    pub fn timestamp(&self) -> Option<Timestamp> {
        self.time.parse().ok()
    }
}

/// `data_base64` of an event.
fn encoded_data(raw: &RawValue) -> Result<Bytes, DecodeError> {
    let quoted = raw.get();
    let plain = quoted
        .strip_prefix('"')
        .and_then(|text| text.strip_suffix('"'))
        .filter(|text| !text.contains('\\'));
    match plain {
        Some(text) => Ok(STANDARD.decode(text)?.into()),
        // Some encoders escape slashes.
        None => Ok(STANDARD
            .decode(serde_json::from_str::<String>(quoted)?)?
            .into()),
    }
}

/// `data` of an event: JSON unchanged, or the text that a JSON string holds.
fn plain_data(raw: &RawValue, media_type: &str) -> Bytes {
    if media_type.is_empty() || media_type.contains("json") {
        return Bytes::copy_from_slice(raw.get().as_bytes());
    }
    match serde_json::from_str::<String>(raw.get()) {
        Ok(text) => text.into(),
        Err(_) => Bytes::copy_from_slice(raw.get().as_bytes()),
    }
}

/// The subject of an event on the bus.
pub fn subject(source: &str, event: &str) -> String {
    format!("default.{source}.{event}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_survives_the_wire() {
        let now = "2026-01-02T03:04:05.678Z".parse().expect("a time");
        let event = CloudEvent::new(
            "7".into(),
            "src",
            "webhook",
            "push",
            now,
            r#"{"a":1}"#.into(),
        );
        let body = event.encode();
        assert_eq!(
            std::str::from_utf8(&body).expect("UTF-8"),
            r#"{"specversion":"1.0","id":"7","source":"src","type":"webhook","subject":"push","datacontenttype":"application/json","time":"2026-01-02T03:04:05.678Z","data_base64":"eyJhIjoxfQ=="}"#
        );
        assert_eq!(CloudEvent::decode(&body).expect("an event"), event);
    }

    #[test]
    fn plain_data_is_accepted_too() {
        let event = CloudEvent::decode(br#"{"id":"1","source":"s","type":"t","data":{"x":[1]}}"#);
        assert_eq!(event.expect("an event").data, r#"{"x":[1]}"#);
        let text =
            br#"{"id":"1","source":"s","type":"t","datacontenttype":"text/plain","data":"hi"}"#;
        assert_eq!(CloudEvent::decode(text).expect("an event").data, "hi");
    }

    #[test]
    fn a_message_that_is_no_event_is_an_error() {
        assert!(CloudEvent::decode(b"hello").is_err());
        assert!(CloudEvent::decode(br#"{"id":"1","data_base64":"*"}"#).is_err());
        assert!(CloudEvent::decode(br#"{"id":"1","data_base64":7}"#).is_err());
    }

    #[test]
    fn escaped_slashes_and_null_are_read() {
        let event = CloudEvent::decode(br#"{"id":"1","data_base64":"\/\/8="}"#);
        assert_eq!(event.expect("an event").data.as_ref(), [0xFF, 0xFF]);
        let event = CloudEvent::decode(br#"{"id":"1","data_base64":null,"data":1}"#);
        assert_eq!(event.expect("an event").data, "1");
    }
}
