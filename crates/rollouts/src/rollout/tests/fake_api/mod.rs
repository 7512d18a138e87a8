//! The whole controller against an API server in memory: what it writes, and what it does when answers
//! are lost.

mod events;
mod ownership;
mod services;
mod updates;

use reconcile_core::testkit::FakeApi;
use serde_json::{Value, json};

use super::cluster::template;
use crate::fake_cluster::{self, peers};
pub(super) use crate::fake_cluster::{NAMESPACE, PATIENCE, controller, server};

pub(super) fn rollout(strategy: &Value) -> Value {
    json!({
        "apiVersion": "argoproj.io/v1alpha1", "kind": "Rollout",
        "metadata": {"name": "web", "namespace": NAMESPACE},
        "spec": {"replicas": 2, "selector": {"matchLabels": {"app": "web"}}, "template": template("v1"), "strategy": strategy}
    })
}

pub(super) fn get(api: &FakeApi) -> Value {
    fake_cluster::get(api, "rollouts", "web")
}

pub(super) async fn until(api: &FakeApi, what: &str, reached: impl Fn(&Value) -> bool) {
    fake_cluster::until(api, ("rollouts", "web"), what, reached).await;
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
