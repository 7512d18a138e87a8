//! The Service of an EventSource and the endpoints behind it.
//!
//! The Service has no selector: its endpoint is the process that serves the listeners, whatever pod that
//! is at present, and a port there that only this EventSource has.

use std::{collections::BTreeMap, net::IpAddr};

use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use reconcile_core::object::ObjectKey;
use serde_json::{Value, json};

use crate::api::eventsource::ServiceSpec;

/// The Service, and where it leads.
#[derive(Clone, Debug, PartialEq)]
pub struct Wanted {
    /// As applied.
    pub service: Value,
    /// As applied; `None` when there is no address to lead to.
    pub endpoints: Option<Value>,
}

/// Name of the Service of an EventSource.
pub fn name_of(source: &str) -> String {
    format!("{source}-eventsource-svc")
}

/// What the objects are made of.
pub struct Inputs<'i> {
    /// The EventSource.
    pub source: &'i ObjectKey,
    /// The reference to it.
    pub owner: &'i Value,
    /// Its `spec.service`.
    pub spec: &'i ServiceSpec,
    /// Where other pods reach this process.
    pub address: Option<IpAddr>,
    /// By port of the manifest: the port of this process.
    pub targets: &'i BTreeMap<u16, u16>,
}

/// The objects for a `spec.service`.
pub fn wanted(inputs: &Inputs<'_>) -> Wanted {
    let Inputs {
        source,
        owner,
        spec,
        address,
        targets,
    } = *inputs;
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
    let service = json!({
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
    });
    let address = address.filter(|address| !address.is_loopback() && !address.is_unspecified());
    let endpoints = address.map(|address| {
        let ports: Vec<Value> = spec
            .ports
            .iter()
            .filter_map(|port| {
                let target = match &port.target_port {
                    Some(IntOrString::Int(number)) => *number,
                    Some(IntOrString::String(text)) => text.parse().unwrap_or(port.port),
                    None => port.port,
                };
                // A port that no endpoint names leads nowhere.
                let target = targets.get(&u16::try_from(target).ok()?)?;
                Some(json!({
                    "name": port.name.as_deref().unwrap_or_default(),
                    "port": target,
                    "protocol": port.protocol.as_deref().unwrap_or("TCP"),
                }))
            })
            .collect();
        json!({
            "apiVersion": "discovery.k8s.io/v1",
            "kind": "EndpointSlice",
            "metadata": {
                "name": format!("{name}-events"),
                "namespace": source.namespace,
                "labels": {
                    "kubernetes.io/service-name": name,
                    "endpointslice.kubernetes.io/managed-by": "argo-events",
                },
                "ownerReferences": [owner],
            },
            "addressType": if address.is_ipv4() { "IPv4" } else { "IPv6" },
            "endpoints": [{ "addresses": [address.to_string()], "conditions": { "ready": true } }],
            "ports": ports,
        })
    });
    Wanted { service, endpoints }
}
