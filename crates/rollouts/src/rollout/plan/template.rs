//! The comparable form of a pod template.
//!
//! A ReplicaSet's template has been through the API server, which filled in defaults; the Rollout's
//! template is as its author wrote it. Both are brought to the same form here: known defaults filled in,
//! quantities in canonical form, absent and empty made equal, and the parts left out that a controller
//! adds. Taking over ReplicaSets without a redeployment depends on it.

use reconcile_core::kube_types::Quantity;
use serde_json::{Map, Value, json};

use crate::api::rollout::HASH_LABEL;

/// Objects that mean the same empty as absent. Others, such as `emptyDir`, mean something when empty.
const EMPTY_IS_ABSENT: [&str; 12] = [
    "resources",
    "securityContext",
    "labels",
    "annotations",
    "affinity",
    "nodeSelector",
    "requests",
    "limits",
    "metadata",
    "nodeAffinity",
    "podAffinity",
    "podAntiAffinity",
];
/// Switches whose default is off and that the API server drops when they are off.
const OFF_IS_ABSENT: [&str; 7] = [
    "hostNetwork",
    "hostPID",
    "hostIPC",
    "stdin",
    "stdinOnce",
    "tty",
    "readOnly",
];

/// Numbers that the API server drops when they are zero.
const ZERO_IS_ABSENT: [&str; 3] = ["hostPort", "initialDelaySeconds", "partition"];

/// The comparable form of `template`.
pub(super) fn comparable(template: &Value) -> Value {
    let mut template = template.clone();
    prune("", &mut template);
    if let Some(metadata) = template.get_mut("metadata").and_then(Value::as_object_mut) {
        for name in [
            "creationTimestamp",
            "name",
            "generateName",
            "namespace",
            "managedFields",
        ] {
            metadata.remove(name);
        }
        if let Some(labels) = metadata.get_mut("labels").and_then(Value::as_object_mut) {
            labels.remove(HASH_LABEL);
            if labels.is_empty() {
                metadata.remove("labels");
            }
        }
        if metadata.is_empty()
            && let Some(object) = template.as_object_mut()
        {
            object.remove("metadata");
        }
    }
    if let Some(spec) = template.get_mut("spec").and_then(Value::as_object_mut) {
        pod_spec(spec);
    }
    template
}

/// Drops what means the same as nothing.
fn prune(key: &str, value: &mut Value) {
    match value {
        Value::Object(members) => {
            for (name, member) in members.iter_mut() {
                prune(name, member);
            }
            // Names chosen by users are kept even when their value is empty.
            let names_are_data = matches!(
                key,
                "labels" | "annotations" | "nodeSelector" | "matchLabels"
            );
            members.retain(|name, member| {
                names_are_data && !member.is_null() || !is_nothing(name, member)
            });
        }
        Value::Array(items) => items.iter_mut().for_each(|item| prune("", item)),
        _ => {}
    }
}

fn is_nothing(name: &str, value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Object(members) => members.is_empty() && EMPTY_IS_ABSENT.contains(&name),
        Value::Bool(on) => !on && OFF_IS_ABSENT.contains(&name),
        Value::Number(number) => number.as_i64() == Some(0) && ZERO_IS_ABSENT.contains(&name),
    }
}

fn fill(object: &mut Map<String, Value>, name: &str, default: Value) {
    object.entry(name).or_insert(default);
}

fn each<'v>(
    object: &'v mut Map<String, Value>,
    name: &str,
) -> impl Iterator<Item = &'v mut Map<String, Value>> + use<'v> {
    object
        .get_mut(name)
        .and_then(Value::as_array_mut)
        .into_iter()
        .flatten()
        .filter_map(Value::as_object_mut)
}

fn member<'v>(
    object: &'v mut Map<String, Value>,
    name: &str,
) -> Option<&'v mut Map<String, Value>> {
    object.get_mut(name).and_then(Value::as_object_mut)
}

fn pod_spec(spec: &mut Map<String, Value>) {
    fill(spec, "restartPolicy", json!("Always"));
    fill(spec, "dnsPolicy", json!("ClusterFirst"));
    fill(spec, "terminationGracePeriodSeconds", json!(30));
    fill(spec, "schedulerName", json!("default-scheduler"));
    // The old name of serviceAccountName; the server writes both.
    let old_account = spec.remove("serviceAccount");
    if let Some(account) = old_account {
        fill(spec, "serviceAccountName", account);
    }
    let host_network = spec.get("hostNetwork") == Some(&Value::Bool(true));
    for list in ["containers", "initContainers", "ephemeralContainers"] {
        each(spec, list).for_each(|container| fill_container(container, host_network));
    }
    each(spec, "volumes").for_each(volume);
    if let Some(overhead) = member(spec, "overhead") {
        quantities(overhead);
    }
}

