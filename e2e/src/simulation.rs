//! Simulated nodes and pods: kwok with the stages in `e2e/stages`.
//!
//! A stage there is a name, a jq condition (`when`), a jq delay (`after`) and what follows: a status template, an
//! Event, a deletion. Here each becomes a kwok `Stage` with the common jq and template text in front.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result};
use futures::future::try_join_all;
use k8s_openapi::api::core::v1::{Node, ServiceAccount};
use kube::api::{ListParams, PostParams};
use kube::{Api, Client};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::process::{Part, Program, until_ready};
use crate::tools::{Binaries, Tool};

/// Pod addresses; `bed --isolated` routes them to this machine.
pub(crate) const POD_CIDR: &str = "10.64.0.0/16";
const BEHAVIOUR: &str = include_str!("../stages/behaviour.jq");
const EXIT_TEMPLATE: &str = include_str!("../stages/exit.tmpl");
const POD_STAGES: &str = include_str!("../stages/pods.yaml");
const NODE_STAGES: &str = include_str!("../stages/nodes.yaml");

/// How many nodes there are and how quick their pods.
#[derive(Debug, Clone)]
pub(crate) struct Nodes {
    pub(crate) count: usize,
    pub(crate) pods_per_node: u32,
    /// From binding to running containers.
    pub(crate) start_after: Duration,
    /// From running containers to readiness.
    pub(crate) ready_after: Duration,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Stage {
    name: String,
    when: String,
    after: Option<String>,
    status: Option<String>,
    event: Option<Value>,
    #[serde(default)]
    delete: bool,
}

/// kwok's command line; writes its configuration into `dir`.
pub(crate) fn program(
    dir: &Path,
    binaries: &Binaries,
    kubeconfig: &Path,
    nodes: &Nodes,
) -> Result<Program> {
    let config = dir.join("kwok.yaml");
    std::fs::write(&config, configuration(nodes)?)?;
    Ok(Program::new("kwok", binaries.path(Tool::Kwok)?)
        .arg(format!("--kubeconfig={}", kubeconfig.display()))
        .arg(format!("--config={}", config.display()))
        .arg(format!("--cidr={POD_CIDR}"))
        // Nobody listens there: this is where Events and NodePorts would point to.
        .args(["--node-ip=10.64.255.254", "--manage-all-nodes=true"])
        .args(["--node-lease-duration-seconds=40", "--server-address="])
        // kwok reads a configuration of the user's home otherwise.
        .env("HOME", dir))
}

/// The configuration file: kwok's options and every stage.
fn configuration(nodes: &Nodes) -> Result<String> {
    let mut documents = vec![json!({
        "apiVersion": "config.kwok.x-k8s.io/v1alpha1",
        "kind": "KwokConfiguration",
        "options": {
            "podPlayStageParallelism": 16,
            "nodePlayStageParallelism": 4,
            "nodeLeaseParallelism": 4,
            "podsOnNodeSyncParallelism": 4,
            "enableCRDs": [],
        },
    })];
    let prelude = collapse(BEHAVIOUR);
    for stage in parse(NODE_STAGES)? {
        documents.push(kwok_stage(&stage, "Node", "", ""));
    }
    for stage in parse(POD_STAGES)? {
        documents.push(kwok_stage(
            &stage,
            "Pod",
            &prelude,
            EXIT_TEMPLATE.trim_end(),
        ));
    }
    let mut text = String::new();
    for document in documents {
        text.push_str("---\n");
        text.push_str(&serde_json::to_string_pretty(&document)?);
        text.push('\n');
    }
    Ok(text
        .replace(
            "@START_AFTER@",
            &format!("{}ms", nodes.start_after.as_millis()),
        )
        .replace(
            "@READY_AFTER@",
            &format!("{}ms", nodes.ready_after.as_millis()),
        )
        .replace("@PODS_PER_NODE@", &nodes.pods_per_node.to_string()))
}

fn parse(text: &str) -> Result<Vec<Stage>> {
    serde_saphyr::from_str(text).context("e2e/stages")
}

/// The jq text without comments, on one line.
fn collapse(text: &str) -> String {
    text.lines()
        .map(str::trim)
        .filter(|line| !line.starts_with('#'))
        .collect::<Vec<_>>()
        .join(" ")
}

fn kwok_stage(stage: &Stage, kind: &str, prelude: &str, template: &str) -> Value {
    let mut steps = Vec::new();
    if let Some(event) = &stage.event {
        steps.push(json!({"event": event}));
    }
    if let Some(status) = &stage.status {
        let text = format!("{template}{status}");
        steps.push(json!({"patch": {"subresource": "status", "root": "status", "template": text}}));
    }
    if stage.delete {
        steps.push(json!({"delete": true}));
    }
    let when = format!(
        "{prelude} if ({}) then \"yes\" else \"no\" end",
        stage.when.trim()
    );
    let mut spec = json!({
        "resourceRef": {"apiGroup": "v1", "kind": kind},
        "selector": {"matchExpressions": [
            {"jq": {"key": when, "operator": "In", "values": ["yes"]}},
        ]},
        "weight": 1,
        "steps": steps,
    });
    if let Some(after) = &stage.after {
        spec["delay"] = json!({
            "durationMilliseconds": 0,
            "durationFrom": {"jq": {"expression": format!("{prelude} {}", after.trim())}},
        });
    }
    json!({
        "apiVersion": "kwok.x-k8s.io/v1alpha1",
        "kind": "Stage",
        "metadata": {"name": stage.name},
        "spec": spec,
    })
}

/// Makes the node objects; kwok fills in the rest.
pub(crate) async fn create_nodes(client: &Client, nodes: &Nodes) -> Result<()> {
    let api: Api<Node> = Api::all(client.clone());
    let params = PostParams::default();
    let mut objects = Vec::new();
    for index in 0..nodes.count {
        let name = format!("bed-{index}");
        let node: Node = serde_json::from_value(json!({
            "metadata": {"name": name, "labels": {
                "kubernetes.io/hostname": name,
                "kubernetes.io/os": "linux",
                "kubernetes.io/arch": "amd64",
                "topology.kubernetes.io/zone": format!("zone-{}", index % 3),
            }},
        }))?;
        objects.push(node);
    }
    try_join_all(objects.iter().map(|node| api.create(&params, node))).await?;
    Ok(())
}

/// Returns when every node is ready and the default service account exists, so that pods can be made.
pub(crate) async fn until_usable(
    client: &Client,
    kwok: &Part,
    count: usize,
    deadline: Duration,
) -> Result<()> {
    let nodes: Api<Node> = Api::all(client.clone());
    let accounts: Api<ServiceAccount> = Api::namespaced(client.clone(), "default");
    until_ready(kwok, deadline, || async {
        let Ok(list) = nodes.list(&ListParams::default()).await else {
            return false;
        };
        let ready = list.items.iter().filter(|node| is_ready(node)).count();
        ready >= count
            && accounts
                .get_opt("default")
                .await
                .is_ok_and(|account| account.is_some())
    })
    .await
}

fn is_ready(node: &Node) -> bool {
    node.status
        .iter()
        .flat_map(|status| status.conditions.iter().flatten())
        .any(|condition| condition.type_ == "Ready" && condition.status == "True")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_stage_is_written_with_its_delay() {
        let nodes = Nodes {
            count: 1,
            pods_per_node: 7,
            start_after: Duration::from_millis(10),
            ready_after: Duration::from_millis(20),
        };
        let text = configuration(&nodes).expect("the stages are well formed");
        for name in [
            "pod-start",
            "pod-ready",
            "pod-crash",
            "pod-fail",
            "pod-delete",
            "node-ready",
        ] {
            assert!(
                text.contains(&format!("\"name\": \"{name}\"")),
                "{name} is missing"
            );
        }
        assert!(text.contains("20ms"));
        for placeholder in ["@START_AFTER@", "@READY_AFTER@", "@PODS_PER_NODE@"] {
            assert!(!text.contains(placeholder), "{placeholder} was left");
        }
    }
}
