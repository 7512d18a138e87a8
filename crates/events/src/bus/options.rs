//! Options and deadlines of connections.

use std::time::Duration;

use async_nats::ConnectOptions;

use super::{Auth, BusConfig, BusError};
use crate::nats_client::guarded;

/// A server that does not answer the greeting within this time is treated as not connected.
pub(super) const CONNECT_DEADLINE: Duration = Duration::from_secs(5);
/// Deadline of one request to the JetStream API.
pub(super) const REQUEST_DEADLINE: Duration = Duration::from_secs(5);
/// Quiet connections are probed this often; a dead peer is noticed after two silent ones.
const PING: Duration = Duration::from_secs(10);

/// The options to connect with these settings.
pub(super) fn options(name: &str, config: &BusConfig) -> Result<ConnectOptions, BusError> {
    let mut options = ConnectOptions::new()
        .name(name)
        .connection_timeout(CONNECT_DEADLINE)
        .request_timeout(Some(REQUEST_DEADLINE))
        .ping_interval(PING);
    options = match &config.auth {
        Auth::None => options,
        Auth::Basic { username, password } => {
            options.user_and_password(username.clone(), password.expose().to_owned())
        }
        Auth::Token(token) => options.token(token.expose().to_owned()),
    };
    if let Some(tls) = &config.tls {
        options = options.require_tls(true);
        if let Some(config) = tls.client_config()? {
            options = options.tls_client_config(config);
        }
    }
    Ok(guarded(options, config.egress))
}
