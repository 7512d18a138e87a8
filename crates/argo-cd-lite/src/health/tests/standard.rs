//! Kinds that nobody wrote a rule for.

use kube::api::ObjectMeta;
use reconcile_core::clock::Clock;
use serde_json::{Value, json};

use super::super::{Checks, Code, Subject};
use crate::settings::ArgoSettings;

fn assess(standard_conditions: bool, status: &Value) -> Option<(Code, String)> {
    let metadata = ObjectMeta {
        generation: Some(2),
        ..ObjectMeta::default()
    };
    let body = json!({ "status": status });
    let subject = Subject {
        group: "example.com",
        version: "v1",
        kind: "Widget",
        metadata: &metadata,
        body: &body,
    };
    let settings = ArgoSettings {
        standard_conditions,
        ..ArgoSettings::default()
    };
    let checks = Checks::new(settings.into(), Clock::system());
    let health = checks.assess(&subject)?;
    Some((health.code, health.text().to_owned()))
}

#[test]
fn conditions_count_only_when_switched_on() {
    let ready = json!({"conditions": [{"type": "Ready", "status": "True", "message": "m"}]});
    assert_eq!(assess(false, &ready), None);
    assert_eq!(assess(true, &ready), Some((Code::Healthy, "m".into())));
    assert_eq!(assess(true, &json!({"phase": "Odd"})), None);
}

#[test]
fn failures_are_distinguished_from_work_in_progress() {
    let not_ready = |reason: &str| json!({"conditions": [{"type": "Ready", "status": "False", "reason": reason}]});
    assert_eq!(
        assess(true, &not_ready("BuildFailed")),
        Some((Code::Degraded, "BuildFailed".into()))
    );
    assert_eq!(
        assess(true, &not_ready("Provisioning")),
        Some((Code::Progressing, "Provisioning".into()))
    );
    let stale =
        json!({"observedGeneration": 1, "conditions": [{"type": "Ready", "status": "True"}]});
    let code = assess(true, &stale).map(|(code, _)| code);
    assert_eq!(code, Some(Code::Progressing));
    let stalled = json!({"conditions": [
        {"type": "Ready", "status": "Unknown"}, {"type": "Stalled", "status": "True", "reason": "Quota"}]});
    assert_eq!(
        assess(true, &stalled),
        Some((Code::Degraded, "Quota".into()))
    );
}
