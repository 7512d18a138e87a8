//! The messages of one server: published, and finished when the bus has stored them.

use std::{
    collections::{BTreeMap, BTreeSet},
    convert::Infallible,
    time::Duration,
};

use bytes::Bytes;
use futures::{StreamExt, stream::FuturesUnordered};
use serde::Serialize;
use tokio::time::Instant;

use super::{
    Nsq,
    connection::{Body, Connection, Frame, Message, NsqError},
};
use crate::source::{
    EmitError,
    backlog::Reservation,
    body,
    kind::{SourceContext, SourceError},
    server::TcpServer,
};

/// Messages that the server may send before any is finished.
const AT_ONCE: usize = 64;
/// A message that cannot be taken now comes again after so many milliseconds.
const AGAIN: u64 = 5_000;
/// How long a message is ours, where the server does not say it.
const TIMEOUT: Duration = Duration::from_secs(60);

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Payload<'p> {
    body: body::Body<'p>,
    timestamp: String,
    nsqd_address: &'p str,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    metadata: &'p BTreeMap<String, String>,
}

/// What becomes of a message.
enum Outcome {
    Done,
    Again,
}

/// Reads a server until that fails.
pub(super) async fn follow(
    nsq: &Nsq,
    context: &SourceContext,
    server: &TcpServer,
) -> Result<Infallible, SourceError> {
    let (mut connection, held) = subscribe(nsq, context, server).await?;
    context.report(None);
    let failed = |error: NsqError| server.failed(&context.excerpt(&error.to_string()));
    let mut waiting: BTreeSet<String> = BTreeSet::new();
    let mut taken = FuturesUnordered::new();
    // Long before they go to another reader.
    let mut touch = tokio::time::interval_at(Instant::now() + held / 3, held / 3);
    loop {
        tokio::select! {
            frame = connection.next() => {
                if let Frame::Message(message) = frame.map_err(failed)? {
                    match context.share.take(message.held()) {
                        Some(room) => {
                            waiting.insert(message.id.clone());
                            taken.push(publish(nsq, context, server, message, room));
                        }
                        // It stays at the server until there is room in memory.
                        None => connection.queue(&format!("REQ {} {AGAIN}", message.id)),
                    }
                }
            }
            Some((id, outcome)) = taken.next(), if !taken.is_empty() => {
                connection.queue(&match outcome {
                    Outcome::Done => format!("FIN {id}"),
                    Outcome::Again => format!("REQ {id} {AGAIN}"),
                });
                waiting.remove(&id);
            }
            _ = touch.tick() => {
                for id in &waiting {
                    connection.queue(&format!("TOUCH {id}"));
                }
            }
        }
        connection.flush().await.map_err(failed)?;
    }
}

/// A connection that gets messages, and how long each of them is ours.
async fn subscribe(
    nsq: &Nsq,
    context: &SourceContext,
    server: &TcpServer,
) -> Result<(Connection, Duration), SourceError> {
    let failed = |error: NsqError| server.failed(&context.excerpt(&error.to_string()));
    let stream = server.connect_with(context.egress, None, None).await?;
    let mut connection = Connection::new(stream, context.largest_message());
    let wanted = connection.identify(nsq.tls.is_some());
    let features = wanted.await.map_err(failed)?;
    if let Some(tls) = &nsq.tls {
        if !features.tls_v1 {
            return Err(server.failed("the server has no TLS"));
        }
        let config = tls.config(|field| context.secret(field).cloned())?;
        let stream = server.encrypt(connection.into_stream(), config).await?;
        connection = Connection::encrypted(stream, context.largest_message());
        connection.confirmed().await.map_err(failed)?;
    }
    if features.auth_required {
        return Err(server.failed("the server wants a secret, for which there is no field"));
    }
    connection.queue(&format!("SUB {} {}", nsq.topic, nsq.channel));
    connection.confirmed().await.map_err(failed)?;
    let at_once = match features.max_rdy_count {
        0 => AT_ONCE,
        most => AT_ONCE.min(most),
    };
    connection.queue(&format!("RDY {at_once}"));
    connection.flush().await.map_err(failed)?;
    let held = match features.msg_timeout {
        0 => TIMEOUT,
        milliseconds => Duration::from_millis(milliseconds.max(300)),
    };
    Ok((connection, held))
}

/// Publishes a message.
async fn publish(
    nsq: &Nsq,
    context: &SourceContext,
    server: &TcpServer,
    message: Message,
    _room: Reservation,
) -> (String, Outcome) {
    let outcome = match &message.body {
        Body::Whole(body) => emit(nsq, context, server, &message, body).await,
        Body::Skipped(size) => {
            context.too_large(*size);
            Outcome::Done
        }
    };
    (message.id, outcome)
}

async fn emit(
    nsq: &Nsq,
    context: &SourceContext,
    server: &TcpServer,
    message: &Message,
    body: &Bytes,
) -> Outcome {
    let Some(body) = body::Body::bytes(context, body, nsq.json) else {
        return Outcome::Done;
    };
    let payload = Payload {
        body,
        timestamp: message.timestamp.to_string(),
        nsqd_address: &server.address,
        metadata: context.metadata(),
    };
    let id = context.id(&format!("{}/{}/{}", server.address, nsq.topic, message.id));
    match context.emit(id, &payload).await {
        Err(EmitError::Bus(_)) => Outcome::Again,
        Ok(_) | Err(_) => Outcome::Done,
    }
}
