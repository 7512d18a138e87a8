//! The triggers of a Sensor.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{KeySelector, TlsConfig, ValueFrom, artifact::ArtifactSource, nats::NatsConfig};

/// One action of a sensor.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Trigger {
    /// What is done.
    pub template: Value,
    /// Patches of the template.
    pub parameters: Vec<Parameter>,
    /// When the action counts as successful.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub policy: Option<Policy>,
    /// Tries of a failing action.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retry_strategy: Option<Backoff>,
    /// Most actions per unit of time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rate_limit: Option<RateLimit>,
    /// Keep the order and act at least once.
    pub at_least_once: bool,
    /// What is done when all tries failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dlq_trigger: Option<Value>,
}

/// What all types of triggers have in common in a `template`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct TriggerTemplate {
    /// Name of the trigger.
    pub name: String,
    /// Boolean expression over dependency names.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub conditions: Option<String>,
    /// When saved events are forgotten.
    pub conditions_reset: Vec<ConditionsReset>,
}

/// When saved events are forgotten.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ConditionsReset {
    /// At times of a schedule.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub by_time: Option<ResetTime>,
}

/// Times at which saved events are forgotten.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ResetTime {
    /// Five-field cron expression.
    pub cron: String,
    /// IANA name; UTC when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timezone: Option<String>,
}

/// Acts on a Kubernetes object.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct K8sTrigger {
    /// Where the object comes from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source: Option<ArtifactSource>,
    /// `create` (default), `update`, `patch` or `delete`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub operation: Option<String>,
    /// Patches of the object.
    pub parameters: Vec<Parameter>,
    /// Media type of the patch; merge patch when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub patch_strategy: Option<String>,
    /// For `update`: start from the live object.
    pub live_object: bool,
}

/// Publishes to a NATS subject.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct NatsTrigger {
    /// The server.
    #[serde(flatten)]
    pub server: NatsConfig,
    /// The subject.
    pub subject: String,
    /// The message, built from the events.
    pub payload: Vec<Parameter>,
    /// Patches of this trigger.
    pub parameters: Vec<Parameter>,
    /// Present where JetStream is to confirm that it has stored the message.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub jetstream: Option<Map<String, Value>>,
}

/// Calls a URL.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct HttpTrigger {
    /// The URL.
    pub url: String,
    /// The body, built from the events.
    pub payload: Vec<Parameter>,
    /// TLS settings.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tls: Option<TlsConfig>,
    /// POST when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub method: Option<String>,
    /// Patches of this trigger.
    pub parameters: Vec<Parameter>,
    /// Seconds; 60 when absent or 0.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timeout: Option<i64>,
    /// The Host header, where it differs from the URL.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub host: Option<String>,
    /// Basic authentication.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub basic_auth: Option<BasicAuth>,
    /// Headers.
    pub headers: BTreeMap<String, String>,
    /// Headers from Secrets or ConfigMaps.
    pub secure_headers: Vec<SecureHeader>,
    /// Headers from the events.
    pub dynamic_headers: Vec<Parameter>,
}

/// User and password from Secrets.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct BasicAuth {
    /// The user.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub username: Option<KeySelector>,
    /// The password.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub password: Option<KeySelector>,
}

/// A header whose value is secret.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct SecureHeader {
    /// Name of the header.
    pub name: String,
    /// Its value.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub value_from: Option<ValueFrom>,
}

/// Writes the event to the log.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct LogTrigger {
    /// Without effect across events, as upstream.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub interval_seconds: Option<i64>,
}

/// Takes a value from an event and puts it somewhere.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Parameter {
    /// Where the value comes from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub src: Option<ParameterSource>,
    /// sjson path.
    pub dest: String,
    /// `overwrite` (default), `append` or `prepend`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub operation: Option<String>,
}

/// Where a value comes from.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ParameterSource {
    /// The event.
    pub dependency_name: String,
    /// gjson path in the context.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub context_key: Option<String>,
    /// Go template over the context.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub context_template: Option<String>,
    /// gjson path in the payload.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub data_key: Option<String>,
    /// Go template over the payload.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub data_template: Option<String>,
    /// The value when nothing else gives one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub value: Option<String>,
    /// Keep the JSON type instead of making a string.
    pub use_raw_data: bool,
}

/// When an action counts as successful.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Policy {
    /// By HTTP status.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<StatusPolicy>,
    /// By labels of the object.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub k8s: Option<K8sPolicy>,
}

/// Success by HTTP status.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct StatusPolicy {
    /// The statuses that mean success.
    pub allow: Vec<i64>,
}

/// Success by labels of the object.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct K8sPolicy {
    /// Labels that must be there.
    pub labels: BTreeMap<String, String>,
    /// Pauses between looks.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub backoff: Option<Backoff>,
    /// Running out of looks is a failure.
    pub error_on_backoff_timeout: bool,
}

/// A back-off. Numbers may be written as text.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Backoff {
    /// First pause: Go duration, or nanoseconds as a number.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub duration: Option<Value>,
    /// Each pause is this times the one before.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub factor: Option<Value>,
    /// Part of the pause that is added at random.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub jitter: Option<Value>,
    /// Number of tries.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub steps: Option<i64>,
}

/// Most actions per unit of time.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct RateLimit {
    /// `Second` (default), `Minute` or `Hour`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unit: Option<String>,
    /// Actions per unit.
    pub requests_per_unit: i64,
}
