//! Manifests that are refused, each with its field.

use serde_json::{Value, json};

use super::cluster::{Cluster, template};
use crate::api::analysis::AnalysisPhase;

fn refused(change: impl FnOnce(&mut Value), expected: &str) {
    let mut cluster = Cluster::pair(Some("1m"), &["judge"]);
    change(&mut cluster.root["spec"]);
    cluster.pass(None);
    let status = cluster.status();
    let condition = &status.conditions[0];
    assert_eq!(
        (condition.kind.as_str(), condition.is_true()),
        ("InvalidSpec", true)
    );
    let expected = format!("The Experiment \"ab\" is invalid: {expected}");
    assert!(
        condition.message.starts_with(&expected),
        "{}",
        condition.message
    );
    assert!(cluster.replica_sets.is_empty());
    assert!(!cluster.pass(None), "it says so once");
}

#[test]
fn what_is_wrong_has_a_path() {
    let twice = json!([{"name": "x", "templateName": "t"}, {"name": "x", "templateName": "t"}]);
    let other = json!({"matchLabels": {"app": "x"}});
    for (path, value, expected) in [
        ("/templates", json!([]), "spec.templates: Required value"),
        ("/templates", json!(7), "spec.templates: invalid type"),
        (
            "/templates/1/name",
            json!("a"),
            "spec.templates[1].name: Duplicate value",
        ),
        (
            "/templates/1/name",
            json!(""),
            "spec.templates[1].name: Required value",
        ),
        (
            "/templates/0/selector",
            json!({}),
            "spec.templates[0].selector: Invalid value: an empty selector",
        ),
        (
            "/templates/0/selector",
            other,
            "spec.templates[0].template.metadata.labels: Invalid value",
        ),
        (
            "/templates/0/replicas",
            json!(-1),
            "spec.templates[0].replicas: Invalid value",
        ),
        (
            "/templates/1/service",
            json!({"name": "ab-a"}),
            "spec.templates[1].service.name: Invalid value",
        ),
        (
            "/duration",
            json!("soon"),
            "spec.duration: Invalid value: \"soon\"",
        ),
        (
            "/analyses/0/templateName",
            json!(""),
            "spec.analyses[0].templateName: Required value",
        ),
        ("/analyses", twice, "spec.analyses[1].name: Duplicate value"),
    ] {
        let change = |spec: &mut Value| *spec.pointer_mut(path).expect("a field") = value;
        refused(change, expected);
    }
    refused(
        |spec| spec["templates"][0]["minReadySeconds"] = 700.into(),
        "spec.templates[0].minReadySeconds: Invalid value",
    );
}

#[test]
fn a_corrected_manifest_continues() {
    let mut cluster = Cluster::pair(None, &[]);
    cluster.root["spec"]["duration"] = "soon".into();
    cluster.pass(None);
    cluster.root["spec"]["duration"] = "5m".into();
    cluster.run();
    assert_eq!(cluster.phase(), AnalysisPhase::Running);
    let kinds: Vec<String> = cluster
        .status()
        .conditions
        .iter()
        .map(|one| one.kind.clone())
        .collect();
    assert_eq!(kinds, ["Progressing"]);
}

#[test]
fn a_field_without_effect_is_reported() {
    let mut cluster = Cluster::new(&json!({"templates": [template("a")], "typo": 1}));
    cluster.run();
    let status = cluster.status();
    let reported = status
        .conditions
        .iter()
        .find(|one| one.kind == "UnsupportedFields");
    assert!(
        reported.is_some_and(|reported| reported.message.contains("spec.typo")),
        "{status:?}"
    );
    assert_eq!(status.phase, AnalysisPhase::Running);
}
