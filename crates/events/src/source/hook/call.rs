//! A request to the endpoint of a service, and what becomes of it.

use std::{borrow::Cow, collections::BTreeMap};

use bytes::Bytes;
use http::{HeaderMap, StatusCode, header::CONTENT_TYPE};
use jiff::Timestamp;
use reconcile_core::{egress::EgressPolicy, secret::Secret};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::value::RawValue;

use crate::source::{
    emitter,
    request::{Answer, form_fields, headers_as_go},
};

/// Headers that carry a shared secret, which must not travel with the event.
const SECRET_HEADERS: &[&str] = &["X-Gitlab-Token"];
const MASKED: &str = "*** Masked Secret ***";

/// One request, whose token and size are right.
pub struct Call<'c> {
    /// Its headers.
    pub headers: &'c HeaderMap,
    /// Its body.
    pub body: &'c [u8],
    /// Secrets of the endpoint, by field.
    pub secrets: &'c [(&'static str, Secret)],
    /// Copied into each payload.
    pub metadata: &'c BTreeMap<String, String>,
    /// The time of its arrival.
    pub now: Timestamp,
    /// Which addresses may be called about it.
    pub egress: EgressPolicy,
}

/// The fields of a form, each with its values.
pub(crate) type Form = BTreeMap<String, Vec<String>>;

/// What becomes of a request.
#[derive(Debug)]
pub struct Reaction {
    /// Events to publish, in order.
    pub events: Vec<Incoming>,
    /// The text of the answer once they are stored.
    pub answer: Cow<'static, str>,
}

/// One event.
#[derive(Debug)]
pub struct Incoming {
    /// What the service calls it; two of one name are one event.
    pub id: Option<String>,
    /// JSON.
    pub payload: Bytes,
}

impl Reaction {
    /// One event.
    pub fn event(id: Option<String>, payload: Bytes) -> Self {
        Self::events(vec![Incoming { id, payload }])
    }

    /// These events.
    pub fn events(events: Vec<Incoming>) -> Self {
        Self {
            events,
            answer: "success".into(),
        }
    }

    /// An answer without an event.
    pub fn answer(answer: impl Into<Cow<'static, str>>) -> Self {
        Self {
            events: Vec::new(),
            answer: answer.into(),
        }
    }
}

#[derive(Serialize)]
struct Payload<'p, B> {
    headers: BTreeMap<String, Vec<String>>,
    body: B,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    metadata: &'p BTreeMap<String, String>,
}

impl Call<'_> {
    /// The header, where it is text.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// The header as the name of an event, where it is not empty.
    pub fn id(&self, name: &str) -> Option<String> {
        let id = self.header(name).filter(|id| !id.is_empty());
        id.map(str::to_owned)
    }

    /// The Secret that the field names; `None` where the manifest has no such field.
    pub fn secret(&self, field: &str) -> Option<&Secret> {
        let mut secrets = self.secrets.iter();
        Some(&secrets.find(|(name, _)| *name == field)?.1)
    }

    /// The fields of a form; `None` for another type of body.
    pub fn form(&self) -> Result<Option<Form>, Answer> {
        let type_ = self.header(CONTENT_TYPE.as_str()).unwrap_or_default();
        let is_form = type_.split(';').next().is_some_and(|type_| {
            type_
                .trim()
                .eq_ignore_ascii_case("application/x-www-form-urlencoded")
        });
        is_form.then(|| self.fields()).transpose()
    }

    /// The body as the fields of a form, whatever its type.
    pub fn fields(&self) -> Result<Form, Answer> {
        form_fields(&String::from_utf8_lossy(self.body))
            .map_err(|error| malformed(error.to_string()))
    }

    /// The body, as JSON of this form.
    pub fn json<T: DeserializeOwned>(&self) -> Result<T, Answer> {
        parse(self.body)
    }

    /// `{headers, body, metadata}`, the payload of most services.
    pub fn payload(&self, body: impl Serialize) -> Bytes {
        emitter::payload(&Payload {
            headers: self.safe_headers(),
            body,
            metadata: self.metadata,
        })
    }

    /// Headers as Go has them, without secrets.
    pub fn safe_headers(&self) -> BTreeMap<String, Vec<String>> {
        let mut headers = headers_as_go(self.headers);
        for name in SECRET_HEADERS {
            if let Some(values) = headers.get_mut(*name) {
                *values = vec![MASKED.to_owned()];
            }
        }
        headers
    }
}

/// Reads JSON of a form that the error does not need to name: the sender knows it.
pub(super) fn parse<T: DeserializeOwned>(text: &[u8]) -> Result<T, Answer> {
    // As Go, which takes bytes that are not UTF-8 inside of strings.
    let text = String::from_utf8_lossy(text);
    serde_json::from_str(&text).map_err(|error| {
        let message = format!("the request body is not the expected JSON: {error}");
        (StatusCode::BAD_REQUEST, message.into())
    })
}

/// Text as JSON.
pub(super) fn raw(value: &impl Serialize) -> Box<RawValue> {
    serde_json::value::to_raw_value(value).expect("plain text is always JSON")
}

/// The request is not what the service sends.
pub(super) fn malformed(message: impl Into<Cow<'static, str>>) -> Answer {
    (StatusCode::BAD_REQUEST, message.into())
}

/// The request is not signed as it should be.
pub(super) fn unauthorised(message: &'static str) -> Answer {
    (StatusCode::UNAUTHORIZED, message.into())
}
