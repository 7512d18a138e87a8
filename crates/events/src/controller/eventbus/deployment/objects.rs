//! The objects of a bus: configuration, Service, StatefulSet.

use std::{collections::BTreeMap, fmt};

use kube::{api::ApiResource, core::GroupVersionKind};
use reconcile_core::apply::resource_of;
use serde::Serialize;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::{
    CLIENT_PORT, CLUSTER_PORT, Deployment, METRICS_PORT, MONITOR_PORT,
    secrets::{self, Place},
    server::{self, AUTH_FILE, CONFIG_FILE, CONFIG_FOLDER, DATA_FOLDER, EncryptionKey, PID_FILE},
};
use crate::api::jetstream::ContainerTemplate;

/// Annotation with a hash of what was applied, upstream's name.
pub const HASH: &str = "resource-spec-hash";
/// The volume of servers without persistence.
const SCRATCH: &str = "js-data";
const VOLUME_SIZE: &str = "20Gi";
const ACCESS_MODE: &str = "ReadWriteOnce";

/// The kinds of objects, in the order in which they are applied.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ManagedKind {
    /// The server's configuration.
    ConfigMap,
    /// The headless Service.
    Service,
    /// The servers.
    StatefulSet,
}

impl ManagedKind {
    /// How the API server knows it.
    pub fn resource(self) -> ApiResource {
        let (group, plural) = match self {
            Self::ConfigMap => ("", "configmaps"),
            Self::Service => ("", "services"),
            Self::StatefulSet => ("apps", "statefulsets"),
        };
        resource_of(
            &GroupVersionKind::gvk(group, "v1", &self.to_string()),
            plural,
        )
    }
}

impl fmt::Display for ManagedKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::ConfigMap => "ConfigMap",
            Self::Service => "Service",
            Self::StatefulSet => "StatefulSet",
        })
    }
}

/// An object to apply.
#[derive(Clone, Debug, PartialEq)]
pub struct Managed {
    /// Its kind.
    pub kind: ManagedKind,
    /// Its name.
    pub name: String,
    /// The object, which holds the hash.
    pub body: Value,
    /// The hash.
    pub hash: String,
}

/// The objects of a bus, in the order in which they are applied.
pub fn objects(deployment: &Deployment, place: &Place<'_>, key: EncryptionKey) -> [Managed; 3] {
    let (names, namespace) = (&deployment.names, place.namespace);
    let text = server::configuration(deployment, namespace, key);
    [
        managed(
            ManagedKind::ConfigMap,
            names.config_map(),
            place,
            ("data", json!({ "nats-js": text })),
        ),
        managed(
            ManagedKind::Service,
            names.service(),
            place,
            ("spec", service(deployment)),
        ),
        managed(
            ManagedKind::StatefulSet,
            names.stateful_set(),
            place,
            ("spec", stateful_set(deployment)),
        ),
    ]
}

fn managed(
    kind: ManagedKind,
    name: String,
    place: &Place<'_>,
    (member, content): (&str, Value),
) -> Managed {
    let hash = hex::encode(Sha256::digest(content.to_string()));
    let resource = kind.resource();
    let body = json!({
        "apiVersion": resource.api_version,
        "kind": resource.kind,
        "metadata": {
            "name": name,
            "namespace": place.namespace,
            "labels": BTreeMap::from(place.names.labels()),
            "annotations": { HASH: hash },
            "ownerReferences": [place.owner],
        },
        member: content,
    });
    Managed {
        kind,
        name,
        body,
        hash,
    }
}

fn service(deployment: &Deployment) -> Value {
    json!({
        "type": "ClusterIP",
        "clusterIP": "None",
        "publishNotReadyAddresses": true,
        "selector": BTreeMap::from(deployment.names.labels()),
        "ports": [
            port("tcp-client", "port", CLIENT_PORT),
            port("cluster", "port", CLUSTER_PORT),
            port("metrics", "port", METRICS_PORT),
            port("monitor", "port", MONITOR_PORT),
        ],
    })
}

fn port(name: &str, member: &str, number: u16) -> Value {
    json!({ "name": name, member: number, "protocol": "TCP" })
}

fn stateful_set(deployment: &Deployment) -> Value {
    let labels = BTreeMap::from(deployment.names.labels());
    let metadata = deployment.spec.metadata.clone().unwrap_or_default();
    let mut pod_labels: BTreeMap<String, String> = metadata.labels;
    for (key, value) in &labels {
        pod_labels.insert((*key).to_owned(), (*value).to_owned());
    }
    let mut spec = json!({
        "replicas": deployment.replicas,
        "podManagementPolicy": "Parallel",
        "serviceName": deployment.names.service(),
        "selector": { "matchLabels": labels },
        "template": {
            "metadata": { "labels": pod_labels, "annotations": metadata.annotations },
            "spec": pod(deployment),
        },
    });
    if let Some(persistence) = &deployment.spec.persistence {
        let size = persistence.volume_size.clone();
        let mut claim = json!({
            "accessModes": [persistence.access_mode.as_deref().unwrap_or(ACCESS_MODE)],
            "volumeMode": "Filesystem",
            "resources": { "requests": { "storage": size.unwrap_or_else(|| json!(VOLUME_SIZE)) } },
        });
        if let Some(class) = &persistence.storage_class_name {
            claim["storageClassName"] = json!(class);
        }
        spec["volumeClaimTemplates"] = json!([{
            "apiVersion": "v1",
            "kind": "PersistentVolumeClaim",
            "metadata": { "name": deployment.names.volume() },
            "spec": claim,
        }]);
    }
    spec
}

