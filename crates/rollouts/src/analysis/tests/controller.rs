//! The whole controller against an API server in memory and a metric server over HTTP.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use axum::{Router, routing::any};
use prometheus::Encoder;
use reconcile_core::{
    clock::Clock,
    object::ObjectKey,
    operator::{Operator, install_tls},
    testkit::{FakeApi, Fault},
};
use serde_json::{Value, json};
use tokio::sync::{mpsc, watch};

use crate::{
    analysis::{
        AnalysisConfig, AnalysisIndexes, ProviderConfig, RunView,
        build::{NewRun, RunType},
        create_run, start, terminate_run,
    },
    api::analysis::AnalysisPhase,
    fake_cluster::server,
};

/// Longest wait for something that must happen.
const PATIENCE: Duration = Duration::from_secs(20);

/// The cluster around the controller.
struct Cluster {
    api: FakeApi,
    operator: Operator,
    changes: mpsc::UnboundedReceiver<RunView>,
    templates: mpsc::UnboundedReceiver<ObjectKey>,
    asked: Arc<AtomicUsize>,
    gate: watch::Sender<bool>,
}

impl Cluster {
    /// `answer` is the vector that the metric server gives; it answers once the gate is open.
    async fn new(api: FakeApi, answer: &'static str) -> Self {
        install_tls();
        let operator = Operator::detached(api.client(), Clock::system());
        let (asked, (gate, gated)) = (Arc::new(AtomicUsize::new(0)), watch::channel(true));
        let counter = asked.clone();
        let serve = move || {
            counter.fetch_add(1, Ordering::SeqCst);
            let mut gated = gated.clone();
            async move {
                drop(gated.wait_for(|open| *open).await);
                let result = json!([{ "metric": {}, "value": [1, answer] }]);
                axum::Json(
                    json!({ "status": "success", "data": { "resultType": "vector", "result": result } }),
                )
            }
        };
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0")
            .await
            .expect("a port");
        let address = format!("http://{}", listener.local_addr().expect("an address"));
        let router = Router::new().fallback(any(serve));
        tokio::spawn(async move { axum::serve(listener, router).await });
        let shared = AnalysisIndexes::default();
        let (sender, changes) = mpsc::unbounded_channel();
        let config = AnalysisConfig {
            providers: ProviderConfig {
                prometheus_address: Some(address),
                ..ProviderConfig::default()
            },
            ..AnalysisConfig::default()
        };
        let tell = move |change: reconcile_core::watch::Change<RunView>| {
            if let Some(run) = change.new {
                drop(sender.send(RunView::clone(&run)));
            }
        };
        let (sender, templates) = mpsc::unbounded_channel();
        let heard = move |key| drop(sender.send(key));
        start(&operator, &shared, &config, tell, heard).expect("metrics register once");
        Self {
            api,
            operator,
            changes,
            templates,
            asked,
            gate,
        }
    }

    async fn until_template(&mut self, name: &str) {
        let heard = tokio::time::timeout(PATIENCE, self.templates.recv()).await;
        assert_eq!(
            heard.expect("it must happen"),
            Some(ObjectKey::new("ns", name))
        );
    }

    async fn until(&mut self, name: &str, what: impl Fn(&RunView) -> bool) -> RunView {
        let wait = async {
            loop {
                let run = self.changes.recv().await.expect("the controller lives");
                if run.key.name == name && what(&run) {
                    return run;
                }
            }
        };
        tokio::time::timeout(PATIENCE, wait)
            .await
            .expect("it must happen")
    }

    /// The status of a run once it is completed; runs may end in any order.
    async fn completed(&mut self, name: &str) -> Value {
        let wait = async {
            loop {
                let run = self.api.get("analysisruns", "ns", name).expect("a run");
                let phase = AnalysisPhase::from(
                    run["status"]["phase"]
                        .as_str()
                        .unwrap_or_default()
                        .to_owned(),
                );
                if phase.is_completed() {
                    return run["status"].clone();
                }
                self.changes.recv().await.expect("the controller lives");
            }
        };
        tokio::time::timeout(PATIENCE, wait)
            .await
            .expect("it must happen")
    }

