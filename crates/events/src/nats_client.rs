//! Connections to NATS servers that manifests name: which addresses they may lead to, and how much a server may send
//! without sending a message.
//!
//! The client library resolves names again at each attempt and reads a message of any length that the server
//! announces, so both are watched here.

use std::{
    ops::Deref,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use async_nats::{Client, ConnectOptions, ReconnectToServer, Server};
use reconcile_core::egress::EgressPolicy;
use tokio::time::Instant;
use tokio_util::sync::{CancellationToken, DropGuard};

/// Pause between tries to connect; the server is usually next door.
const RECONNECT: Duration = Duration::from_millis(500);
/// Pause while no server may be called.
const REFUSED_PAUSE: Duration = Duration::from_secs(5);
/// How often a connection is checked.
const LOOK: Duration = Duration::from_millis(250);
/// The largest message that a server may announce, whatever it says itself.
const MOST_MESSAGE: usize = 64 << 20;
/// Room for what is not messages: server information, pings.
const PROTOCOL: u64 = 1 << 20;
/// So many bytes of it come in between two looks even when nothing happens.
const QUIET: u64 = 64;

/// A connection. Clones share it.
#[derive(Clone)]
pub struct GuardedClient {
    client: Client,
    _guard: Arc<DropGuard>,
}

impl Deref for GuardedClient {
    type Target = Client;

    fn deref(&self) -> &Client {
        &self.client
    }
}

impl GuardedClient {
    /// Looks after a connection: one whose server sends more than its largest message without sending one is made
    /// again, which frees what it holds.
    pub fn new(client: Client) -> Self {
        let stop = CancellationToken::new();
        let watched = client.clone();
        let stopped = stop.clone();
        tokio::spawn(async move {
            tokio::select! {
                () = stopped.cancelled() => {}
                () = reconnect_when_flooded(&watched) => {}
            }
        });
        Self {
            client,
            _guard: Arc::new(stop.drop_guard()),
        }
    }
}

async fn reconnect_when_flooded(client: &Client) {
    let statistics = client.statistics();
    let mut unread = Unread::default();
    loop {
        tokio::time::sleep(LOOK).await;
        let largest = client.server_info().max_payload.min(MOST_MESSAGE);
        let most = u64::try_from(largest).unwrap_or(u64::MAX) + PROTOCOL;
        let held = unread.look(
            statistics.in_bytes.load(Ordering::Relaxed),
            statistics.in_messages.load(Ordering::Relaxed),
        );
        if held > most {
            tracing::warn!(
                bytes = held,
                "a NATS server sends more than a message may have; connecting again"
            );
            unread = Unread::default();
            if client.force_reconnect().await.is_err() {
                return;
            }
        }
    }
}

/// Bytes that came in since the last message.
#[derive(Default)]
struct Unread {
    bytes: u64,
    messages: u64,
    since: u64,
}

impl Unread {
    fn look(&mut self, bytes: u64, messages: u64) -> u64 {
        let came = bytes.saturating_sub(self.bytes);
        self.since = if messages == self.messages {
            self.since.saturating_sub(QUIET) + came
        } else {
            0
        };
        (self.bytes, self.messages) = (bytes, messages);
        self.since
    }
}

/// Has each attempt to connect go to a server that may be called. The server is asked for nothing before its address
/// is known to be allowed, and NATS clients send nothing before the server has spoken.
pub fn guarded(options: ConnectOptions, egress: EgressPolicy) -> ConnectOptions {
    if matches!(egress, EgressPolicy::AllowLinkLocal) {
        return options;
    }
    options.reconnect_to_server_callback(move |servers, _| choose(servers, egress))
}

async fn choose(mut servers: Vec<Server>, egress: EgressPolicy) -> Option<ReconnectToServer> {
    let began = Instant::now();
    servers.sort_by_key(|server| server.failed_attempts);
    loop {
        for server in &servers {
            if let Err(error) = egress.check_host(server.addr.host()).await {
                tracing::debug!(server = server.addr.host(), %error, "NATS server not called");
                continue;
            }
            let first = server.failed_attempts == 0 && !server.did_connect;
            let pause = if first { Duration::ZERO } else { RECONNECT };
            return Some(ReconnectToServer {
                addr: server.addr.clone(),
                delay: Some(pause.saturating_sub(began.elapsed())),
            });
        }
        tokio::time::sleep(REFUSED_PAUSE).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_count_until_a_message_comes_and_quiet_connections_hold_nothing() {
        let mut unread = Unread::default();
        assert_eq!(unread.look(1000, 0), 1000);
        assert_eq!(unread.look(5_000_000, 0), 5_000_000 - QUIET);
        assert_eq!(unread.look(6_000_000, 1), 0, "a message");
        // A ping now and then for years.
        let held = (1..1_000_000).map(|count| unread.look(6_000_000 + count * 6, 1));
        assert!(held.max().expect("some") < 100);
    }
}
