//! What the controller puts into the pod template of a ReplicaSet beside the hash: labels and annotations of a
//! version, which go again, and the distance to the stable version. Neither is part of the version: both are taken
//! out before templates are compared.

use serde_json::{Value, json};

use super::pod_rules::AntiAffinity;
use crate::api::rollout::{HASH_LABEL, PodMetadata};

/// Annotation of ReplicaSets: the labels and annotations that were put into the template, as JSON.
pub(crate) const EPHEMERAL_METADATA: &str = "rollout.argoproj.io/ephemeral-metadata";
const RULES: [&str; 2] = [
    "requiredDuringSchedulingIgnoredDuringExecution",
    "preferredDuringSchedulingIgnoredDuringExecution",
];

/// Reads the annotation; none when it is absent or not readable.
pub(super) fn metadata_of(annotation: Option<&str>) -> Option<PodMetadata> {
    annotation.and_then(|text| serde_json::from_str(text).ok())
}

/// Writes the annotation; none when there is nothing to remember.
pub(super) fn annotation_of(metadata: &PodMetadata) -> Option<String> {
    (*metadata != PodMetadata::default())
        .then(|| serde_json::to_string(metadata).unwrap_or_default())
}

/// Takes out what was put in: the template of the version stays.
pub(super) fn strip(template: &mut Value, metadata: Option<&PodMetadata>) {
    for (field, added) in metadata.map_or_else(Vec::new, |metadata| {
        vec![
            ("labels", &metadata.labels),
            ("annotations", &metadata.annotations),
        ]
    }) {
        if let Some(present) = template["metadata"][field].as_object_mut() {
            present.retain(|key, value| {
                added.get(key).map(String::as_str) != value.as_str() || value.is_null()
            });
        }
    }
    let Some(rules) = template.pointer_mut("/spec/affinity/podAntiAffinity") else {
        return;
    };
    for kind in RULES {
        if let Some(list) = rules.get_mut(kind).and_then(Value::as_array_mut) {
            list.retain(|rule| avoided(rule).is_none());
        }
    }
}

/// The version that the pods of a template avoid; none when they avoid none.
pub(super) fn avoided_version(template: &Value) -> Option<String> {
    let rules = template.pointer("/spec/affinity/podAntiAffinity")?;
    let mut all = RULES
        .iter()
        .filter_map(|kind| rules.get(kind)?.as_array())
        .flatten();
    all.find_map(avoided).map(str::to_owned)
}

/// The hash that a rule of the controller names.
fn avoided(rule: &Value) -> Option<&str> {
    let term = rule.get("podAffinityTerm").unwrap_or(rule);
    let expressions = term
        .pointer("/labelSelector/matchExpressions")?
        .as_array()?;
    let own = expressions
        .iter()
        .find(|expression| expression["key"] == HASH_LABEL && expression["operator"] == "In")?;
    own["values"][0].as_str()
}

/// Puts labels and annotations into a template.
pub(super) fn put_metadata(template: &mut Value, metadata: &PodMetadata) {
    for (field, added) in [
        ("labels", &metadata.labels),
        ("annotations", &metadata.annotations),
    ] {
        for (key, value) in added {
            template["metadata"][field][key] = value.clone().into();
        }
    }
}

/// Keeps the pods of a template away from nodes with pods of the version `hash`, and from no other.
pub(super) fn put_distance(template: &mut Value, how: AntiAffinity, hash: &str) {
    strip(template, None);
    let term = json!({
        "labelSelector": {"matchExpressions": [{"key": HASH_LABEL, "operator": "In", "values": [hash]}]},
        "topologyKey": "kubernetes.io/hostname",
    });
    let (kind, rule) = match how {
        AntiAffinity::Required => (RULES[0], term),
        AntiAffinity::Preferred(weight) => {
            (RULES[1], json!({"weight": weight, "podAffinityTerm": term}))
        }
    };
    let list = &mut template["spec"]["affinity"]["podAntiAffinity"][kind];
    match list.as_array_mut() {
        Some(list) => list.push(rule),
        None => *list = json!([rule]),
    }
}