fn fill_container(container: &mut Map<String, Value>, host_network: bool) {
    fill(
        container,
        "terminationMessagePath",
        json!("/dev/termination-log"),
    );
    fill(container, "terminationMessagePolicy", json!("File"));
    let policy = pull_policy(
        container
            .get("image")
            .and_then(Value::as_str)
            .unwrap_or_default(),
    );
    fill(container, "imagePullPolicy", json!(policy));
    for port in each(container, "ports") {
        fill(port, "protocol", json!("TCP"));
        if host_network && let Some(number) = port.get("containerPort").cloned() {
            fill(port, "hostPort", number);
        }
    }
    for variable in each(container, "env") {
        if let Some(source) = member(variable, "valueFrom") {
            if let Some(field) = member(source, "fieldRef") {
                fill(field, "apiVersion", json!("v1"));
            }
            if let Some(divisor) = member(source, "resourceFieldRef") {
                resource_divisor(divisor);
            }
        }
    }
    for probe in ["livenessProbe", "readinessProbe", "startupProbe"] {
        if let Some(probe) = member(container, probe) {
            fill(probe, "timeoutSeconds", json!(1));
            fill(probe, "periodSeconds", json!(10));
            fill(probe, "successThreshold", json!(1));
            fill(probe, "failureThreshold", json!(3));
            handler(probe);
        }
    }
    if let Some(lifecycle) = member(container, "lifecycle") {
        for hook in ["postStart", "preStop"] {
            if let Some(hook) = member(lifecycle, hook) {
                handler(hook);
            }
        }
    }
    if let Some(resources) = member(container, "resources") {
        fill_resources(resources);
    }
}

fn fill_resources(resources: &mut Map<String, Value>) {
    for part in ["limits", "requests"] {
        if let Some(amounts) = member(resources, part) {
            quantities(amounts);
        }
    }
    let limits = resources
        .get("limits")
        .and_then(Value::as_object)
        .cloned()
        .unwrap_or_default();
    if limits.is_empty() {
        return;
    }
    let requests = resources.entry("requests").or_insert_with(|| json!({}));
    if let Some(requests) = requests.as_object_mut() {
        for (name, amount) in limits {
            fill(requests, &name, amount);
        }
    }
}

fn quantities(amounts: &mut Map<String, Value>) {
    amounts.values_mut().for_each(canonical);
}

fn quantity(object: &mut Map<String, Value>, name: &str) {
    if let Some(amount) = object.get_mut(name) {
        canonical(amount);
    }
}

fn canonical(amount: &mut Value) {
    let text = match &amount {
        Value::String(text) => text.clone(),
        Value::Number(number) => number.to_string(),
        _ => return,
    };
    if let Some(canonical) = Quantity::canonical(&text) {
        *amount = Value::String(canonical);
    }
}

fn resource_divisor(reference: &mut Map<String, Value>) {
    fill(reference, "divisor", json!("0"));
    quantity(reference, "divisor");
}

/// Images without a tag or with the tag `latest` are pulled each time.
fn pull_policy(image: &str) -> &'static str {
    if image.contains('@') {
        return "IfNotPresent";
    }
    let last = image.rsplit('/').next().unwrap_or_default();
    match last.split_once(':') {
        None | Some((_, "latest")) => "Always",
        Some(_) => "IfNotPresent",
    }
}

fn handler(handler: &mut Map<String, Value>) {
    if let Some(get) = member(handler, "httpGet") {
        fill(get, "path", json!("/"));
        fill(get, "scheme", json!("HTTP"));
    }
}

/// What the API server fills into volumes of rarer kinds.
const SOURCE_DEFAULTS: [(&str, &[(&str, &str)]); 4] = [
    ("iscsi", &[("iscsiInterface", "default")]),
    (
        "rbd",
        &[
            ("pool", "rbd"),
            ("user", "admin"),
            ("keyring", "/etc/ceph/keyring"),
        ],
    ),
    (
        "azureDisk",
        &[
            ("cachingMode", "ReadWrite"),
            ("fsType", "ext4"),
            ("kind", "Shared"),
        ],
    ),
    (
        "scaleIO",
        &[("storageMode", "ThinProvisioned"), ("fsType", "xfs")],
    ),
];

fn volume(volume: &mut Map<String, Value>) {
    let mode = json!(0o644);
    for source in ["secret", "configMap"] {
        if let Some(source) = member(volume, source) {
            fill(source, "defaultMode", mode.clone());
        }
    }
    if let Some(source) = member(volume, "downwardAPI") {
        fill(source, "defaultMode", mode.clone());
        downward(source);
    }
    if let Some(source) = member(volume, "emptyDir") {
        quantity(source, "sizeLimit");
    }
    for (source, defaults) in SOURCE_DEFAULTS {
        if let Some(source) = member(volume, source) {
            for (name, default) in defaults {
                fill(source, name, json!(default));
            }
        }
    }
    if let Some(source) = member(volume, "projected") {
        fill(source, "defaultMode", mode);
        for part in each(source, "sources") {
            if let Some(token) = member(part, "serviceAccountToken") {
                fill(token, "expirationSeconds", json!(3600));
            }
            if let Some(part) = member(part, "downwardAPI") {
                downward(part);
            }
        }
    }
    if let Some(claim) =
        member(volume, "ephemeral").and_then(|source| member(source, "volumeClaimTemplate"))
        && let Some(spec) = member(claim, "spec")
    {
        fill(spec, "volumeMode", json!("Filesystem"));
        if let Some(resources) = member(spec, "resources") {
            for part in ["limits", "requests"] {
                if let Some(amounts) = member(resources, part) {
                    quantities(amounts);
                }
            }
        }
    }
    // A volume without a source is an empty directory.
    if volume.len() == 1 {
        fill(volume, "emptyDir", json!({}));
    }
}

fn downward(source: &mut Map<String, Value>) {
    for item in each(source, "items") {
        if let Some(field) = member(item, "fieldRef") {
            fill(field, "apiVersion", json!("v1"));
        }
        if let Some(reference) = member(item, "resourceFieldRef") {
            resource_divisor(reference);
        }
    }
}
