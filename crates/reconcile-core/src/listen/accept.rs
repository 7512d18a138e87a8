//! The accept loop of a port.

use std::{io, net::SocketAddr, time::Duration};

use tokio::net::{TcpListener, TcpStream};

use super::budget::{Port, Slot};

/// Pause after accepting failed, for example without a free descriptor.
const PAUSE: Duration = Duration::from_millis(100);

/// Accepts connections for ever. `begin` gets those that are admitted, `refuse` those for which there is no room.
pub(super) async fn accept(
    listener: &TcpListener,
    name: &str,
    port: &Port,
    refuse: impl Fn(TcpStream),
    begin: impl Fn(TcpStream, SocketAddr, Slot),
) {
    let mut failing = false;
    loop {
        let (stream, client) = match listener.accept().await {
            Ok(accepted) => accepted,
            Err(error) if is_of_the_client(&error) => continue,
            Err(error) => {
                if !failing {
                    tracing::warn!(listener = name, %error, "cannot accept connections");
                }
                failing = true;
                tokio::time::sleep(PAUSE).await;
                continue;
            }
        };
        if std::mem::take(&mut failing) {
            tracing::info!(listener = name, "accepting connections again");
        }
        match port.enter().await {
            Some(slot) => {
                // Answers are small, and their clients wait.
                drop(stream.set_nodelay(true));
                begin(stream, client, slot);
            }
            None => refuse(stream),
        }
    }
}

/// Connections that the client gave up before they were accepted.
fn is_of_the_client(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionRefused
            | io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
    )
}
