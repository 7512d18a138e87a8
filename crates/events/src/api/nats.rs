//! A NATS server that a source or trigger names.

use serde::{Deserialize, Serialize};

use super::{KeySelector, TlsConfig};

/// How a manifest describes a server.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct NatsConfig {
    /// For example `nats://nats:4222`.
    pub url: String,
    /// TLS settings; TLS is demanded when they are given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tls: Option<TlsConfig>,
    /// Credentials.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub auth: Option<NatsAuth>,
}

/// Credentials of a server.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct NatsAuth {
    /// User and password.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub basic: Option<NatsBasicAuth>,
    /// A token.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub token: Option<KeySelector>,
    /// The seed of a user's key.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub nkey: Option<KeySelector>,
    /// A credentials file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub credential: Option<KeySelector>,
}

/// User and password.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct NatsBasicAuth {
    /// The user.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub username: Option<KeySelector>,
    /// The password.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub password: Option<KeySelector>,
}
