//! `spec.nats.native`: NATS Streaming, served by JetStream.

use serde_json::{Map, Value, json};

use crate::api::jetstream::{JetStreamSpec, NativeSpec};

/// Upstream's default.
const MAX_AGE: &str = "72h";
/// Upstream's default.
const MAX_MESSAGES: i64 = 1_000_000;
/// Upstream's default.
const MAX_BYTES: &str = "1GB";
/// Fewer servers are not accepted upstream: the count is raised.
const LEAST_REPLICAS: i64 = 3;
/// NATS Streaming has no version field.
const VERSION: &str = "latest";

/// The JetStream that serves a NATS Streaming manifest; `labels` are those of the pods.
pub fn jetstream(native: NativeSpec, labels: &[(&str, &str)]) -> JetStreamSpec {
    let stream = json!({
        "maxAge": native.max_age.as_deref().unwrap_or(MAX_AGE),
        "maxMsgs": native.max_msgs.unwrap_or(MAX_MESSAGES),
        "maxBytes": native.max_bytes.as_deref().unwrap_or(MAX_BYTES),
    });
    let mut pod = native.pod;
    if native.anti_affinity == Some(true) && pod.affinity.is_none() {
        pod.affinity = Some(spread(labels));
    }
    JetStreamSpec {
        version: Some(VERSION.to_owned()),
        replicas: Some(native.replicas.unwrap_or(0).max(LEAST_REPLICAS)),
        stream_config: Some(reconcile_core::yaml::to_string(&stream)),
        max_payload: native.max_payload,
        container_template: native.container_template,
        metrics_container_template: native.metrics_container_template,
        persistence: native.persistence,
        metadata: native.metadata,
        pod,
        ..JetStreamSpec::default()
    }
}

/// Servers prefer nodes without another server of the bus.
fn spread(labels: &[(&str, &str)]) -> Value {
    let labels: Map<String, Value> = labels
        .iter()
        .map(|(key, value)| ((*key).to_owned(), json!(value)))
        .collect();
    json!({"podAntiAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": [{
        "weight": 100,
        "podAffinityTerm": {
            "topologyKey": "kubernetes.io/hostname",
            "labelSelector": { "matchLabels": labels },
        },
    }]}})
}
