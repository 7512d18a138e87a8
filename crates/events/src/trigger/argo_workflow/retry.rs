//! What is changed of a failed Workflow so that its controller runs the failed part once more: failed nodes
//! are removed with their pods, and the groups around them run again. Nodes that succeeded stay.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

/// The change.
#[derive(Debug, PartialEq)]
pub(super) struct Retry {
    /// Pods of the nodes that are removed.
    pub(super) pods: Vec<String>,
    /// Merge patch of the Workflow.
    pub(super) change: Value,
}

/// Plans it; the error says why this Workflow cannot be retried.
pub(super) fn plan(live: &Value) -> Result<Retry, &'static str> {
    let status = &live["status"];
    if status["phase"] != "Failed" && status["phase"] != "Error" {
        return Err("the Workflow has not failed");
    }
    let packed = |field: &str| status[field].as_str().is_some_and(|text| !text.is_empty());
    if packed("compressedNodes") || packed("offloadNodeStatusVersion") {
        return Err("its nodes are not in its status, but compressed or in a database");
    }
    let none = Map::new();
    let nodes = status["nodes"].as_object().unwrap_or(&none);
    let mut changes = Map::new();
    let mut pods = BTreeSet::new();
    for (id, node) in nodes {
        let done = ["Succeeded", "Skipped"]
            .iter()
            .any(|phase| node["phase"] == *phase);
        let on_exit = node["name"]
            .as_str()
            .is_some_and(|name| name.ends_with(".onExit"));
        if done && !on_exit {
            continue;
        }
        let group = ["Steps", "StepGroup", "DAG", "TaskGroup"]
            .iter()
            .any(|kind| node["type"] == *kind);
        if group && !on_exit {
            changes.insert(
                id.clone(),
                json!({"phase": "Running", "message": null, "finishedAt": null}),
            );
            continue;
        }
        changes.insert(id.clone(), Value::Null);
        if node["type"] == "Pod" {
            pods.insert(pod_name(live, id, node));
        }
    }
    Ok(Retry {
        pods: pods.into_iter().collect(),
        change: json!({
            "metadata": {"labels": {
                "workflows.argoproj.io/completed": null,
                "workflows.argoproj.io/phase": "Running",
            }},
            "spec": {"shutdown": null},
            "status": {
                "phase": "Running",
                "message": null,
                "finishedAt": null,
                "nodes": changes,
            },
        }),
    })
}

/// The pod of a node: named by workflow, template and hash, or by the node alone in the first version.
fn pod_name(live: &Value, id: &str, node: &Value) -> String {
    let version = &live["metadata"]["annotations"]["workflows.argoproj.io/pod-name-format"];
    let workflow = live["metadata"]["name"].as_str().unwrap_or_default();
    let template = node["templateName"]
        .as_str()
        .or_else(|| node["templateRef"]["template"].as_str());
    let hash = id
        .strip_prefix(workflow)
        .and_then(|rest| rest.strip_prefix('-'));
    match (template, hash) {
        (Some(template), Some(hash)) if version != "v1" => {
            format!("{workflow}-{template}-{hash}")
        }
        _ => id.to_owned(),
    }
}
