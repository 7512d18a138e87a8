//! Messages of AMQP 1.0: what stands beside a body, and the body.

use super::{
    encode::Fields,
    value::{Items, Malformed, Reader, Value},
};

/// Sections.
const ANNOTATIONS: u64 = 0x72;
const PROPERTIES: u64 = 0x73;
const APPLICATION: u64 = 0x74;
const DATA: u64 = 0x75;
const VALUE: u64 = 0x77;

/// A message that came in.
#[derive(Debug, Default)]
pub(crate) struct Message<'b> {
    /// Of the server.
    pub(crate) annotations: Items<'b>,
    /// Of the sender.
    pub(crate) application: Items<'b>,
    /// As text, whatever it was.
    pub(crate) id: Option<String>,
    /// The body where it is bytes.
    pub(crate) data: Vec<u8>,
    /// The body where it is a map or a list.
    pub(crate) value: Items<'b>,
}

impl<'b> Message<'b> {
    /// Reads a message.
    pub(crate) fn read(bytes: &'b [u8]) -> Result<Self, Malformed> {
        let mut reader = Reader(bytes);
        let mut message = Self::default();
        while !reader.is_empty() {
            let Value::Described(section, mut inner) = reader.value()? else {
                return Err(Malformed);
            };
            match (section, inner.value()?) {
                (ANNOTATIONS, Value::List(items)) => message.annotations = items,
                (APPLICATION, Value::List(items)) => message.application = items,
                (PROPERTIES, Value::List(mut fields)) => message.id = name(fields.field()?),
                (DATA | VALUE, Value::Binary(bytes)) => message.data.extend_from_slice(bytes),
                (VALUE, Value::Text(text)) => message.data.extend_from_slice(text.as_bytes()),
                (VALUE, Value::List(items)) => message.value = items,
                _ => {}
            }
        }
        Ok(message)
    }
}

/// The id of a message, which may be a number or bytes too.
fn name(value: Value<'_>) -> Option<String> {
    match value {
        Value::Text(text) => Some(text.to_owned()),
        Value::Unsigned(number) => Some(number.to_string()),
        Value::Binary(bytes) => Some(hex::encode(bytes)),
        Value::Uuid(bytes) => Some(uuid::Uuid::from_slice(bytes).ok()?.to_string()),
        _ => None,
    }
}

/// A request: properties of the application, and a text as the body.
pub(crate) fn request(id: u32, reply_to: &str, application: Fields, body: &str) -> Vec<u8> {
    let properties = Fields::default()
        .string(&id.to_string())
        .null()
        .null()
        .null()
        .string(reply_to);
    Fields::default()
        .composite(0x73, properties)
        .described(0x74, &Fields::default().map(application))
        .described(0x77, &Fields::default().string(body))
        .into_bytes()
}
