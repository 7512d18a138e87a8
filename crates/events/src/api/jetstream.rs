//! A bus that the controller deploys: `spec.jetstream`, and `spec.nats` of older manifests.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// `spec.jetstream`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct JetStreamSpec {
    /// One of the versions in the controller's configuration.
    pub version: Option<String>,
    /// Number of servers; 3 when absent.
    pub replicas: Option<i64>,
    /// Lines inside `jetstream {}` of the server's configuration, in place of the controller's.
    pub settings: Option<String>,
    /// YAML that is merged over the controller's settings of the stream.
    pub stream_config: Option<String>,
    /// Longest message, for example `1MB`.
    pub max_payload: Option<String>,
    /// Arguments of the server.
    pub start_args: Vec<String>,
    /// The container of the server.
    pub container_template: Option<ContainerTemplate>,
    /// The container that has the server read a changed configuration.
    pub reloader_container_template: Option<ContainerTemplate>,
    /// The container that exports metrics.
    pub metrics_container_template: Option<ContainerTemplate>,
    /// Volumes; data is lost with the pod when absent.
    pub persistence: Option<Persistence>,
    /// Of the pods.
    pub metadata: Option<PodMetadata>,
    /// Of the pods.
    #[serde(flatten)]
    pub pod: PodSettings,
}

/// `spec.nats`: NATS Streaming, which its project has ended.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct NatsSpec {
    /// Deployed by the controller.
    pub native: Option<NativeSpec>,
    /// A server that exists already.
    pub exotic: Option<Value>,
}

/// `spec.nats.native`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct NativeSpec {
    /// Number of servers; at least 3.
    pub replicas: Option<i64>,
    /// Spread the servers over the nodes.
    pub anti_affinity: Option<bool>,
    /// Age after which messages are dropped; 72 h when absent.
    pub max_age: Option<String>,
    /// Most messages; a million when absent.
    pub max_msgs: Option<i64>,
    /// Most bytes; `1GB` when absent.
    pub max_bytes: Option<String>,
    /// Longest message, for example `1MB`.
    pub max_payload: Option<String>,
    /// The container of the server.
    pub container_template: Option<ContainerTemplate>,
    /// The container that exports metrics.
    pub metrics_container_template: Option<ContainerTemplate>,
    /// Volumes; data is lost with the pod when absent.
    pub persistence: Option<Persistence>,
    /// Of the pods.
    pub metadata: Option<PodMetadata>,
    /// Of the pods.
    #[serde(flatten)]
    pub pod: PodSettings,
}

/// What a manifest may say about a container.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ContainerTemplate {
    /// When the image is pulled.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub image_pull_policy: Option<String>,
    /// Requests and limits.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resources: Option<Value>,
    /// Rights of the container.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub security_context: Option<Value>,
}

/// The volume of each server.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Persistence {
    /// The cluster's default when absent.
    pub storage_class_name: Option<String>,
    /// `ReadWriteOnce` when absent.
    pub access_mode: Option<String>,
    /// A quantity; `20Gi` when absent.
    pub volume_size: Option<Value>,
}

/// Labels and annotations of the pods.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct PodMetadata {
    /// Labels.
    pub labels: BTreeMap<String, String>,
    /// Annotations.
    pub annotations: BTreeMap<String, String>,
}

/// Fields that are those of a pod; the API server checks them.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct PodSettings {
    /// Labels of the node.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub node_selector: Option<Value>,
    /// Tolerations.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tolerations: Option<Value>,
    /// Rights of all containers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub security_context: Option<Value>,
    /// Secrets for pulling images.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub image_pull_secrets: Option<Value>,
    /// Name of a priority class.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub priority_class_name: Option<Value>,
    /// Priority.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub priority: Option<Value>,
    /// Service account.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub service_account_name: Option<Value>,
    /// Affinity.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub affinity: Option<Value>,
}
