//! The nodes that the pods of a tree run on: what they have, and how much of it is asked for.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use futures::{StreamExt, stream};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::{Node, Pod};
use kube::{
    Api, Client,
    api::{DynamicObject, ListParams},
};
use parking_lot::Mutex;
use reconcile_core::kube_types::Quantity;
use serde_json::{Value, json};

use super::read::REQUESTS;
use crate::clusters::Cluster;

/// What is shown of a node.
const RESOURCES: [&str; 3] = ["cpu", "memory", "storage"];
/// Nodes of one tree.
const MAX_HOSTS: usize = 200;
/// Pods of one node that are read.
const MAX_PODS: u32 = 1000;
/// What is known of a node is good for so long.
const FRESH: SignedDuration = SignedDuration::from_secs(60);
/// Nodes that are remembered.
const MAX_KNOWN: usize = 2000;

/// Amounts by the name of the resource, in thousandths.
type Amounts = BTreeMap<&'static str, i64>;

/// What pods of one node ask for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Requested {
    /// All of them.
    all: Amounts,
    /// Those that have not ended.
    running: Amounts,
}

impl Requested {
    fn add(&mut self, pod: &Value) {
        let ended = matches!(
            pod.pointer("/status/phase").and_then(Value::as_str),
            Some("Succeeded" | "Failed")
        );
        for (name, amount) in requests(pod) {
            *self.all.entry(name).or_default() += amount;
            if !ended {
                *self.running.entry(name).or_default() += amount;
            }
        }
    }
}

/// What the pods of a tree ask for, by node.
#[derive(Debug, Default)]
pub(super) struct Hosted(BTreeMap<String, Requested>);

impl Hosted {
    /// Notes a pod.
    pub(super) fn add(&mut self, pod: &DynamicObject) {
        let node = pod.data.pointer("/spec/nodeName").and_then(Value::as_str);
        if let Some(node) = node.filter(|node| !node.is_empty()) {
            self.0.entry(node.to_owned()).or_default().add(&pod.data);
        }
    }
}

/// What a pod asks for: its containers together, or the one that runs before them and asks for more.
fn requests(pod: &Value) -> Amounts {
    let mut amounts = Amounts::new();
    for container in list(pod, "/spec/containers") {
        for (name, amount) in amounts_of(&container["resources"]["requests"]) {
            *amounts.entry(name).or_default() += amount;
        }
    }
    for container in list(pod, "/spec/initContainers") {
        for (name, amount) in amounts_of(&container["resources"]["requests"]) {
            let known = amounts.entry(name).or_default();
            *known = amount.max(*known);
        }
    }
    for (name, amount) in amounts_of(&pod["spec"]["overhead"]) {
        *amounts.entry(name).or_default() += amount;
    }
    amounts
}

fn list<'v>(value: &'v Value, pointer: &str) -> &'v [Value] {
    let list = value.pointer(pointer).and_then(Value::as_array);
    list.map_or(&[], Vec::as_slice)
}

fn amounts_of(quantities: &Value) -> impl Iterator<Item = (&'static str, i64)> {
    RESOURCES.into_iter().filter_map(|name| {
        let quantity: Quantity = quantities.get(name)?.as_str()?.parse().ok()?;
        Some((name, quantity.milli_value()))
    })
}

/// A node and all that is asked of it.
#[derive(Debug)]
struct Host {
    system: Value,
    labels: BTreeMap<String, String>,
    capacity: Amounts,
    requested: Amounts,
}

type Known = HashMap<(String, String), (Timestamp, Arc<Host>)>;

/// The nodes of all clusters, as of a minute ago at most.
#[derive(Default)]
pub(super) struct Hosts(Mutex<Known>);

impl Hosts {
    /// The nodes of a tree as pages show them, with those of their labels that may be shown. A node that cannot be read
    /// is left out.
    pub(super) async fn of_tree(
        &self,
        cluster: &Cluster,
        hosted: &Hosted,
        labels: &[String],
        now: Timestamp,
    ) -> Vec<Value> {
        let server = cluster.destination().server.to_string();
        let nodes: Vec<String> = hosted.0.keys().take(MAX_HOSTS).cloned().collect();
        let found = stream::iter(nodes).map(|name| {
            let key = (server.clone(), name.clone());
            async move {
                let host = self.host(&cluster.reads, key, now).await?;
                Some(row(&name, &host, hosted.0.get(&name)?, labels))
            }
        });
        let found = found.buffered(REQUESTS).filter_map(std::future::ready);
        found.collect().await
    }

