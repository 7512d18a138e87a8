//! The objects of a template as JSON.

use serde_json::{Value, json};

use super::observed::{CheckedTemplate, Observed};
use crate::api::{experiment::template_annotations, rollout::HASH_LABEL};

/// The ReplicaSet of a template.
pub(super) fn replica_set(observed: &Observed, template: &CheckedTemplate, replicas: i32) -> Value {
    let mut pods = template.template.clone();
    if !pods["metadata"].is_object() {
        pods["metadata"] = json!({});
    }
    if !pods["metadata"]["labels"].is_object() {
        pods["metadata"]["labels"] = json!({});
    }
    pods["metadata"]["labels"][HASH_LABEL] = template.hash.clone().into();
    let mut selector = json!(template.selector);
    if !selector["matchLabels"].is_object() {
        selector["matchLabels"] = json!({});
    }
    selector["matchLabels"][HASH_LABEL] = template.hash.clone().into();
    json!({
        "apiVersion": "apps/v1",
        "kind": "ReplicaSet",
        "metadata": metadata(observed, template, &template.set_name),
        "spec": {
            "replicas": replicas,
            "minReadySeconds": template.min_ready,
            "selector": selector,
            "template": pods,
        },
    })
}

/// The Service of a template: one port for each port of its containers.
pub(super) fn service(observed: &Observed, template: &CheckedTemplate, name: &str) -> Value {
    let containers = template.template["spec"]["containers"].as_array();
    let ports: Vec<Value> = containers
        .into_iter()
        .flatten()
        .filter_map(|container| container["ports"].as_array())
        .flatten()
        .map(|port| {
            let number = &port["containerPort"];
            let mut found = json!({ "port": number, "targetPort": number });
            for field in ["protocol", "name"] {
                if port[field].is_string() {
                    found[field] = port[field].clone();
                }
            }
            found
        })
        .collect();
    json!({
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": metadata(observed, template, name),
        "spec": { "selector": { HASH_LABEL: template.hash }, "ports": ports },
    })
}

fn metadata(observed: &Observed, template: &CheckedTemplate, name: &str) -> Value {
    let experiment = observed.root.key();
    json!({
        "name": name,
        "namespace": experiment.namespace,
        "labels": { HASH_LABEL: template.hash },
        "annotations": template_annotations(&experiment.name, &template.name),
        "ownerReferences": [observed.root.controller_reference()],
    })
}
