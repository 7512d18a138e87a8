use k8s_openapi::api::core::v1::ObjectReference;
use prometheus::{Encoder, Registry, TextEncoder};
use reconcile_core::{
    event::EventNote,
    object::{ObjectKey, Root},
    testkit::Fault,
};
use serde_json::json;

use super::fake_api::{NAMESPACE, controller, is_healthy, rollout, server, until, update};
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

/// The numbers of the original with their labels.
const RECORDED: [(&str, &[&str]); 34] = [
    ("analysis_run_info", &["name", "namespace", "phase"]),
    (
        "analysis_run_metric_phase",
        &["dry_run", "metric", "name", "namespace", "phase", "type"],
    ),
    (
        "analysis_run_metric_type",
        &["metric", "name", "namespace", "type"],
    ),
    ("analysis_run_phase", &["name", "namespace", "phase"]),
    ("analysis_run_reconcile", &["name", "namespace"]),
    ("analysis_run_reconcile_error", &["name", "namespace"]),
    ("analysis_template_info", &["name", "namespace"]),
    (
        "analysis_template_metric_info",
        &["metric", "name", "namespace", "type"],
    ),
    ("argo_rollouts_controller_info", &["version"]),
    ("build_info", &["platform", "version"]),
    (
        "controller_clientset_k8s_request_total",
        &["kind", "name", "namespace", "status_code", "verb"],
    ),
    ("experiment_info", &["name", "namespace", "phase"]),
    ("experiment_phase", &["name", "namespace", "phase"]),
    ("experiment_reconcile", &["name", "namespace"]),
    ("experiment_reconcile_error", &["name", "namespace"]),
    ("rollout_duration_seconds", &["name", "namespace", "status"]),
    (
        "rollout_events_total",
        &["name", "namespace", "reason", "type"],
    ),
    (
        "rollout_info",
        &["name", "namespace", "phase", "strategy", "traffic_router"],
    ),
    ("rollout_info_replicas_available", &["name", "namespace"]),
    ("rollout_info_replicas_desired", &["name", "namespace"]),
    ("rollout_info_replicas_unavailable", &["name", "namespace"]),
    ("rollout_info_replicas_updated", &["name", "namespace"]),
    (
        "rollout_manual_pause_duration_seconds",
        &["name", "namespace", "status"],
    ),
    ("rollout_phase", &["name", "namespace", "phase", "strategy"]),
    (
        "rollout_progression_duration_seconds",
        &["name", "namespace", "status"],
    ),
    ("rollout_reconcile", &["name", "namespace"]),
    ("rollout_reconcile_error", &["name", "namespace"]),
    ("workqueue_adds_total", &["name"]),
    ("workqueue_depth", &["name"]),
    ("workqueue_longest_running_processor_seconds", &["name"]),
    ("workqueue_queue_duration_seconds", &["name"]),
    ("workqueue_retries_total", &["name"]),
    ("workqueue_unfinished_work_seconds", &["name"]),
    ("workqueue_work_duration_seconds", &["name"]),
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_numbers_have_the_names_and_labels_of_the_original() {
    let api = server();
    api.put(&json!({
        "apiVersion": "argoproj.io/v1alpha1", "kind": "AnalysisTemplate", "metadata": {"name": "check", "namespace": NAMESPACE},
        "spec": {"metrics": [{"name": "good", "provider": {"web": {"url": "http://127.0.0.1:1/"}}}]},
    }));
    api.put(&json!({
        "apiVersion": "argoproj.io/v1alpha1", "kind": "AnalysisRun", "metadata": {"name": "run", "namespace": NAMESPACE},
        "spec": {"metrics": [{"name": "good", "provider": {"web": {"url": "http://127.0.0.1:1/"}}}]},
    }));
    api.put(&json!({
        "apiVersion": "argoproj.io/v1alpha1", "kind": "Experiment", "metadata": {"name": "ab", "namespace": NAMESPACE},
        "spec": {"templates": [{
            "name": "a", "selector": {"matchLabels": {"app": "ab"}},
            "template": {"metadata": {"labels": {"app": "ab"}}, "spec": {"containers": [{"name": "web", "image": "web"}]}},
        }]},
    }));
    api.put(&rollout(&json!({"canary": {}})));
    for resource in ["rollouts/status", "analysisruns", "experiments"] {
        api.fail(Fault::status("patch", resource, 500, "InternalError").times(1));
    }
    let operator = controller(&api);
    until(&api, "deployed", is_healthy).await;
    update(&api, "v2");
    until(&api, "updated", |rollout| {
        is_healthy(rollout) && rollout["status"]["duration"]["completionStatus"] == "Promoted"
    })
    .await;
    let families = || -> std::collections::BTreeMap<String, Vec<String>> {
        let families = operator.registry.gather().into_iter();
        let labels = |family: &prometheus::proto::MetricFamily| {
            let metric = family.get_metric().first();
            let labels = metric
                .map(prometheus::proto::Metric::get_label)
                .unwrap_or_default();
            labels.iter().map(|label| label.name().to_owned()).collect()
        };
        families
            .map(|family| (family.name().to_owned(), labels(&family)))
            .collect()
    };
    // The passes over the other kinds are counted in their own time.
    until(&api, "counted", |_| {
        let found = families();
        RECORDED.iter().all(|(name, _)| found.contains_key(*name))
    })
    .await;
    let found = families();
    let depths = operator.registry.gather();
    let depths = depths
        .iter()
        .filter(|family| family.name() == "workqueue_depth");
    let queues = depths.flat_map(prometheus::proto::MetricFamily::get_metric);
    let queues = queues.flat_map(prometheus::proto::Metric::get_label);
    let queues: Vec<&str> = queues.map(prometheus::proto::LabelPair::value).collect();
    assert_eq!(
        queues,
        ["AnalysisRuns", "Experiments", "Rollouts", "Services"]
    );
    for (name, labels) in RECORDED {
        let labels: Vec<String> = labels.iter().map(|label| (*label).to_owned()).collect();
        assert_eq!(found.get(name), Some(&labels), "{name}");
    }
    operator.shutdown.cancel();
}

#[test]
fn an_update_is_counted_once_when_it_ends() {
    let (registry, sources) = (Registry::new(), Sources::default());
    metrics::register(&registry, &sources).expect("fresh names");
    let put = |version: u8, duration: serde_json::Value| {
        let object = json!({
            "metadata": {"name": "web", "namespace": "ns", "uid": "u", "resourceVersion": version.to_string()},
            "spec": {"strategy": {"canary": {}}}, "status": {"duration": duration},
        });
        let root: crate::api::rollout::Rollout = Root::from_value(&object).expect("a Rollout");
        drop(sources.roots.written(&root.metadata.clone(), root));
    };
    let started = json!({"rolloutStartedAt": "2026-01-01T00:00:00Z"});
    let ended = json!({
        "rolloutStartedAt": "2026-01-01T00:00:00Z", "finishedAt": "2026-01-01T00:01:40Z",
        "totalManualPauseDurationSeconds": 30, "completionStatus": "Promoted",
    });
    put(1, started);
    put(2, ended.clone());
    put(3, ended);
    let numbers = text(&registry);
    for line in [
        r#"rollout_duration_seconds_sum{name="web",namespace="ns",status="Promoted"} 100"#,
        r#"rollout_duration_seconds_count{name="web",namespace="ns",status="Promoted"} 1"#,
        r#"rollout_progression_duration_seconds_sum{name="web",namespace="ns",status="Promoted"} 70"#,
        r#"rollout_manual_pause_duration_seconds_sum{name="web",namespace="ns",status="Promoted"} 30"#,
    ] {
        assert!(numbers.contains(line), "{line} is missing:\n{numbers}");
    }
    drop(sources.roots.deleted(&ObjectKey::new("ns", "web"), "u"));
    assert!(!text(&registry).contains("Promoted"));
}