    async fn asked(&self, times: usize) {
        let wait = async {
            while self.asked.load(Ordering::SeqCst) < times {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(PATIENCE, wait)
            .await
            .expect("the metric server is asked");
    }
}

fn run(name: &str, spec: Value) -> Value {
    json!({
        "apiVersion": "argoproj.io/v1alpha1", "kind": "AnalysisRun",
        "metadata": { "name": name, "namespace": "ns" }, "spec": spec,
    })
}

fn one_metric(condition: &str) -> Value {
    json!({ "metrics": [{ "name": "m", "successCondition": condition, "provider": { "prometheus": { "query": "up" } } }] })
}

#[tokio::test]
async fn a_run_is_measured_and_completed() {
    let mut world = Cluster::new(server(), "0.97").await;
    world.api.put(&json!({
        "apiVersion": "argoproj.io/v1alpha1", "kind": "AnalysisTemplate",
        "metadata": { "name": "t", "namespace": "ns" },
        "spec": { "metrics": [{ "name": "m", "provider": { "web": { "url": "http://x" } } }] },
    }));
    world.until_template("t").await;
    world.api.put(&run("good", one_metric("result[0] >= 0.95")));
    let status = world.completed("good").await;
    assert_eq!(status["phase"], "Successful");
    assert_eq!(
        status["metricResults"][0]["measurements"][0]["value"],
        "[0.97]"
    );
    assert_eq!(
        status["metricResults"][0]["metadata"]["ResolvedPrometheusQuery"],
        "up"
    );
    assert_eq!(status["runSummary"], json!({ "count": 1, "successful": 1 }));
    assert_eq!(status["dryRunSummary"], json!({}));
    let mut text = Vec::new();
    prometheus::TextEncoder::new()
        .encode(&world.operator.registry.gather(), &mut text)
        .expect("text");
    let text = String::from_utf8(text).expect("UTF-8");
    for line in [
        "analysis_run_info{name=\"good\",namespace=\"ns\",phase=\"Successful\"} 1",
        "analysis_run_phase{name=\"good\",namespace=\"ns\",phase=\"Failed\"} 0",
        "analysis_run_metric_phase{dry_run=\"false\",metric=\"m\",name=\"good\",namespace=\"ns\",phase=\"Successful\",type=\"Prometheus\"} 1",
        "analysis_run_metric_type{metric=\"m\",name=\"good\",namespace=\"ns\",type=\"Prometheus\"} 1",
        "analysis_template_info{name=\"t\",namespace=\"ns\"} 1",
        "analysis_template_metric_info{metric=\"m\",name=\"t\",namespace=\"ns\",type=\"WebMetric\"} 1",
        "analysis_run_reconcile_count{name=\"good\",namespace=\"ns\"}",
    ] {
        assert!(text.contains(line), "{line} is missing:\n{text}");
    }
}

#[tokio::test]
async fn a_malformed_run_says_why_and_others_continue() {
    let mut world = Cluster::new(server(), "0.5").await;
    world.api.put(&run(
        "bad",
        json!({ "metrics": [{ "name": "m", "count": [], "provider": {} }] }),
    ));
    world.api.put(&run("worse", json!("no object at all")));
    world
        .api
        .put(&run("other", one_metric("result[0] >= 0.95")));
    let status = world.completed("bad").await;
    assert_eq!(status["phase"], "Error");
    assert!(
        status["message"]
            .as_str()
            .expect("a message")
            .starts_with("Analysis spec invalid: spec.metrics[0].count")
    );
    assert_eq!(world.completed("worse").await["phase"], "Error");
    assert_eq!(world.completed("other").await["phase"], "Failed");
}

#[tokio::test]
async fn a_measurement_survives_failed_writes_and_is_recorded_once() {
    let mut world = Cluster::new(server(), "1").await;
    world.gate.send_replace(false);
    world.api.put(&run("r", one_metric("result[0] == 1")));
    world.asked(1).await;
    world
        .until("r", |run| run.phase == AnalysisPhase::Running)
        .await;
    world
        .api
        .fail(Fault::status("patch", "analysisruns", 500, "InternalError").times(3));
    world.gate.send_replace(true);
    let status = world.completed("r").await;
    assert_eq!(
        (&status["phase"], &status["metricResults"][0]["count"]),
        (&json!("Successful"), &json!(1))
    );
    assert_eq!(world.asked.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn terminate_ends_a_run_whose_measurement_hangs() {
    let mut world = Cluster::new(server(), "1").await;
    world.gate.send_replace(false);
    world.api.put(&run("r", one_metric("result[0] == 1")));
    world.asked(1).await;
    terminate_run(&world.operator.client, &ObjectKey::new("ns", "r"))
        .await
        .expect("a patch");
    let status = world.completed("r").await;
    assert_eq!(
        (&status["phase"], &status["message"]),
        (&json!("Successful"), &json!("Run Terminated"))
    );
    terminate_run(&world.operator.client, &ObjectKey::new("ns", "gone"))
        .await
        .expect("gone is fine");
}

#[tokio::test]
async fn a_run_whose_time_to_live_is_over_is_deleted() {
    let mut world = Cluster::new(server(), "1").await;
    let mut spec = one_metric("true");
    spec["ttlStrategy"] = json!({ "secondsAfterCompletion": 0 });
    world.api.put(&run("r", spec));
    let gone = async {
        while world.api.get("analysisruns", "ns", "r").is_some() {
            drop(tokio::time::timeout(Duration::from_millis(10), world.changes.recv()).await);
        }
    };
    tokio::time::timeout(PATIENCE, gone)
        .await
        .expect("the run is deleted");
}

#[tokio::test]
async fn a_job_is_followed_to_its_end_over_several_passes() {
    let mut world = Cluster::new(server(), "1").await;
    let pod = json!({ "spec": { "restartPolicy": "Never", "containers": [{ "name": "c", "image": "i" }] } });
    let job = json!({ "spec": { "template": pod } });
    let spec = json!({ "metrics": [{ "name": "smoke", "provider": { "job": job } }] });
    world.api.put(&run("r", spec));
    world
        .until("r", |run| {
            run.metrics
                .iter()
                .any(|metric| metric.phase == AnalysisPhase::Running)
        })
        .await;
    let jobs = world.api.list("jobs");
    assert_eq!(jobs.len(), 1);
    let name = jobs[0]["metadata"]["name"]
        .as_str()
        .expect("a name")
        .to_owned();
    world.api.edit("jobs", "ns", &name, |job| {
        job["status"] = json!({ "conditions": [{ "type": "Complete", "status": "True" }] });
    });
    let status = world.completed("r").await;
    assert_eq!(status["phase"], "Successful");
    assert_eq!(
        status["metricResults"][0]["measurements"][0]["metadata"]["job-name"],
        name
    );
    assert_eq!(
        status["metricResults"][0]["measurements"]
            .as_array()
            .map(Vec::len),
        Some(1)
    );
}

fn new_run(spec: Value, owner: &str) -> NewRun {
    let name = crate::analysis::build::run_name("web", "5d8", "2", RunType::Step(1));
    let owner_reference = json!({
        "apiVersion": "argoproj.io/v1alpha1", "kind": "Rollout", "name": "web", "uid": owner, "controller": true,
    });
    let mut object = run(&name, spec.clone());
    object["metadata"]["ownerReferences"] = json!([owner_reference]);
    NewRun {
        key: ObjectKey::new("ns", name),
        owner_uid: owner.to_owned(),
        spec: serde_json::from_value(spec).expect("a spec"),
        object,
    }
}

#[tokio::test]
async fn a_taken_name_gets_a_counter_unless_the_run_is_the_same() {
    let api = server();
    let client = api.client();
    let names = async |run: NewRun| create_run(&client, &run).await.expect("a run").key.name;
    assert_eq!(names(new_run(one_metric("a"), "r1")).await, "web-5d8-2-1");
    assert_eq!(
        names(new_run(one_metric("a"), "r1")).await,
        "web-5d8-2-1",
        "the same run twice"
    );
    assert_eq!(
        names(new_run(one_metric("b"), "r1")).await,
        "web-5d8-2-1.1",
        "another spec"
    );
    assert_eq!(
        names(new_run(one_metric("a"), "r2")).await,
        "web-5d8-2-1.2",
        "another owner"
    );
    api.edit("analysisruns", "ns", "web-5d8-2-1", |run| {
        run["status"] = json!({ "phase": "Failed" });
    });
    assert_eq!(
        names(new_run(one_metric("a"), "r1")).await,
        "web-5d8-2-1.3",
        "it has ended"
    );
    // The answer of the create is lost; the retry finds what it made.
    api.fail(Fault::lose_answer("create", "analysisruns"));
    assert!(
        create_run(&client, &new_run(one_metric("c"), "r3"))
            .await
            .is_err()
    );
    let again = names(new_run(one_metric("c"), "r3")).await;
    assert_eq!(api.list("analysisruns").len(), 5);
    assert_eq!(again, "web-5d8-2-1.4");
}

#[tokio::test]
async fn a_created_run_is_known_to_its_owner_at_once() {
    let api = server();
    let shared = AnalysisIndexes::default();
    let view = create_run(&api.client(), &new_run(one_metric("a"), "r1"))
        .await
        .expect("a run");
    shared.remember(view);
    let mine = shared.runs.tagged("r1");
    assert_eq!(mine.len(), 1);
    assert_eq!(mine[0].1.owner.as_ref().expect("an owner").name, "web");
}
