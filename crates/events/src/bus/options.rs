//! Options and deadlines of connections.

use std::time::Duration;

use async_nats::ConnectOptions;
use reconcile_core::secret::Secret;

use super::{Auth, BusConfig, BusError};
use crate::nats_client::guarded;

/// A server that does not answer the greeting within this time is treated as not connected.
pub(super) const CONNECT_DEADLINE: Duration = Duration::from_secs(5);
/// Deadline of one request to the JetStream API.
pub(super) const REQUEST_DEADLINE: Duration = Duration::from_secs(5);
/// Quiet connections are probed this often; a dead peer is noticed after two silent ones.
const PING: Duration = Duration::from_secs(10);

/// Signs with a seed, which is checked here: the client would only find it out with each attempt to connect.
pub(crate) fn with_nkey(options: ConnectOptions, seed: &Secret) -> Result<ConnectOptions, String> {
    let seed = seed.expose().trim();
    // Without the error, which may repeat a part of the seed.
    let pair = nkeys::KeyPair::from_seed(seed)
        .map_err(|_| "the nkey is not a seed, which begins with SU".to_owned())?;
    if pair.key_pair_type() != nkeys::KeyPairType::User {
        return Err("the nkey is not the seed of a user, which begins with SU".to_owned());
    }
    Ok(options.nkey(seed.to_owned()))
}

/// Signs in with a credentials file.
pub(crate) fn with_credentials(
    options: ConnectOptions,
    file: &Secret,
) -> Result<ConnectOptions, String> {
    // Without the error, which may repeat a part of the text.
    options.credentials(file.expose()).map_err(|_| {
        "the credentials file must have a NATS USER JWT and a USER NKEY SEED section".to_owned()
    })
}

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
        Auth::Nkey(seed) => with_nkey(options, seed).map_err(BusError::Connect)?,
        Auth::Credentials(file) => with_credentials(options, file).map_err(BusError::Connect)?,
    };
    if let Some(tls) = &config.tls {
        options = options.require_tls(true);
        if let Some(config) = tls.client_config()? {
            options = options.tls_client_config(config);
        }
    }
    Ok(guarded(options, config.egress))
}
