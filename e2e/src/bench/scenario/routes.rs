//! N one-pod Rollouts with a route of the Gateway API each: what an update writes.

use anyhow::Result;
use serde_json::{Value, json};

use super::super::book::Measurement;
use super::super::load;
use super::rollouts::{self, Fleet, NAMESPACE, count_of, name};
use super::{Scenario, Session};

const FLEET: Fleet = Fleet {
    what: "one-pod Rollouts with an HTTPRoute each",
    deploy: "routes-deploy",
    update: "routes-update",
    rollout,
};

pub(super) async fn run(session: &Session<'_>) -> Result<Vec<Measurement>> {
    let cluster = session.bed.cluster()?;
    cluster.apply_one("", &definition()).await?;
    let (subject, idle) = session.subject(Scenario::Routes, vec![]).await?;
    cluster.apply_namespace(NAMESPACE).await?;
    let names: Vec<String> = (0..count_of(session)).map(name).collect();
    let services = cluster.api("v1", "Service", NAMESPACE).await?;
    let both = names
        .iter()
        .flat_map(|name| [service(name, "stable"), service(name, "canary")]);
    load::create(&services, both.collect()).await?;
    let routes = cluster
        .api("gateway.networking.k8s.io/v1", "HTTPRoute", NAMESPACE)
        .await?;
    load::create(&routes, names.iter().map(|name| route(name)).collect()).await?;
    rollouts::measure(session, &subject, idle, FLEET).await
}

/// An `HTTPRoute` that takes any fields: no gateway reads it.
fn definition() -> Value {
    json!({
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {
            "name": "httproutes.gateway.networking.k8s.io",
            // Groups below k8s.io are protected; this is what the project of the Gateway API has there.
            "annotations": {"api-approved.kubernetes.io": "https://github.com/kubernetes-sigs/gateway-api/pull/2466"},
        },
        "spec": {
            "group": "gateway.networking.k8s.io",
            "scope": "Namespaced",
            "names": {"kind": "HTTPRoute", "singular": "httproute", "plural": "httproutes"},
            "versions": [{
                "name": "v1", "served": true, "storage": true, "subresources": {"status": {}},
                "schema": {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": true}},
            }],
        },
    })
}

fn service(name: &str, side: &str) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": format!("{name}-{side}"), "namespace": NAMESPACE},
        "spec": {"selector": {"app": name}, "ports": [{"port": 80}]},
    })
}

fn route(name: &str) -> Value {
    let backend = |side: &str| json!({"name": format!("{name}-{side}"), "port": 80});
    json!({
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": "HTTPRoute",
        "metadata": {"name": name, "namespace": NAMESPACE},
        "spec": {
            "parentRefs": [{"name": "public"}],
            "rules": [{"backendRefs": [backend("stable"), backend("canary")]}],
        },
    })
}

fn rollout(name: &str) -> Value {
    let mut rollout = rollouts::rollout(name);
    let canary = &mut rollout["spec"]["strategy"]["canary"];
    canary["stableService"] = format!("{name}-stable").into();
    canary["canaryService"] = format!("{name}-canary").into();
    canary["trafficRouting"] =
        json!({"plugins": {"argoproj-labs/gatewayAPI": {"httpRoute": name}}});
    rollout
}
