//! EventBus.

use reconcile_core::object::Kind;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{
    KeySelector, TlsConfig,
    jetstream::{JetStreamSpec, NatsSpec},
};

/// The kind EventBus; its plural is `eventbus`.
#[derive(Clone, Copy, Debug)]
pub enum EventBus {}

impl Kind for EventBus {
    const GROUP: &'static str = "argoproj.io";
    const VERSION: &'static str = "v1alpha1";
    const KIND: &'static str = "EventBus";
    const PLURAL: &'static str = "eventbus";
    type Scope = kube::core::NamespaceResourceScope;
    type Spec = EventBusSpec;
    type Status = EventBusStatus;
}

/// `spec` of an EventBus: exactly one of its members.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct EventBusSpec {
    /// A JetStream that exists already.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub jetstream_exotic: Option<JetStreamConfig>,
    /// A JetStream that the controller deploys.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub jetstream: Option<JetStreamSpec>,
    /// NATS Streaming.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub nats: Option<NatsSpec>,
    /// Kafka.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kafka: Option<Value>,
}

/// How to reach a JetStream. Also the form of `status.config.jetstream`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct JetStreamConfig {
    /// One or several URLs, separated by commas.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// Secret whose value is YAML with `username` and `password`, `token` or `nkey`, or a credentials file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub access_secret: Option<KeySelector>,
    /// YAML with settings of the stream.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stream_config: Option<String>,
    /// TLS settings; without them TLS is used when the server asks for it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tls: Option<TlsConfig>,
}

/// `status` of an EventBus.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct EventBusStatus {
    /// What sources and sensors connect to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub config: Option<BusConfig>,
}

/// `status.config` of an EventBus.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct BusConfig {
    /// A JetStream.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub jetstream: Option<JetStreamConfig>,
}
