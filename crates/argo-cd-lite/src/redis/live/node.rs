//! One object of a tree.

use kube::api::{ApiResource, DynamicObject};
use serde_json::{Map, Value, json};

use super::network::networking;
use crate::{
    health::{Checks, Health, Subject},
    render::images,
};

/// The node of a live object.
pub(super) fn node(
    resource: &ApiResource,
    object: &DynamicObject,
    parents: &[Value],
    checks: &Checks,
) -> Value {
    let metadata = &object.metadata;
    let mut node = Map::new();
    let mut put = |name: &str, value: Value| {
        let empty = match &value {
            Value::Null => true,
            Value::String(text) => text.is_empty(),
            Value::Array(items) => items.is_empty(),
            _ => false,
        };
        if !empty {
            node.insert(name.to_owned(), value);
        }
    };
    put("group", resource.group.as_str().into());
    put("version", resource.version.as_str().into());
    put("kind", resource.kind.as_str().into());
    put("namespace", json!(metadata.namespace));
    put("name", json!(metadata.name));
    put("uid", json!(metadata.uid));
    put("resourceVersion", json!(metadata.resource_version));
    put("createdAt", json!(metadata.creation_timestamp));
    put("parentRefs", parents.into());
    put("images", json!(images(&object.data)));
    put("info", info(resource, object).into());
    put("networkingInfo", networking(resource, object));
    let subject = Subject {
        group: &resource.group,
        version: &resource.version,
        kind: &resource.kind,
        metadata,
        body: &object.data,
    };
    put(
        "health",
        json!(checks.assess(&subject).map(|health| status(&health))),
    );
    node.into()
}

fn status(health: &Health) -> Value {
    let mut status = json!({"status": health.code.word()});
    if !health.text().is_empty() {
        status["message"] = health.text().into();
    }
    status
}

/// What the pages show beside the name.
fn info(resource: &ApiResource, object: &DynamicObject) -> Vec<Value> {
    if resource.group.is_empty() && resource.kind == "Pod" {
        return pod_info(object);
    }
    let annotations = object.metadata.annotations.as_ref();
    let revision = [
        "deployment.kubernetes.io/revision",
        "rollout.argoproj.io/revision",
    ]
    .iter()
    .find_map(|name| annotations?.get(*name));
    match revision {
        Some(revision) if resource.kind == "ReplicaSet" => {
            vec![row("Revision", format!("Rev:{revision}"))]
        }
        _ => Vec::new(),
    }
}

fn row(name: &str, value: impl Into<String>) -> Value {
    json!({"name": name, "value": value.into()})
}

fn pod_info(pod: &DynamicObject) -> Vec<Value> {
    let text = |pointer: &str| pod.data.pointer(pointer).and_then(Value::as_str);
    let list = |pointer: &str| pod.data.pointer(pointer).and_then(Value::as_array);
    let statuses = list("/status/containerStatuses").map_or(&[][..], Vec::as_slice);
    let total = list("/spec/containers").map_or(0, Vec::len);
    let ready = statuses
        .iter()
        .filter(|status| status["ready"] == true)
        .count();
    let restarts: i64 = statuses
        .iter()
        .filter_map(|status| status["restartCount"].as_i64())
        .sum();
    let mut rows = vec![row("Status Reason", pod_reason(pod, statuses))];
    if let Some(node) = text("/spec/nodeName").filter(|node| !node.is_empty()) {
        rows.push(row("Node", node));
    }
    rows.push(row("Containers", format!("{ready}/{total}")));
    if restarts > 0 {
        rows.push(row("Restart Count", restarts.to_string()));
    }
    rows
}

/// The reason as `kubectl get pods` shows it.
fn pod_reason(pod: &DynamicObject, statuses: &[Value]) -> String {
    let field = |name: &str| {
        let text = pod
            .data
            .pointer(&format!("/status/{name}"))
            .and_then(Value::as_str);
        text.filter(|text| !text.is_empty())
    };
    if pod.metadata.deletion_timestamp.is_some() {
        let lost = field("reason") == Some("NodeLost");
        return if lost { "Unknown" } else { "Terminating" }.to_owned();
    }
    if let Some(init) = init_reason(pod) {
        return init;
    }
    let reason = field("reason").or(field("phase")).unwrap_or_default();
    let running = statuses
        .iter()
        .any(|status| status["ready"] == true && !status["state"]["running"].is_null());
    // The last container that does not run says why; a finished one does not matter while another one runs.
    let stopped = statuses.iter().find_map(stopped_reason);
    match stopped {
        Some(reason) if reason == "Completed" && running => "Running".to_owned(),
        Some(reason) => reason,
        None => reason.to_owned(),
    }
}

