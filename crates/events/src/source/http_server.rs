//! HTTP servers that sources ask: requests with a deadline, answers within bounds.

use std::time::Duration;

use bytes::BytesMut;
use reqwest::{Client, Response, Url};
use tokio::time::Instant;

use super::{
    backlog::Reservation,
    kind::{SourceContext, SourceError},
};
use crate::{
    http_client::{Call, HttpClients},
    tls::TlsSettings,
};

/// An answer waits so long for room in memory.
const ROOM: Duration = Duration::from_secs(30);
/// Pause before room is asked for again.
const PAUSE: Duration = Duration::from_millis(50);

/// A server with connections of its own.
pub(super) struct HttpServer {
    /// `HOST:PORT`, for texts.
    address: String,
    clients: HttpClients,
    client: Client,
}

/// The body of an answer, and the room that it takes.
pub(super) struct Held {
    pub(super) bytes: BytesMut,
    room: Vec<Reservation>,
}

impl HttpServer {
    /// The server of a URL, called as the source is permitted to.
    pub(super) fn new(
        url: &Url,
        context: &SourceContext,
        tls: &TlsSettings,
    ) -> Result<Self, SourceError> {
        let host = url.host_str().unwrap_or_default();
        let address = match url.port_or_known_default() {
            Some(port) => format!("{host}:{port}"),
            None => host.to_owned(),
        };
        let clients = HttpClients::new(context.egress);
        let client = clients.get(tls).map_err(|error| SourceError::Server {
            server: address.clone(),
            reason: error.to_string(),
        })?;
        Ok(Self {
            address,
            clients,
            client,
        })
    }

    /// Sends a request.
    pub(super) async fn send(&self, call: Call) -> Result<Response, SourceError> {
        let sent = self.clients.send(&self.client, call).await;
        sent.map_err(|error| self.failed(&error))
    }

    /// The body of an answer, if it has `most` bytes at most.
    pub(super) async fn body(
        &self,
        context: &SourceContext,
        mut answer: Response,
        most: usize,
    ) -> Result<Held, SourceError> {
        let mut held = Held {
            bytes: BytesMut::new(),
            room: Vec::new(),
        };
        let deadline = Instant::now() + ROOM;
        while let Some(chunk) = answer
            .chunk()
            .await
            .map_err(|e| self.failed(&e.without_url()))?
        {
            if held.bytes.len() + chunk.len() > most {
                return Err(self.failed(&format!("the answer has more than {most} bytes")));
            }
            held.room
                .push(self.room(context, chunk.len(), deadline).await?);
            held.bytes.extend_from_slice(&chunk);
        }
        Ok(held)
    }

    async fn room(
        &self,
        context: &SourceContext,
        bytes: usize,
        deadline: Instant,
    ) -> Result<Reservation, SourceError> {
        loop {
            if let Some(room) = context.share.take(bytes) {
                return Ok(room);
            }
            if Instant::now() >= deadline {
                return Err(self.failed("no room in memory for its answer"));
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// The server did or said this.
    pub(super) fn failed(&self, reason: &(impl ToString + ?Sized)) -> SourceError {
        SourceError::Server {
            server: self.address.clone(),
            reason: reason.to_string(),
        }
    }
}
