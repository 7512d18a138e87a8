//! Runs built from templates.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use serde_json::{Value, json};

use crate::{
    analysis::{
        build::{ArgumentSources, BuildError, RunRequest, RunType, arguments, build_run, run_name},
        merge::flatten,
    },
    api::analysis::{AnalysisTemplateSpec, RolloutAnalysis},
};

fn template(value: Value) -> AnalysisTemplateSpec {
    serde_json::from_value(value).expect("a template")
}

fn metric(name: &str) -> Value {
    json!({ "name": name, "provider": { "prometheus": { "query": "up{hash=\"{{args.hash}}\"}" } } })
}

fn build(
    analysis: Value,
    templates: &[AnalysisTemplateSpec],
    run_type: RunType,
) -> Result<Value, BuildError> {
    let analysis: RolloutAnalysis = serde_json::from_value(analysis).expect("an analysis");
    let rollout = json!({
        "metadata": { "name": "web", "namespace": "shop", "labels": { "team": "a" } },
        "spec": { "replicas": 3, "template": { "spec": { "containers": [{ "image": "web:2" }] } } },
    });
    let sources = ArgumentSources {
        stable_hash: "old",
        latest_hash: "new",
        rollout: &rollout,
    };
    let selector = BTreeMap::from([("app".to_owned(), "web".to_owned())]);
    let run = build_run(RunRequest {
        namespace: "shop",
        rollout: "web",
        owner: OwnerReference {
            api_version: "argoproj.io/v1alpha1".into(),
            kind: "Rollout".into(),
            name: "web".into(),
            uid: "r1".into(),
            controller: Some(true),
            block_owner_deletion: Some(true),
        },
        pod_hash: "new",
        revision: "7",
        run_type,
        instance_id: "",
        selector_labels: &selector,
        arguments: arguments(&analysis.args, sources)?,
        analysis: &analysis,
        templates,
    })?;
    assert_eq!(run.object["metadata"]["name"], run.key.name);
    Ok(run.object)
}

#[test]
fn names_follow_what_the_run_is_for() {
    for (run_type, name) in [
        (RunType::Step(2), "web-5d8-7-2"),
        (RunType::Background, "web-5d8-7"),
        (RunType::PrePromotion, "web-5d8-7-pre"),
        (RunType::PostPromotion, "web-5d8-7-post"),
    ] {
        assert_eq!(run_name("web", "5d8", "7", run_type), name);
    }
}

#[test]
fn a_step_makes_a_whole_object() {
    let templates = [template(json!({
        "args": [{ "name": "hash" }, { "name": "least", "value": "0.9" }, { "name": "token", "valueFrom": { "secretKeyRef": { "name": "s", "key": "k" } } }],
        "metrics": [metric("rate")],
        "dryRun": [{ "metricName": "none" }],
    }))];
    let analysis = json!({
        "templates": [{ "templateName": "rate" }],
        "args": [{ "name": "hash", "valueFrom": { "podTemplateHashValue": "Latest" } }, { "name": "unknown", "value": "dropped" }],
        "analysisRunMetadata": { "labels": { "team": "a", "rollout-type": "mine" }, "annotations": { "note": "x" } },
    });
    let run = build(analysis, &templates, RunType::Step(1)).expect("a run");
    insta::assert_json_snapshot!(run);
}

#[test]
fn values_come_from_hashes_fields_and_texts() {
    let names = ["a", "b", "c", "d", "e", "f"].map(|name| json!({ "name": name }));
    let templates = [template(json!({ "args": names, "metrics": [metric("m")] }))];
    let analysis = json!({ "args": [
        { "name": "a", "value": "plain" },
        { "name": "b", "valueFrom": { "podTemplateHashValue": "Stable" } },
        { "name": "c", "valueFrom": { "fieldRef": { "fieldPath": "metadata.labels['team']" } } },
        { "name": "d", "valueFrom": { "fieldRef": { "fieldPath": "spec.replicas" } } },
        { "name": "e", "valueFrom": { "fieldRef": { "fieldPath": "spec.template.spec.containers[0].image" } } },
        { "name": "f", "valueFrom": { "fieldRef": { "fieldPath": "metadata.labels" } } },
    ] });
    let run = build(analysis, &templates, RunType::Background).expect("a run");
    let values: Vec<&str> = run["spec"]["args"]
        .as_array()
        .expect("args")
        .iter()
        .map(|arg| arg["value"].as_str().expect("a value"))
        .collect();
    assert_eq!(values, ["plain", "old", "a", "3", "web:2", "team=\"a\""]);
}

#[test]
fn what_cannot_be_built_says_why() {
    let plain =
        || template(json!({ "metrics": [metric("m")], "args": [{ "name": "x", "value": "1" }] }));
    let other = |value: Value| template(value);
    for (templates, args, message) in [
        (
            vec![plain(), plain()],
            json!([]),
            "two metrics have the same name 'm'",
        ),
        (
            vec![
                plain(),
                other(json!({ "args": [{ "name": "x", "value": "2" }] })),
            ],
            json!([]),
            "Argument `x` specified multiple times with different values: '1', '2'",
        ),
        (
            vec![other(json!({ "args": [{ "name": "y" }] }))],
            json!([]),
            "args.y was not resolved",
        ),
        (
            vec![
                other(json!({ "dryRun": [{ "metricName": "a" }] })),
                other(json!({ "dryRun": [{ "metricName": "a" }] })),
            ],
            json!([]),
            "two Dry-Run metric rules have the same name 'a'",
        ),
        (
            vec![plain()],
            json!([{ "name": "x", "valueFrom": { "podTemplateHashValue": "Newest" } }]),
            "args.x: podTemplateHashValue must be Stable or Latest, not 'Newest'",
        ),
        (
            vec![plain()],
            json!([{ "name": "x", "valueFrom": { "fieldRef": { "fieldPath": "spec.template" } } }]),
            "args.x: path spec.template in rollout must terminate in a primitive value",
        ),
        (
            vec![plain()],
            json!([{ "name": "x", "valueFrom": { "fieldRef": { "fieldPath": "spec.missing[0]" } } }]),
            "args.x: path spec.missing[0] is invalid in rollout",
        ),
    ] {
        let error =
            build(json!({ "args": args }), &templates, RunType::Background).expect_err(message);
        assert_eq!(error.to_string(), message);
    }
}

#[test]
fn a_later_default_fills_an_argument_without_one() {
    let flat = flatten(&[
        template(json!({ "args": [{ "name": "x" }, { "name": "y", "value": "1" }] })),
        template(json!({ "args": [{ "name": "x", "value": "2" }, { "name": "y" }] })),
    ])
    .expect("a template");
    let values: Vec<_> = flat.args.iter().map(|arg| arg.value.clone()).collect();
    assert_eq!(values, [Some("2".to_owned()), Some("1".to_owned())]);
}
