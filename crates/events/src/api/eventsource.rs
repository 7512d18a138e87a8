//! EventSource.

use std::collections::BTreeMap;

use reconcile_core::object::Kind;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::KeySelector;

/// The kind EventSource.
#[derive(Clone, Copy, Debug)]
pub enum EventSource {}

impl Kind for EventSource {
    const GROUP: &'static str = "argoproj.io";
    const VERSION: &'static str = "v1alpha1";
    const KIND: &'static str = "EventSource";
    const PLURAL: &'static str = "eventsources";
    type Scope = kube::core::NamespaceResourceScope;
    type Spec = EventSourceSpec;
    type Status = Value;
}

/// `spec` of an EventSource. Each event is kept as JSON, so that one malformed event does not take the
/// others of the same object along.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct EventSourceSpec {
    /// The bus; `default` when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub event_bus_name: Option<String>,
    /// The Service that makes the listeners reachable.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub service: Option<ServiceSpec>,
    /// HTTP endpoints, by event name.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub webhook: BTreeMap<String, Value>,
    /// Everything else: pod settings, and the other types of event sources, by the name of the type.
    #[serde(flatten)]
    pub other: BTreeMap<String, Value>,
}

/// `spec.service`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ServiceSpec {
    /// Ports of the Service, in the form of the core kind.
    pub ports: Vec<k8s_openapi::api::core::v1::ServicePort>,
    /// `None` for a headless Service.
    #[serde(rename = "clusterIP", skip_serializing_if = "Option::is_none")]
    pub cluster_ip: Option<String>,
    /// Labels and annotations of the Service.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub metadata: Option<ServiceMetadata>,
}

/// Labels and annotations.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ServiceMetadata {
    /// Labels.
    pub labels: BTreeMap<String, String>,
    /// Annotations.
    pub annotations: BTreeMap<String, String>,
}

/// One HTTP endpoint.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct WebhookEvent {
    /// Path, for example `/push`.
    pub endpoint: String,
    /// The accepted method; POST when absent.
    pub method: String,
    /// Port number as text.
    pub port: PortText,
    /// Address under which the outside reaches the endpoint; informative.
    pub url: String,
    /// Certificate of the listener, PEM.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub server_cert_secret: Option<KeySelector>,
    /// Key of the certificate, PEM.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub server_key_secret: Option<KeySelector>,
    /// Copied into each event.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub metadata: Option<BTreeMap<String, String>>,
    /// Token that requests must carry.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub auth_secret: Option<KeySelector>,
    /// Largest body in bytes; 1 MiB when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_payload_size: Option<i64>,
    /// Which requests become events.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub filter: Option<SourceFilter>,
}

/// A port that is written as text, and often as a number.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged, expecting = "must be a port number")]
pub enum PortText {
    /// As upstream spells it.
    Text(String),
    /// As people write it.
    Number(i64),
}

impl Default for PortText {
    fn default() -> Self {
        Self::Text(String::new())
    }
}

/// A filter of an event source.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct SourceFilter {
    /// An expr expression over the payload that must be true.
    pub expression: String,
}

/// One schedule, without what all types have in common.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct CalendarEvent {
    /// Five-field cron expression; wins over `interval`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub schedule: Option<String>,
    /// Go duration.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub interval: Option<String>,
    /// Days without ticks: `EXDATE:20060102T150405Z,...`.
    pub exclusion_dates: Vec<String>,
    /// IANA name; UTC when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timezone: Option<String>,
    /// What happens to ticks that fell into a time without a running controller.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub persistence: Option<Persistence>,
}

/// `persistence` of a schedule.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Persistence {
    /// Replay of missed ticks.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub catchup: Option<Catchup>,
    /// Where upstream keeps the last tick. Here it is kept on the bus.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub config_map: Option<Value>,
}

/// Replay of missed ticks.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Catchup {
    /// Replay at all.
    pub enabled: bool,
    /// Go duration: older ticks are not replayed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_duration: Option<String>,
}
