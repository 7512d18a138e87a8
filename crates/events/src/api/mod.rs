//! The kinds as users write them: every field optional, unknown values kept.
//!
//! The installed CRDs check nothing, so these types only decode; what is required and what fits
//! together is checked by the `validate` step of each controller.

#[macro_use]
mod shapes;

pub mod artifact;
mod broker_fields;
mod broker_trigger_fields;
mod bus_fields;
mod cloud_fields;
mod decode;
pub mod eventbus;
pub mod eventsource;
pub mod fields;
pub mod findings;
mod hook_fields;
pub mod jetstream;
pub mod nats;
pub mod sensor;
pub mod source_fields;
pub mod trigger;

use serde::{Deserialize, Serialize};

pub use decode::decode;
pub use eventbus::EventBus;
pub use eventsource::EventSource;
pub use sensor::Sensor;

/// A key of a Secret or ConfigMap in the namespace of the object.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct KeySelector {
    /// Name of the Secret or ConfigMap.
    pub name: String,
    /// The key inside it.
    pub key: String,
    /// An absent Secret or key is not an error.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub optional: Option<bool>,
}

/// A value that is read from a Secret or ConfigMap.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ValueFrom {
    /// From a Secret.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub secret_key_ref: Option<KeySelector>,
    /// From a ConfigMap.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub config_map_key_ref: Option<KeySelector>,
}

/// TLS settings of a client.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct TlsConfig {
    /// Certificate authority to trust, PEM.
    #[serde(rename = "caCertSecret", skip_serializing_if = "Option::is_none")]
    pub ca_cert_secret: Option<KeySelector>,
    /// Client certificate, PEM.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_cert_secret: Option<KeySelector>,
    /// Key of the client certificate, PEM.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_key_secret: Option<KeySelector>,
    /// Accept any certificate of the server.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub insecure_skip_verify: Option<bool>,
}

/// The name of the bus that an object uses when it names none.
pub const DEFAULT_BUS: &str = "default";
