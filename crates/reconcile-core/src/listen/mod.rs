//! HTTP listeners that no client can exhaust.
//!
//! ```text
//!   accept ─► slot of the port and of the budget ─► TLS handshake ─► header ─► body ─► handler ─► response
//!              │ at the bound: close the connection     └──────── each with a deadline ────────┘
//!              │ that has waited longest for its client    body bytes count against port and budget; at the bound
//!              └ none waits: 503 and close                 the bodies that used most of it make room, else 503
//! ```
//!
//! A process has one [`Budget`] for all ports that foreign clients reach. It is sized from the descriptor limit and
//! leaves the rest to the API server, the bus and the probes, which the admin server answers from a budget of its
//! own. [`serve`] never fails: when the process runs out of descriptors it waits and accepts again.
//!
//! A [`Gate`] serves another protocol from the same budget: it admits connections and ends those whose clients do not
//! prove in time who they are.
//!
//! To serve a port with TLS, give the [`Server`] a [`TlsMode`]. The certificate can change while the port stays open,
//! because each connection reads it when it is accepted.

mod accept;
mod body;
mod budget;
mod connection;
mod descriptors;
mod gate;
mod limits;
mod serve;
mod tls;

pub use budget::Budget;
pub use descriptors::raise_limit;
pub use gate::{Client, Gate};
pub use limits::Limits;
pub use serve::{Server, serve};
pub use tls::TlsMode;

use std::{
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
};

use thiserror::Error;
use tokio::net::{TcpListener, TcpSocket};

/// Connections that wait to be accepted.
const BACKLOG: u32 = 1024;

/// A port could not be opened.
#[derive(Debug, Error)]
#[error("cannot listen on {address}: {source}")]
pub struct BindError {
    /// The address that was asked for.
    pub address: SocketAddr,
    /// Why it failed.
    #[source]
    pub source: io::Error,
}

/// Where a port listens.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ListenAddress {
    /// All addresses when absent.
    pub address: Option<IpAddr>,
    /// 0 takes a free one.
    pub port: u16,
}

impl ListenAddress {
    /// As [`bind`].
    pub async fn bind(self) -> Result<TcpListener, BindError> {
        bind(self.address, self.port).await
    }
}

/// Listens on `port` of `address`. Without an address it listens on all addresses of both IP families with one
/// socket, as Go does; on a machine without IPv6 on those of IPv4. Port 0 takes a free one.
pub async fn bind(address: Option<IpAddr>, port: u16) -> Result<TcpListener, BindError> {
    let failed = |address: SocketAddr| move |source| BindError { address, source };
    if let Some(address) = address {
        let address = SocketAddr::new(address, port);
        return TcpListener::bind(address).await.map_err(failed(address));
    }
    let both = SocketAddr::from((Ipv6Addr::UNSPECIFIED, port));
    let ipv4 = SocketAddr::from((Ipv4Addr::UNSPECIFIED, port));
    match TcpListener::bind(both).await {
        Err(error) if error.kind() != io::ErrorKind::AddrInUse => {
            TcpListener::bind(ipv4).await.map_err(failed(ipv4))
        }
        outcome => outcome.map_err(failed(both)),
    }
}

/// As [`bind`] for a port that all replicas on one host serve together, as pods do at their own addresses: the system
/// deals connections out among them, and to the others when one ends. Only processes of one user can share a port.
pub fn bind_shared(address: Option<IpAddr>, port: u16) -> Result<TcpListener, BindError> {
    let open = |address: SocketAddr| {
        let socket = match address {
            SocketAddr::V4(_) => TcpSocket::new_v4()?,
            SocketAddr::V6(_) => TcpSocket::new_v6()?,
        };
        socket.set_reuseaddr(true)?;
        socket.set_reuseport(true)?;
        socket.bind(address)?;
        socket.listen(BACKLOG)
    };
    let failed = |address: SocketAddr| move |source| BindError { address, source };
    if let Some(address) = address {
        let address = SocketAddr::new(address, port);
        return open(address).map_err(failed(address));
    }
    let both = SocketAddr::from((Ipv6Addr::UNSPECIFIED, port));
    let ipv4 = SocketAddr::from((Ipv4Addr::UNSPECIFIED, port));
    match open(both) {
        Err(error) if error.kind() != io::ErrorKind::AddrInUse => open(ipv4).map_err(failed(ipv4)),
        outcome => outcome.map_err(failed(both)),
    }
}

#[cfg(test)]
mod tests;
