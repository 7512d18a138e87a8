//! The Service of an EventSource and the endpoints behind it.
//!
//! The Service has no selector: its endpoints are the processes that serve the listeners, each with a slice of its
//! own, and a port there that only this EventSource has.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
};

use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use reconcile_core::object::ObjectKey;
use serde_json::{Value, json};

use crate::api::eventsource::ServiceSpec;

const SUFFIX: &str = "-eventsource-svc";
/// Label of an EndpointSlice: the replica that published it.
pub const REPLICA: &str = "events.argoproj.io/replica";
/// Value of the label `endpointslice.kubernetes.io/managed-by`.
pub const MANAGED_BY: &str = "argo-events";

/// Name of the Service of an EventSource.
pub fn name_of(source: &str) -> String {
    format!("{source}{SUFFIX}")
}

/// Name of the slice that a replica publishes for an EventSource.
pub fn slice_name_of(source: &str, replica: &str) -> String {
    format!("{}-{replica}", name_of(source))
}

/// The EventSource that a Service name belongs to.
pub fn source_of(service: &str) -> Option<&str> {
    service.strip_suffix(SUFFIX)
}

/// The ports of this process that a slice names.
pub fn ports_of(slice: &Value) -> BTreeSet<u16> {
    let ports = slice["ports"].as_array().into_iter().flatten();
    ports
        .filter_map(|port| u16::try_from(port["port"].as_u64()?).ok())
        .collect()
}

/// The Service for a `spec.service`; `owner` is the reference to the EventSource.
pub fn service(source: &ObjectKey, owner: &Value, spec: &ServiceSpec) -> Value {
    let name = name_of(&source.name);
    let metadata = spec.metadata.clone().unwrap_or_default();
    let mut labels = metadata.labels;
    for (key, value) in [
        ("controller", "eventsource-controller"),
        ("eventsource-name", source.name.as_str()),
        ("owner-name", source.name.as_str()),
    ] {
        labels.insert(key.to_owned(), value.to_owned());
    }
    let mut body = json!({ "ports": spec.ports });
    if let Some(ip) = spec.cluster_ip.as_ref().filter(|ip| !ip.is_empty()) {
        body["clusterIP"] = json!(ip);
    }
    json!({
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {
            "name": name,
            "namespace": source.namespace,
            "labels": labels,
            "annotations": metadata.annotations,
            "ownerReferences": [owner],
        },
        "spec": body,
    })
}

/// True when other pods can reach the address.
pub fn is_reachable(address: IpAddr) -> bool {
    !address.is_loopback() && !address.is_unspecified()
}

/// What an EndpointSlice is made of.
pub struct Endpoints<'i> {
    /// The EventSource.
    pub source: &'i ObjectKey,
    /// The reference to it.
    pub owner: &'i Value,
    /// Its `spec.service`.
    pub spec: &'i ServiceSpec,
    /// The replica that publishes it.
    pub replica: &'i str,
    /// Where other pods reach this process.
    pub address: IpAddr,
    /// By port of the manifest: the port of this process.
    pub targets: &'i BTreeMap<u16, u16>,
}

impl Endpoints<'_> {
    /// The slice of this replica.
    pub fn slice(&self) -> Value {
        let address = self.address;
        json!({
            "apiVersion": "discovery.k8s.io/v1",
            "kind": "EndpointSlice",
            "metadata": {
                "name": slice_name_of(&self.source.name, self.replica),
                "namespace": self.source.namespace,
                "labels": {
                    "kubernetes.io/service-name": name_of(&self.source.name),
                    "endpointslice.kubernetes.io/managed-by": MANAGED_BY,
                    REPLICA: self.replica,
                },
                "ownerReferences": [self.owner],
            },
            "addressType": if address.is_ipv4() { "IPv4" } else { "IPv6" },
            "endpoints": [{ "addresses": [address.to_string()], "conditions": { "ready": true } }],
            "ports": self.ports(),
        })
    }

    fn ports(&self) -> Vec<Value> {
        let ports = self.spec.ports.iter();
        ports
            .filter_map(|port| {
                let target = match &port.target_port {
                    Some(IntOrString::Int(number)) => *number,
                    Some(IntOrString::String(text)) => text.parse().unwrap_or(port.port),
                    None => port.port,
                };
                // A port that no endpoint names leads nowhere.
                let target = self.targets.get(&u16::try_from(target).ok()?)?;
                Some(json!({
                    "name": port.name.as_deref().unwrap_or_default(),
                    "port": target,
                    "protocol": port.protocol.as_deref().unwrap_or("TCP"),
                }))
            })
            .collect()
    }
}