fn stopped_reason(status: &Value) -> Option<String> {
    let reason = |state: &Value| {
        state["reason"]
            .as_str()
            .filter(|text| !text.is_empty())
            .map(str::to_owned)
    };
    if let Some(waiting) = reason(&status["state"]["waiting"]) {
        return Some(waiting);
    }
    let ended = &status["state"]["terminated"];
    if ended.is_null() {
        return None;
    }
    reason(ended).or_else(|| match ended["signal"].as_i64() {
        Some(signal) if signal != 0 => Some(format!("Signal:{signal}")),
        _ => Some(format!(
            "ExitCode:{}",
            ended["exitCode"].as_i64().unwrap_or_default()
        )),
    })
}

/// What holds up the containers that run first; `None` when they are done.
fn init_reason(pod: &DynamicObject) -> Option<String> {
    let statuses = pod
        .data
        .pointer("/status/initContainerStatuses")?
        .as_array()?;
    let (at, status) = statuses.iter().enumerate().find(|(_, status)| {
        let done = status["state"]["terminated"]["exitCode"] == 0;
        // One that keeps running beside the others is done once it has started.
        !done && status["started"] != true
    })?;
    let reason = stopped_reason(status).filter(|reason| reason != "PodInitializing");
    Some(match reason {
        Some(reason) => format!("Init:{reason}"),
        None => format!("Init:{at}/{}", statuses.len()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reason(status: &Value) -> String {
        let pod: DynamicObject = serde_json::from_value(json!({
            "apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p"},
            "spec": {"nodeName": "n1", "containers": [{"name": "a", "image": "x"}, {"name": "b", "image": "y"}]},
            "status": status,
        }))
        .expect("a pod");
        let rows = pod_info(&pod);
        let texts = rows
            .iter()
            .map(|row| row["value"].as_str().unwrap_or_default());
        texts.collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn pods_say_what_kubectl_says() {
        let running = json!({"ready": true, "restartCount": 2, "state": {"running": {}}});
        let crashing = json!({"ready": false, "restartCount": 3, "state": {"waiting": {"reason": "CrashLoopBackOff"}}});
        let done = json!({"ready": false, "state": {"terminated": {"reason": "Completed", "exitCode": 0}}});
        let killed =
            json!({"ready": false, "state": {"terminated": {"exitCode": 137, "signal": 9}}});
        let of =
            |statuses: Value| reason(&json!({"phase": "Running", "containerStatuses": statuses}));
        assert_eq!(of(json!([running, running])), "Running n1 2/2 4");
        assert_eq!(of(json!([running, crashing])), "CrashLoopBackOff n1 1/2 5");
        assert_eq!(of(json!([running, done])), "Running n1 1/2 2");
        assert_eq!(of(json!([killed])), "Signal:9 n1 0/2");
        assert_eq!(reason(&json!({"phase": "Pending"})), "Pending n1 0/2");
        assert_eq!(
            reason(&json!({"phase": "Failed", "reason": "Evicted"})),
            "Evicted n1 0/2"
        );
        let init = json!({"phase": "Pending", "initContainerStatuses": [{"state": {"waiting": {"reason": "PodInitializing"}}}]});
        assert_eq!(reason(&init), "Init:0/1 n1 0/2");
    }

    #[test]
    fn a_node_has_only_what_is_known() {
        let set: DynamicObject = serde_json::from_value(json!({
            "apiVersion": "apps/v1", "kind": "ReplicaSet",
            "metadata": {"name": "rs", "namespace": "ns", "uid": "u", "annotations": {"deployment.kubernetes.io/revision": "3"}},
        }))
        .expect("an object");
        let gvk = kube::core::GroupVersionKind::gvk("apps", "v1", "ReplicaSet");
        let node = node(&ApiResource::from_gvk(&gvk), &set, &[], &Checks::default());
        assert_eq!(
            node["info"],
            json!([{"name": "Revision", "value": "Rev:3"}])
        );
        for absent in ["parentRefs", "images", "networkingInfo", "createdAt"] {
            assert!(node.get(absent).is_none(), "{absent}");
        }
    }
}
