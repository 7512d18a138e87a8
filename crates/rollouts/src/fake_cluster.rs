//! An API server in memory with the kinds of this crate and its controllers, for tests.

use std::time::Duration;

use reconcile_core::{
    clock::Clock,
    operator::{Operator, install_tls},
    testkit::{FakeApi, FakeKind},
};
use serde_json::{Value, json};

use crate::rollout::{RolloutConfig, start};

/// Longest wait for something that must happen.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);
/// Namespace of the tests.
pub(crate) const NAMESPACE: &str = "ns";

/// An API server that serves Rollouts, Experiments and the analysis kinds.
pub(crate) fn server() -> FakeApi {
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

/// All controllers of the crate.
pub(crate) fn controller(api: &FakeApi) -> Operator {
    install_tls();
    let operator = Operator::detached(api.client(), Clock::system());
    start(&operator, &RolloutConfig::default()).expect("metrics register once");
    operator
}

/// The ReplicaSet controller and the kubelet: every wanted pod is there and ready.
pub(crate) fn peers(api: &FakeApi) {
    for set in api.list("replicasets") {
        let wanted = set["spec"]["replicas"].clone();
        let generation = set["metadata"]["generation"].clone();
        let mut status =
            json!({"replicas": wanted, "readyReplicas": wanted, "availableReplicas": wanted});
        status["observedGeneration"] = generation;
        if set["status"] != status {
            let name = set["metadata"]["name"].as_str().unwrap_or_default();
            api.edit("replicasets", NAMESPACE, name, |set| {
                set["status"] = status;
            });
        }
    }
}

/// An object that must exist.
pub(crate) fn get(api: &FakeApi, plural: &str, name: &str) -> Value {
    let object = api.get(plural, NAMESPACE, name);
    object.unwrap_or_else(|| panic!("there is no {plural} {name}"))
}

/// Lets the peers work until the object has the form that `reached` wants.
pub(crate) async fn until(
    api: &FakeApi,
    (plural, name): (&str, &str),
    what: &str,
    reached: impl Fn(&Value) -> bool,
) {
    let wait = async {
        while !reached(&get(api, plural, name)) {
            peers(api);
            tokio::task::yield_now().await;
        }
    };
    let in_time = tokio::time::timeout(PATIENCE, wait).await.is_ok();
    assert!(
        in_time,
        "not {what}: {:#}\n{}",
        get(api, plural, name)["status"],
        api.writes().join("\n")
    );
}
