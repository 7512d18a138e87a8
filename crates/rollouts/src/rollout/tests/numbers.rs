use k8s_openapi::api::core::v1::ObjectReference;
use prometheus::{Encoder, Registry, TextEncoder};
use reconcile_core::{
    event::EventNote,
    object::{ObjectKey, Root},
};
use serde_json::json;

use crate::rollout::{Sources, metrics};

fn text(registry: &Registry) -> String {
    let mut text = Vec::new();
    TextEncoder::new()
        .encode(&registry.gather(), &mut text)
        .expect("text");
    String::from_utf8(text).expect("UTF-8")
}

fn about(kind: &str, name: &str) -> ObjectReference {
    ObjectReference {
        kind: Some(kind.to_owned()),
        namespace: Some("ns".to_owned()),
        name: Some(name.to_owned()),
        ..ObjectReference::default()
    }
}

#[test]
fn rollouts_are_counted_by_phase_under_both_of_its_names() {
    let (registry, sources) = (Registry::new(), Sources::default());
    metrics::register(&registry, &sources).expect("fresh names");
    let object = json!({
        "metadata": {"name": "web", "namespace": "ns", "uid": "u", "resourceVersion": "1"},
        "spec": {"replicas": 3, "strategy": {"blueGreen": {}}},
        "status": {
            "phase": "Degraded", "availableReplicas": 1,
            "conditions": [{"type": "Progressing", "status": "False", "reason": "RolloutAborted"}]
        }
    });
    let root: crate::api::rollout::Rollout = Root::from_value(&object).expect("a Rollout");
    drop(sources.roots.written(&root.metadata.clone(), root));
    let text = text(&registry);
    for line in [
        r#"rollout_info{name="web",namespace="ns",phase="Abort",strategy="blueGreen",traffic_router=""} 1"#,
        r#"rollout_phase{name="web",namespace="ns",phase="Abort",strategy="blueGreen"} 1"#,
        r#"rollout_phase{name="web",namespace="ns",phase="Completed",strategy="blueGreen"} 0"#,
        r#"rollout_info_replicas_unavailable{name="web",namespace="ns"} 2"#,
    ] {
        assert!(text.contains(line), "{line} is missing:\n{text}");
    }
}

#[test]
fn the_traffic_router_is_a_label() {
    let (registry, sources) = (Registry::new(), Sources::default());
    metrics::register(&registry, &sources).expect("fresh names");
    let object = json!({
        "metadata": {"name": "web", "namespace": "ns", "uid": "u", "resourceVersion": "1"},
        "spec": {"strategy": {"canary": {"trafficRouting": {"istio": {"virtualService": {"name": "x"}}}}}},
        "status": {"conditions": [{"type": "Progressing", "status": "True", "reason": "NewReplicaSetAvailable"}]}
    });
    let root: crate::api::rollout::Rollout = Root::from_value(&object).expect("a Rollout");
    drop(sources.roots.written(&root.metadata.clone(), root));
    let text = text(&registry);
    let line = r#"rollout_info{name="web",namespace="ns",phase="Completed",strategy="canary",traffic_router="Istio"} 1"#;
    assert!(text.contains(line), "{text}");
}

#[test]
fn events_are_counted_by_rollout_until_it_is_gone() {
    let registry = Registry::new();
    let events = metrics::register(&registry, &Sources::default())
        .expect("fresh names")
        .events;
    let note = EventNote::warning("RolloutAborted", "bad");
    for name in ["web", "web", "shop"] {
        events.count(&about("Rollout", name), &note);
    }
    events.count(&about("AnalysisRun", "web-1"), &note);
    let line = |name: &str, count: u8| {
        format!(
            r#"rollout_events_total{{name="{name}",namespace="ns",reason="RolloutAborted",type="Warning"}} {count}"#
        )
    };
    let before = text(&registry);
    assert!(
        before.contains(&line("web", 2)) && !before.contains("web-1"),
        "{before}"
    );
    events.forget(&ObjectKey::new("ns", "web"));
    let after = text(&registry);
    assert!(
        after.contains(&line("shop", 1)) && !after.contains("\"web\""),
        "{after}"
    );
}
