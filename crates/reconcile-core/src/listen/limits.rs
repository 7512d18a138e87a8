//! Limits of one port.

use std::time::Duration;

/// What clients may take of one port.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Connections at a time.
    pub connections: usize,
    /// Bytes of request bodies in memory at a time.
    pub bytes: usize,
    /// Time for the TLS handshake, and for each request's header.
    pub header: Duration,
    /// Time between two requests of a connection.
    pub idle: Duration,
    /// Time for a request's body.
    pub body: Duration,
    /// Time in which the client takes none of a response.
    pub stall: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 512,
            bytes: 32 << 20,
            header: Duration::from_secs(10),
            idle: Duration::from_secs(90),
            body: Duration::from_secs(60),
            stall: Duration::from_secs(30),
        }
    }
}
