//! The support tables cover what the types know.

use schemars::schema_for;
use serde_json::Value;

use crate::api::{
    analysis::{AnalysisRunSpec, AnalysisTemplateSpec},
    analysis_fields::LEDGERS,
};

/// Paths of all leaves of a schema, in the notation of the tables.
fn leaves(schema: &Value, root: &Value, path: &str, out: &mut Vec<String>) {
    let schema = match schema["$ref"].as_str() {
        Some(name) => &root["$defs"][name.rsplit('/').next().expect("a name")],
        None => schema["anyOf"].as_array().map_or(schema, |any| &any[0]),
    };
    if schema["$ref"].is_string() {
        return leaves(schema, root, path, out);
    }
    if let Some(properties) = schema["properties"].as_object() {
        for (name, property) in properties {
            leaves(property, root, &format!("{path}.{name}"), out);
        }
    } else if schema["items"].is_object() {
        leaves(&schema["items"], root, &format!("{path}[]"), out);
    } else {
        out.push(path.to_owned());
    }
}

fn covers(pattern: &str, leaf: &str) -> bool {
    pattern
        .strip_suffix(".**")
        .map_or(pattern == leaf, |stem| leaf.starts_with(stem))
}

#[test]
fn every_field_of_the_types_has_a_row() {
    for ledger in LEDGERS {
        let schema = if ledger.kind == "AnalysisRun" {
            schema_for!(AnalysisRunSpec).to_value()
        } else {
            schema_for!(AnalysisTemplateSpec).to_value()
        };
        let mut paths = Vec::new();
        leaves(&schema, &schema, "spec", &mut paths);
        assert!(paths.len() > 30, "the walk finds the fields: {paths:?}");
        for path in paths {
            assert!(
                ledger.fields().any(|field| covers(field.path, &path)),
                "{}: no row for {path}",
                ledger.kind
            );
        }
    }
}
