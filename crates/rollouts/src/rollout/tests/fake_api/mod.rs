//! The whole controller against an API server in memory: what it writes, and what it does when answers
//! are lost.

mod ownership;
mod services;
mod updates;

use std::time::Duration;

use reconcile_core::{
    clock::Clock,
    operator::{Operator, install_tls},
    testkit::{FakeApi, FakeKind},
};
use serde_json::{Value, json};

use super::cluster::template;
use crate::rollout::{RolloutConfig, start};

/// Longest wait for something that must happen.
pub(super) const PATIENCE: Duration = Duration::from_secs(30);
pub(super) const NAMESPACE: &str = "ns";

pub(super) fn server() -> FakeApi {
    let kind = |kind: &str, plural: &str| FakeKind::new("argoproj.io", "v1alpha1", kind, plural);
    FakeApi::new()
        .with_kind(kind("Rollout", "rollouts"))
        .with_kind(kind("AnalysisRun", "analysisruns").without_status())
        .with_kind(kind("AnalysisTemplate", "analysistemplates").without_status())
        .with_kind(
            kind("ClusterAnalysisTemplate", "clusteranalysistemplates")
                .cluster_scoped()
                .without_status(),
        )
        .with_kind(kind("Experiment", "experiments").without_status())
}

pub(super) fn rollout(strategy: &Value) -> Value {
    json!({
        "apiVersion": "argoproj.io/v1alpha1", "kind": "Rollout",
        "metadata": {"name": "web", "namespace": NAMESPACE},
        "spec": {"replicas": 2, "selector": {"matchLabels": {"app": "web"}}, "template": template("v1"), "strategy": strategy}
    })
}

pub(super) fn controller(api: &FakeApi) -> Operator {
    install_tls();
    let operator = Operator::detached(api.client(), Clock::system());
    start(&operator, &RolloutConfig::default()).expect("metrics register once");
    operator
}

/// The ReplicaSet controller and the kubelet: every wanted pod is there and ready.
fn peers(api: &FakeApi) {
    for set in api.list("replicasets") {
        let wanted = set["spec"]["replicas"].clone();
        if set["status"]["availableReplicas"] != wanted || set["status"]["replicas"] != wanted {
            let name = set["metadata"]["name"]
                .as_str()
                .unwrap_or_default()
                .to_owned();
            api.edit("replicasets", NAMESPACE, &name, |set| {
                set["status"] = json!({"replicas": wanted, "readyReplicas": wanted, "availableReplicas": wanted});
            });
        }
    }
}

pub(super) fn get(api: &FakeApi) -> Value {
    api.get("rollouts", NAMESPACE, "web").expect("the Rollout")
}

pub(super) async fn until(api: &FakeApi, what: &str, reached: impl Fn(&Value) -> bool) {
    let wait = async {
        while !reached(&get(api)) {
            peers(api);
            tokio::task::yield_now().await;
        }
    };
    let in_time = tokio::time::timeout(PATIENCE, wait).await.is_ok();
    assert!(
        in_time,
        "not {what}: {:#}\n{}",
        get(api)["status"],
        api.writes().join("\n")
    );
}

pub(super) fn is_healthy(rollout: &Value) -> bool {
    let (status, generation) = (
        &rollout["status"],
        rollout["metadata"]["generation"].to_string(),
    );
    status["phase"] == "Healthy"
        && status["stableRS"] == status["currentPodHash"]
        && status["observedGeneration"].as_str() == Some(generation.as_str())
}

/// Writes other than Events, which are sent beside the work.
fn writes(api: &FakeApi) -> Vec<String> {
    api.writes()
        .into_iter()
        .filter(|line| !line.contains(" events"))
        .collect()
}

pub(super) fn update(api: &FakeApi, image: &str) {
    api.edit("rollouts", NAMESPACE, "web", |rollout| {
        rollout["spec"]["template"] = template(image);
    });
}
