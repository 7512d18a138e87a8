//! The language of the table.
#![expect(
    clippy::needless_pass_by_value,
    reason = "json!() literals read better in place"
)]

use kube::api::ObjectMeta;
use serde_json::json;

use super::super::{
    Code::{Degraded, Healthy, Progressing},
    Subject,
    rule::{Rule, behind, field, no, on, rule, when, yes},
};

const RULE: Rule = rule(
    "*.example.com",
    "Queue|Topic",
    &[
        behind(Progressing, "old news"),
        when(&[
            no("Ready|Up", Degraded).because("!Starting"),
            on("Ready", "Unknown", Progressing).say("{message|reason|nothing said}"),
            yes("Ready", Healthy).say("{kind} at {status.address|no address}"),
        ]),
        field("status.phase", &[("Wait*", Progressing, "phase {value}")]),
    ],
);

fn assess(body: serde_json::Value) -> Option<(super::Code, String)> {
    let metadata = ObjectMeta {
        generation: Some(2),
        ..ObjectMeta::default()
    };
    let subject = Subject {
        group: "a.example.com",
        version: "v1",
        kind: "Queue",
        metadata: &metadata,
        body: &body,
    };
    RULE.assess(&subject)
        .map(|health| (health.code, health.text().to_owned()))
}

#[test]
fn a_wildcard_covers_subdomains_only() {
    assert!(RULE.covers("a.example.com", "Queue"));
    assert!(RULE.covers("a.b.example.com", "Topic"));
    assert!(!RULE.covers("example.com", "Queue"));
    assert!(!RULE.covers("badexample.com", "Queue"));
    assert!(!RULE.covers("a.example.com", "Other"));
}

#[test]
fn the_first_condition_in_the_list_decides() {
    let conditions = |list: serde_json::Value| json!({"status": {"conditions": list}});
    let down = json!({"type": "Up", "status": "False", "reason": "Crash", "message": "down"});
    let starting = json!({"type": "Up", "status": "False", "reason": "Starting"});
    let ready = json!({"type": "Ready", "status": "True"});
    let unknown = json!({"type": "Ready", "status": "Unknown", "reason": "Soon"});
    let ready_says = Some((Healthy, "Queue at no address".to_owned()));
    assert_eq!(assess(conditions(json!([ready, down]))), ready_says);
    assert_eq!(
        assess(conditions(json!([down, ready]))),
        Some((Degraded, "down".into()))
    );
    assert_eq!(assess(conditions(json!([starting, ready]))), ready_says);
    assert_eq!(
        assess(conditions(json!([unknown]))),
        Some((Progressing, "Soon".into()))
    );
}

#[test]
fn fields_and_generations() {
    assert_eq!(
        assess(json!({"status": {"observedGeneration": 1, "phase": "Waiting"}})),
        Some((Progressing, "old news".into()))
    );
    assert_eq!(
        assess(json!({"status": {"observedGeneration": 2, "phase": "Waiting"}})),
        Some((Progressing, "phase Waiting".into()))
    );
    assert_eq!(assess(json!({"status": {"phase": "Done"}})), None);
    assert_eq!(assess(json!({"status": {"conditions": "no list"}})), None);
}
