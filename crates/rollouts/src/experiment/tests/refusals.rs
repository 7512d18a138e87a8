//! Manifests that are refused, each with its field.

use serde_json::{Value, json};

use super::world::{World, template};
use crate::api::analysis::AnalysisPhase;

fn refused(change: impl FnOnce(&mut Value), expected: &str) {
    let mut world = World::pair(Some("1m"), &["judge"]);
    change(&mut world.root["spec"]);
    world.pass(None);
    let status = world.status();
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
    assert!(world.replica_sets.is_empty());
    assert!(!world.pass(None), "it says so once");
}

#[test]
fn what_is_wrong_has_a_path() {
    refused(
        |spec| spec["templates"] = json!([]),
        "spec.templates: Required value",
    );
    refused(
        |spec| spec["templates"] = json!(7),
        "spec.templates: invalid type",
    );
    refused(
        |spec| spec["templates"][1]["name"] = "a".into(),
        "spec.templates[1].name: Duplicate value",
    );
    refused(
        |spec| spec["templates"][1]["name"] = "".into(),
        "spec.templates[1].name: Required value",
    );
    refused(
        |spec| spec["templates"][0]["selector"] = json!({}),
        "spec.templates[0].selector: Invalid value: an empty selector",
    );
    refused(
        |spec| spec["templates"][0]["selector"] = json!({"matchLabels": {"app": "x"}}),
        "spec.templates[0].template.metadata.labels: Invalid value",
    );
    refused(
        |spec| spec["templates"][0]["replicas"] = (-1).into(),
        "spec.templates[0].replicas: Invalid value",
    );
    refused(
        |spec| spec["templates"][0]["minReadySeconds"] = 700.into(),
        "spec.templates[0].minReadySeconds: Invalid value",
    );
    refused(
        |spec| spec["templates"][1]["service"] = json!({"name": "ab-a"}),
        "spec.templates[1].service.name: Invalid value",
    );
    refused(
        |spec| spec["duration"] = "soon".into(),
        "spec.duration: Invalid value: \"soon\"",
    );
    refused(
        |spec| spec["analyses"][0]["templateName"] = "".into(),
        "spec.analyses[0].templateName: Required value",
    );
    refused(
        |spec| {
            spec["analyses"] =
                json!([{"name": "x", "templateName": "t"}, {"name": "x", "templateName": "t"}])
        },
        "spec.analyses[1].name: Duplicate value",
    );
}

#[test]
fn a_mended_manifest_goes_on() {
    let mut world = World::pair(None, &[]);
    world.root["spec"]["duration"] = "soon".into();
    world.pass(None);
    world.root["spec"]["duration"] = "5m".into();
    world.run();
    assert_eq!(world.phase(), AnalysisPhase::Running);
    let kinds: Vec<String> = world
        .status()
        .conditions
        .iter()
        .map(|one| one.kind.clone())
        .collect();
    assert_eq!(kinds, ["Progressing"]);
}

#[test]
fn a_field_without_effect_is_told() {
    let mut world = World::new(json!({"templates": [template("a")], "typo": 1}));
    world.run();
    let status = world.status();
    let told = status
        .conditions
        .iter()
        .find(|one| one.kind == "UnsupportedFields");
    assert!(
        told.is_some_and(|told| told.message.contains("spec.typo")),
        "{status:?}"
    );
    assert_eq!(status.phase, AnalysisPhase::Running);
}
