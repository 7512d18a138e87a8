//! What the operators' types read and write is in the definitions: a field that is missing there would
//! be dropped by the API server before the operator sees it.
#![cfg(feature = "operators")]

use rollouts::api::{
    analysis::{AnalysisRunSpec, AnalysisRunStatus, AnalysisTemplateSpec},
    rollout::{RolloutSpec, RolloutStatus},
};
use schemars::{JsonSchema, schema_for};
use serde_json::Value;
use xtask::crd::structural;
use xtask::kinds;

fn missing(types: &Value, definition: &Value, path: &str, out: &mut Vec<String>) {
    if definition["x-kubernetes-preserve-unknown-fields"] == true {
        return;
    }
    for (name, schema) in types["properties"].as_object().into_iter().flatten() {
        let child = format!("{path}.{name}");
        match definition["properties"].get(name) {
            Some(known) => missing(schema, known, &child, out),
            None => out.push(child),
        }
    }
    for (key, suffix) in [("items", "[]"), ("additionalProperties", ".{*}")] {
        if let (Some(types), Some(definition)) = (types.get(key), definition.get(key)) {
            missing(types, definition, &format!("{path}{suffix}"), out);
        }
    }
}

fn check<T: JsonSchema>(kind: &str, part: &str) {
    let kinds = kinds::all().expect("the tables are good");
    let kind = kinds
        .iter()
        .find(|known| known.name == kind)
        .expect("a kind of ours");
    let schema = kind.definition().expect("a definition").schema;
    let mut out = Vec::new();
    let types = structural(&schema_for!(T).to_value());
    assert!(
        types["properties"].is_object(),
        "{} {part} has fields",
        kind.name
    );
    missing(&types, &schema["properties"][part], part, &mut out);
    assert!(
        out.is_empty(),
        "{} would lose {}",
        kind.name,
        out.join(", ")
    );
}

#[test]
fn rollouts_keep_every_field_that_is_read_or_written() {
    check::<RolloutSpec>("Rollout", "spec");
    check::<RolloutStatus>("Rollout", "status");
}

#[test]
fn analyses_keep_every_field_that_is_read_or_written() {
    check::<AnalysisTemplateSpec>("AnalysisTemplate", "spec");
    check::<AnalysisTemplateSpec>("ClusterAnalysisTemplate", "spec");
    check::<AnalysisRunSpec>("AnalysisRun", "spec");
    check::<AnalysisRunStatus>("AnalysisRun", "status");
}