    async fn host(
        &self,
        client: &Client,
        key: (String, String),
        now: Timestamp,
    ) -> Option<Arc<Host>> {
        let since = now.saturating_sub(FRESH).unwrap_or(now);
        let known = self.0.lock().get(&key).cloned();
        if let Some((_, host)) = known.filter(|(read, _)| *read > since) {
            return Some(host);
        }
        let host = match read(client, &key.1).await {
            Ok(host) => Arc::new(host),
            Err(error) => {
                tracing::debug!(node = key.1, %error, "cannot read a node for a tree");
                return None;
            }
        };
        let mut known = self.0.lock();
        known.retain(|_, (read, _)| *read > since);
        if known.len() < MAX_KNOWN {
            known.insert(key, (now, host.clone()));
        }
        Some(host)
    }
}

async fn read(client: &Client, name: &str) -> Result<Host, kube::Error> {
    let node = Api::<Node>::all(client.clone()).get(name).await?;
    let here = ListParams::default()
        .fields(&format!("spec.nodeName={name}"))
        .limit(MAX_PODS);
    let pods = Api::<Pod>::all(client.clone()).list(&here).await?;
    let mut requested = Requested::default();
    for pod in pods.items {
        requested.add(&serde_json::to_value(pod).unwrap_or_default());
    }
    let status = serde_json::to_value(node.status).unwrap_or_default();
    Ok(Host {
        capacity: amounts_of(&status["capacity"]).collect(),
        system: status["nodeInfo"].clone(),
        labels: node.metadata.labels.unwrap_or_default(),
        requested: requested.running,
    })
}

fn row(name: &str, host: &Host, app: &Requested, labels: &[String]) -> Value {
    let of = |amounts: &Amounts, name: &str| amounts.get(name).copied().unwrap_or_default();
    let resources = RESOURCES
        .into_iter()
        .filter(|name| of(&host.capacity, name) > 0);
    let resources: Vec<Value> = resources
        .map(|name| {
            // The pods of the tree may be newer than those of the node.
            let others = of(&host.requested, name) - of(&app.running, name);
            json!({
                "resourceName": name,
                "capacity": of(&host.capacity, name),
                "requestedByApp": of(&app.all, name),
                "requestedByNeighbors": others.max(0),
            })
        })
        .collect();
    let shown = labels.iter().filter_map(|label| {
        let value = host.labels.get(label)?;
        Some((label.as_str(), value.as_str()))
    });
    let shown: BTreeMap<&str, &str> = shown.collect();
    let mut row = json!({"name": name, "resourcesInfo": resources, "systemInfo": host.system});
    if !shown.is_empty() {
        row["labels"] = json!(shown);
    }
    row
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pod(phase: &str, spec: &Value) -> DynamicObject {
        serde_json::from_value(json!({
            "apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p"},
            "spec": spec, "status": {"phase": phase},
        }))
        .expect("a pod")
    }

    fn asking(cpu: &str) -> Value {
        json!({"nodeName": "n", "containers": [{"name": "c", "resources": {"requests": {"cpu": cpu}}}]})
    }

    #[test]
    fn a_pod_asks_for_its_containers_or_for_what_runs_before() {
        let pod = json!({"spec": {
            "containers": [
                {"resources": {"requests": {"cpu": "100m", "memory": "1Ki", "example.com/gpu": "1"}}},
                {"resources": {"requests": {"cpu": "0.2", "memory": "broken"}}},
                {},
            ],
            "initContainers": [{"resources": {"requests": {"cpu": "250m", "memory": "2Ki"}}}],
            "overhead": {"cpu": "10m"},
        }});
        let expected = [("cpu", 310), ("memory", 2_048_000)];
        assert_eq!(requests(&pod), Amounts::from(expected));
    }

    #[test]
    fn neighbours_are_what_is_left_of_those_that_run() {
        let mut hosted = Hosted::default();
        hosted.add(&pod("Running", &asking("100m")));
        hosted.add(&pod("Succeeded", &asking("50m")));
        hosted.add(&pod("Pending", &json!({"containers": []})));
        let host = Host {
            system: json!({"architecture": "amd64"}),
            labels: BTreeMap::from([
                ("shown".to_owned(), "1".to_owned()),
                ("hidden".to_owned(), "2".to_owned()),
            ]),
            capacity: Amounts::from([("cpu", 4000)]),
            requested: Amounts::from([("cpu", 300), ("memory", 5)]),
        };
        let labels = ["shown".to_owned(), "none".to_owned()];
        let requested = hosted.0.get("n").expect("the node");
        assert_eq!(hosted.0.len(), 1, "a pod without node is nowhere");
        assert_eq!(
            row("n", &host, requested, &labels),
            json!({
                "name": "n",
                "systemInfo": {"architecture": "amd64"},
                "labels": {"shown": "1"},
                "resourcesInfo": [{
                    "resourceName": "cpu", "capacity": 4000,
                    "requestedByApp": 150, "requestedByNeighbors": 200,
                }],
            })
        );
    }
}