fn pod(deployment: &Deployment) -> Value {
    let mut volumes = vec![
        json!({ "name": "pid", "emptyDir": {} }),
        json!({ "name": "config-volume", "projected": { "sources": config_sources(deployment) } }),
    ];
    if deployment.spec.persistence.is_none() {
        volumes.push(json!({ "name": SCRATCH, "emptyDir": {} }));
    }
    let mut pod = json!({
        "shareProcessNamespace": true,
        "terminationGracePeriodSeconds": 60,
        "volumes": volumes,
        "containers": [
            server_container(deployment),
            reloader_container(deployment),
            metrics_container(deployment),
        ],
    });
    add_fields(&mut pod, &deployment.spec.pod);
    pod
}

/// Adds what a manifest says in its own fields.
fn add_fields(object: &mut Value, given: &impl Serialize) {
    if let Ok(Value::Object(fields)) = serde_json::to_value(given) {
        for (field, value) in fields {
            object[field] = value;
        }
    }
}

/// The files that [`server::configuration`] names.
fn config_sources(deployment: &Deployment) -> Value {
    let items = [
        (secrets::AUTH, AUTH_FILE),
        (secrets::KEY, "server-key.pem"),
        (secrets::CERTIFICATE, "server-cert.pem"),
        (secrets::AUTHORITY, "ca-cert.pem"),
        (secrets::CLUSTER_KEY, "cluster-server-key.pem"),
        (secrets::CLUSTER_CERTIFICATE, "cluster-server-cert.pem"),
        (secrets::CLUSTER_AUTHORITY, "cluster-ca-cert.pem"),
    ]
    .map(|(key, path)| json!({ "key": key, "path": path }));
    let names = &deployment.names;
    json!([
        { "configMap": { "name": names.config_map(), "items": [{ "key": "nats-js", "path": CONFIG_FILE }] } },
        { "secret": { "name": names.server_secret(), "items": items } },
    ])
}

fn server_container(deployment: &Deployment) -> Value {
    let (names, start) = (&deployment.names, &deployment.version.start_command);
    let field = |path: &str| json!({ "fieldRef": { "apiVersion": "v1", "fieldPath": path } });
    let advertise = format!("$(POD_NAME).{}.$(POD_NAMESPACE).svc", names.service());
    let key = json!({ "name": names.server_secret(), "key": secrets::ENCRYPTION });
    let probe = |path: &str, member: &str, number: u8| {
        json!({
            "httpGet": { "path": path, "port": MONITOR_PORT },
            "initialDelaySeconds": 10,
            "timeoutSeconds": 5,
            member: number,
        })
    };
    let data = if deployment.spec.persistence.is_some() {
        names.volume()
    } else {
        SCRATCH.to_owned()
    };
    let container = json!({
        "name": "main",
        "image": deployment.version.nats_image,
        "command": [start, "--config", format!("{CONFIG_FOLDER}/{CONFIG_FILE}")],
        "args": deployment.spec.start_args,
        "ports": [
            port("client", "containerPort", CLIENT_PORT),
            port("cluster", "containerPort", CLUSTER_PORT),
            port("monitor", "containerPort", MONITOR_PORT),
        ],
        "env": [
            { "name": "POD_NAME", "valueFrom": field("metadata.name") },
            { "name": "SERVER_NAME", "value": "$(POD_NAME)" },
            { "name": "POD_NAMESPACE", "valueFrom": field("metadata.namespace") },
            { "name": "CLUSTER_ADVERTISE", "value": advertise },
            { "name": "JS_KEY", "valueFrom": { "secretKeyRef": key } },
        ],
        "volumeMounts": [
            { "name": "config-volume", "mountPath": CONFIG_FOLDER },
            { "name": "pid", "mountPath": "/var/run/nats" },
            { "name": data, "mountPath": DATA_FOLDER },
        ],
        "startupProbe": probe("/healthz", "failureThreshold", 30),
        "livenessProbe": probe("/", "periodSeconds", 30),
        "readinessProbe": probe("/healthz", "periodSeconds", 5),
        "lifecycle": { "preStop": { "exec": { "command": [start, format!("-sl=ldm={PID_FILE}")] } } },
    });
    templated(container, deployment.spec.container_template.as_ref())
}

fn reloader_container(deployment: &Deployment) -> Value {
    let container = json!({
        "name": "reloader",
        "image": deployment.version.config_reloader_image,
        "args": ["-pid", PID_FILE, "-config", format!("{CONFIG_FOLDER}/{CONFIG_FILE}")],
        "volumeMounts": [
            { "name": "config-volume", "mountPath": CONFIG_FOLDER },
            { "name": "pid", "mountPath": "/var/run/nats" },
        ],
    });
    templated(
        container,
        deployment.spec.reloader_container_template.as_ref(),
    )
}

fn metrics_container(deployment: &Deployment) -> Value {
    let container = json!({
        "name": "metrics",
        "image": deployment.version.metrics_exporter_image,
        "args": [
            "-connz", "-routez", "-subz", "-varz", "-prefix=nats", "-use_internal_server_id", "-jsz=all",
            format!("http://localhost:{MONITOR_PORT}"),
        ],
        "ports": [port("metrics", "containerPort", METRICS_PORT)],
    });
    templated(
        container,
        deployment.spec.metrics_container_template.as_ref(),
    )
}

fn templated(mut container: Value, template: Option<&ContainerTemplate>) -> Value {
    if let Some(template) = template {
        add_fields(&mut container, template);
    }
    container
}
