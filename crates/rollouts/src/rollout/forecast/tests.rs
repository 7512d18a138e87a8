//! Updates as they would happen.

use serde_json::{Value, json};

use super::{Forecast, Scenario, forecast};
use crate::{analysis::build::RunType, rollout::offline::Snapshot};

fn rollout(image: &str, strategy: &Value) -> Value {
    json!({
        "apiVersion": "argoproj.io/v1alpha1", "kind": "Rollout",
        "metadata": { "name": "web", "namespace": "default" },
        "spec": {
            "replicas": 4,
            "selector": { "matchLabels": { "app": "web" } },
            "template": {
                "metadata": { "labels": { "app": "web" } },
                "spec": { "containers": [{ "name": "c", "image": image }] },
            },
            "strategy": strategy,
        },
    })
}

fn update(strategy: &Value, failing: Option<RunType>) -> Forecast {
    let mut snapshot = Snapshot::default();
    let template = json!({
        "kind": "AnalysisTemplate", "metadata": { "name": "check", "namespace": "default", "uid": "t" },
        "spec": { "metrics": [{ "name": "m", "interval": "20s", "count": 3, "provider": { "web": { "url": "http://x" } } }] },
    });
    snapshot.add(&template).expect("a template");
    let (old, new) = (rollout("v1", strategy), rollout("v2", strategy));
    snapshot.assume_all(&new).expect("a Rollout");
    forecast(&snapshot, Some(&old), &new, Scenario { failing }).expect("a forecast")
}

fn canary() -> Value {
    let check = json!({ "templates": [{ "templateName": "check" }] });
    json!({ "canary": { "maxSurge": 1, "maxUnavailable": 0, "steps": [
        { "setWeight": 25 }, { "pause": { "duration": "1m" } }, { "analysis": check }, { "setWeight": 50 }, { "pause": {} },
    ] } })
}

#[test]
fn a_canary_goes_through_its_steps_and_never_below_its_promise() {
    let reported = update(&canary(), None);
    assert_eq!(
        (reported.phase.as_str(), reported.message.as_str()),
        ("Healthy", "")
    );
    let mut steps: Vec<i64> = reported.rows.iter().filter_map(|row| row.step).collect();
    steps.dedup();
    assert_eq!(steps, [0, 1, 2, 3, 4, 5]);
    let mut weights: Vec<i64> = reported.rows.iter().map(|row| row.weight).collect();
    weights.dedup();
    assert_eq!(weights, [25, 50, 100]);
    let last = reported.rows.last().expect("a row");
    assert_eq!((last.stable.available, last.available_minimum), (4, 4));
    // 10 s for a pod, a minute of pause, an analysis of 41 s: the update takes at least that.
    assert!(last.seconds >= 111, "{}", last.seconds);
    assert!(
        reported
            .rows
            .iter()
            .all(|row| row.available >= row.available_minimum)
    );
    assert!(
        reported
            .rows
            .iter()
            .any(|row| row.reason.contains("a person promotes"))
    );
}

#[test]
fn a_failing_analysis_brings_the_stable_version_back() {
    let reported = update(&canary(), Some(RunType::Step(2)));
    assert_eq!(reported.phase, "Degraded");
    assert!(reported.message.contains("aborted"), "{}", reported.message);
    let last = reported.rows.last().expect("a row");
    assert_eq!(
        (last.weight, last.stable.available, last.canary.replicas),
        (0, 4, 0)
    );
    assert_eq!(last.available_minimum, 4);
}

#[test]
fn blue_green_switches_once_all_pods_are_there() {
    let rules = json!({ "blueGreen": { "activeService": "active", "autoPromotionSeconds": 30 } });
    let reported = update(&rules, None);
    assert_eq!(reported.phase, "Healthy");
    let switch = reported
        .rows
        .iter()
        .find(|row| row.weight == 100)
        .expect("a switch");
    assert!(switch.seconds >= 40, "{}", switch.seconds);
    assert_eq!(reported.rows.last().expect("a row").available_minimum, 4);
}

#[test]
fn a_wrong_manifest_is_refused() {
    let mut wrong = rollout("v1", &canary());
    wrong["spec"]["strategy"]["canary"]["steps"][0]["setWeight"] = 101.into();
    let error = forecast(&Snapshot::default(), None, &wrong, Scenario::default());
    let error = error.expect_err("a refusal").to_string();
    assert!(
        error.starts_with("spec.strategy.canary.steps[0].setWeight: "),
        "{error}"
    );
}
