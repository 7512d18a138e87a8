//! `mqtt` and `emitter`: the messages of a topic of an MQTT 3.1.1 broker, and of a channel of emitter.io, which speaks
//! MQTT too.

mod channel;
mod connection;
mod session;
mod topic;

pub(super) use channel::KIND as EMITTER;
pub(super) use topic::KIND as MQTT;

use reconcile_core::object::FieldError;

use super::{
    kind::Input,
    server::{ServerTls, TcpServer},
};
use crate::api::TlsConfig;

/// Longest topic and client id: their length is a number of two bytes.
const LONGEST: usize = u16::MAX as usize;

/// The broker at `field`, with the port that it has where the URL names none, plain and encrypted.
fn broker(
    input: &Input<'_>,
    (field, url): (&str, &str),
    tls: Option<TlsConfig>,
    (plain, encrypted): (u16, u16),
) -> Result<TcpServer, FieldError> {
    let (scheme, address) = url.split_once("://").unwrap_or(("tcp", url));
    let (port, tls) = match scheme {
        "tcp" | "mqtt" => match tls {
            Some(tls) => (encrypted, Some(tls)),
            None => (plain, None),
        },
        "ssl" | "tls" | "mqtts" | "tcps" => (encrypted, Some(tls.unwrap_or_default())),
        other => {
            let message = format!("{other}:// is not supported; use tcp:// or ssl://");
            return Err(input.wrong(field, message));
        }
    };
    let tls = ServerTls::check(input, tls.as_ref())?;
    TcpServer::check(input, (field, address), port, tls)
}

/// Checks a text that MQTT carries.
fn text(input: &Input<'_>, field: &str, text: &str) -> Result<(), FieldError> {
    if text.is_empty() || text.len() > LONGEST || text.contains('\0') {
        return Err(input.wrong(field, "must be a text of 1 to 65535 bytes"));
    }
    Ok(())
}
