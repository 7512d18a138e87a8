//! The status of the objects, from what was observed.

mod args;
mod buses;
mod registrations;
mod sensors;
mod sources;

use reconcile_core::{fields::Finding, object::ObjectKey, reconcile::Report};
use serde_json::Value;

use super::{ObjectState, context::ObjectMeta, object_state::PodReport};

fn now() -> jiff::Timestamp {
    "2026-01-02T03:04:05Z".parse().expect("a time")
}

fn object(name: &str, findings: Vec<Finding>) -> ObjectState {
    ObjectState {
        meta: ObjectMeta {
            key: ObjectKey::new("ns", name),
            uid: "uid-1".into(),
            generation: 3,
            version: "7".into(),
            finalizers: Vec::new(),
            deleting: false,
        },
        status: Value::Null,
        findings,
        pod: PodReport::None,
    }
}

/// The conditions of a report, one line each.
fn conditions(report: &Report) -> String {
    let Some(patch) = report.patches.first() else {
        return "no patch".to_owned();
    };
    let conditions = patch.body["status"]["conditions"]
        .as_array()
        .cloned()
        .unwrap_or_default();
    let text = |one: &Value, field: &str| one[field].as_str().unwrap_or_default().to_owned();
    let lines: Vec<String> = conditions
        .iter()
        .map(|one| {
            let line = format!(
                "{}={} {} {}",
                text(one, "type"),
                text(one, "status"),
                text(one, "reason"),
                text(one, "message")
            );
            line.trim_end().to_owned()
        })
        .collect();
    lines.join("\n")
}
