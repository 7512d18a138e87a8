//! What a table says about manifests.

use serde_json::json;

use super::{Field, Finding, Ledger, Level, findings, message, planned, reported, supported};

const TABLE: &[Field] = &[
    supported("spec.replicas"),
    supported("spec.template.**"),
    planned("spec.template.spec.hostUsers", "later"),
    supported("spec.steps[].setWeight"),
    supported("spec.steps[].pause"),
    supported("spec.steps[].pause.duration"),
    planned("spec.steps[].plugin", "step plugins"),
    supported("spec.labels.{*}"),
    reported("spec.labels.forbidden", "never"),
    supported("spec.names"),
    reported("spec.router.**", "no router"),
    supported("spec.router.gateway.name"),
    planned("spec.paths[]", ""),
];

fn paths(found: &[Finding]) -> Vec<(&str, Level)> {
    found
        .iter()
        .map(|finding| (finding.path.as_str(), finding.level))
        .collect()
}

#[test]
fn supported_fields_leave_no_finding() {
    let spec = json!({
        "replicas": 3,
        "template": {"spec": {"containers": [{"name": "a", "env": [{"name": "x"}]}]}},
        "steps": [{"setWeight": 20}, {"pause": {}}, {"pause": {"duration": "1m"}}],
        "labels": {"a.b/c": "d"},
        "names": ["a", "b"],
        "router": {"gateway": {"name": "g"}},
    });
    assert_eq!(findings(&spec, "spec", TABLE), vec![]);
}

#[test]
fn indexes_and_keys_are_real_ones() {
    let spec = json!({
        "steps": [{"setWeight": 20}, {"plugin": {"name": "x"}}, {"setWeigth": 1}],
        "labels": {"forbidden": "x", "ok": "y"},
        "paths": ["a"],
    });
    assert_eq!(
        paths(&findings(&spec, "spec", TABLE)),
        vec![
            ("spec.labels.forbidden", Level::Reported),
            ("spec.paths[0]", Level::Planned),
            ("spec.steps[1].plugin", Level::Planned),
            ("spec.steps[2].setWeigth", Level::Unknown),
        ]
    );
}

#[test]
fn a_more_exact_row_wins_over_a_subtree_in_both_directions() {
    let spec = json!({
        "template": {"spec": {"hostUsers": false, "other": 1}},
        "router": {"gateway": {"name": "g", "port": 1}, "mesh": {"a": 1}},
    });
    assert_eq!(
        paths(&findings(&spec, "spec", TABLE)),
        vec![
            ("spec.router.gateway.port", Level::Reported),
            ("spec.router.mesh", Level::Reported),
            ("spec.template.spec.hostUsers", Level::Planned),
        ]
    );
}

#[test]
fn nested_unknown_fields_of_a_supported_object_are_found() {
    let spec = json!({"steps": [{"pause": {"until": "noon"}}]});
    assert_eq!(
        paths(&findings(&spec, "spec", TABLE)),
        vec![("spec.steps[0].pause.until", Level::Unknown)]
    );
}

#[test]
fn what_go_would_omit_is_not_used() {
    let spec = json!({"router": null, "unknown": "", "other": [], "steps": [{"plugin": null}]});
    assert_eq!(findings(&spec, "spec", TABLE), vec![]);
    assert_eq!(findings(&serde_json::Value::Null, "spec", TABLE), vec![]);
}

#[test]
fn a_prefix_of_a_word_is_not_a_match() {
    let spec = json!({"replicasMax": 1});
    assert_eq!(
        paths(&findings(&spec, "spec", TABLE)),
        vec![("spec.replicasMax", Level::Unknown)]
    );
}

#[test]
fn tables_of_a_ledger_add_up() {
    const MORE: &[Field] = &[supported("spec.extra")];
    const LEDGER: Ledger = Ledger {
        kind: "Thing",
        tables: &[TABLE, MORE],
    };
    let spec = json!({"replicas": 1, "extra": true, "nope": 1});
    assert_eq!(
        paths(&LEDGER.findings(&spec, "spec")),
        vec![("spec.nope", Level::Unknown)]
    );
    assert_eq!(LEDGER.fields().count(), TABLE.len() + 1);
}

#[test]
fn the_message_names_fields_with_their_notes_and_counts_the_rest() {
    assert_eq!(message(&[]), "");
    let spec = json!({"steps": [{"plugin": {"a": 1}}], "nope": 1});
    assert_eq!(
        message(&findings(&spec, "spec", TABLE)),
        "not supported yet and ignored: spec.nope (unknown field), spec.steps[0].plugin (step plugins)"
    );
    let many: serde_json::Map<_, _> = (0..20).map(|n| (format!("x{n:02}"), json!(1))).collect();
    assert!(message(&findings(&many.into(), "spec", TABLE)).ends_with(" and 12 more"));
}
