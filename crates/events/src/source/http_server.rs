//! HTTP servers that sources ask: requests with a deadline, answers within bounds.

use std::time::Duration;

use bytes::BytesMut;
use reqwest::{Client, Response, Url};
use tokio::time::Instant;

use super::{backlog::Reservation, kind::SourceError, service_context::ServiceContext};
use crate::{
    http_client::{Call, HttpClients},
    tls::TlsSettings,
};

/// An answer waits so long for room in memory.
const ROOM: Duration = Duration::from_secs(30);

/// A server that has nothing is asked so often at most. Those that wait for a message before they answer take longer.
const SHORTEST_QUESTION: Duration = Duration::from_secs(1);

/// Ends when a server that was asked at that moment, and had so many messages, may be asked again. One that has none
/// and does not wait for them, whoever runs it, does not keep the process busy.
pub(super) async fn may_ask_again(asked: Instant, found: usize) {
    if found == 0 {
        tokio::time::sleep_until(asked + SHORTEST_QUESTION).await;
    }
}

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
        context: &ServiceContext,
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
        context: &ServiceContext,
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
        context: &ServiceContext,
        bytes: usize,
        deadline: Instant,
    ) -> Result<Reservation, SourceError> {
        let room = tokio::time::timeout_at(deadline, context.share.wait(bytes)).await;
        room.map_err(|_| self.failed("no room in memory for its answer"))
    }

    /// The server did or said this.
    pub(super) fn failed(&self, reason: &(impl ToString + ?Sized)) -> SourceError {
        SourceError::Server {
            server: self.address.clone(),
            reason: reason.to_string(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_server_that_has_nothing_is_not_asked_without_pause() {
        let begun = Instant::now();
        for _ in 0..10 {
            may_ask_again(Instant::now(), 0).await;
        }
        assert!(begun.elapsed() >= 10 * SHORTEST_QUESTION);
        // One that waited itself, or has more, is asked again at once.
        let now = Instant::now();
        may_ask_again(begun, 0).await;
        may_ask_again(now, 1).await;
        assert_eq!(Instant::now(), now);
    }
}
