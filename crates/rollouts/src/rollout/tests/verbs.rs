//! What people do to a Rollout: pause, promote, abort, retry, undo, scale. The status patches are those that
//! `kubectl argo rollouts` sends.

use reconcile_core::conditions::ConditionStatus;
use serde_json::{Value, json};

use super::cluster::Cluster;
use crate::{api::analysis::AnalysisPhase, rollout::plan::conditions::kind};

fn check() -> Value {
    json!({"analysis": {"templates": [{"templateName": "check"}]}})
}

fn canary(replicas: i32, steps: &Value) -> Cluster {
    let mut cluster = Cluster::new(replicas, &json!({"canary": {"steps": steps}}));
    cluster.run();
    cluster
}

fn blue_green(rules: &Value) -> Cluster {
    let mut strategy = json!({"blueGreen": {"activeService": "main", "scaleDownDelaySeconds": 5}});
    for (name, value) in rules.as_object().expect("an object") {
        strategy["blueGreen"][name] = value.clone();
    }
    let mut cluster = Cluster::new(2, &strategy).with_services(&["main"]);
    cluster.run();
    cluster
}

#[test]
fn spec_paused_halts_everything() {
    let mut cluster = Cluster::new(2, &json!({"canary": {}}));
    cluster.run();
    cluster.edit(|spec| spec["paused"] = true.into());
    cluster.set_image("v2");
    cluster.run();
    assert_eq!(cluster.status().message, "manually paused");
    assert_eq!(cluster.sizes()["v2"], 0);
    cluster.edit(|spec| spec["paused"] = false.into());
    cluster.run();
    assert_eq!(cluster.status().phase, "Healthy");
    assert_eq!(cluster.sizes()["v2"], 2);
}

#[test]
fn undo_reuses_the_old_set_under_a_new_revision() {
    let mut cluster = Cluster::new(1, &json!({"canary": {}}));
    cluster.run();
    cluster.set_image("v2");
    cluster.run();
    cluster.set_image("v1");
    cluster.run();
    assert_eq!(cluster.replica_sets.len(), 2);
    let first = cluster.set_of("v1");
    assert_eq!(
        (
            first.revision,
            first.revision_history.as_str(),
            first.replicas
        ),
        (3, "1", 1)
    );
    assert_eq!(
        cluster.root["metadata"]["annotations"]["rollout.argoproj.io/revision"],
        "3"
    );
}

#[test]
fn going_back_within_the_window_skips_the_steps() {
    let steps = json!([{"setWeight": 20}, {"pause": {}}]);
    for (window, finished) in [(None, false), (Some(1), true)] {
        let mut cluster = Cluster::new(2, &json!({"canary": {"steps": steps.clone()}}));
        if let Some(revisions) = window {
            cluster.edit(|spec| spec["rollbackWindow"] = json!({"revisions": revisions}));
        }
        cluster.run();
        cluster.set_image("v2");
        cluster.run();
        cluster.patch_status(&json!({"promoteFull": true}));
        cluster.run();
        assert_eq!(cluster.status().phase, "Healthy");
        cluster.set_image("v1");
        cluster.run();
        assert_eq!(
            cluster.status().phase == "Healthy",
            finished,
            "window {window:?}"
        );
    }
}

#[test]
fn a_pause_does_not_make_a_complete_rollout_incomplete() {
    let mut cluster = canary(2, &json!([]));
    cluster.edit(|spec| spec["paused"] = true.into());
    cluster.run();
    let status = cluster.status();
    let completed = status
        .conditions
        .iter()
        .find(|known| known.kind == kind::COMPLETED);
    assert_eq!(
        completed.expect("a condition").status,
        ConditionStatus::True
    );
    let reported = cluster.log.matches("RolloutNotCompleted").count();
    assert_eq!(reported, 1, "the first deployment only\n{}", cluster.log);
}

#[test]
fn the_number_of_pods_is_followed_while_paused() {
    let mut cluster = canary(10, &json!([{"setWeight": 50}, {"pause": {}}]));
    cluster.edit(|spec| spec["paused"] = true.into());
    cluster.run();
    cluster.edit(|spec| spec["replicas"] = 12.into());
    cluster.run();
    assert_eq!(cluster.sizes()["v1"], 12);
    // An update that has not begun is not begun by it.
    cluster.set_image("v2");
    cluster.run();
    cluster.edit(|spec| spec["replicas"] = 14.into());
    cluster.run();
    assert_eq!((cluster.sizes()["v1"], cluster.sizes()["v2"]), (14, 0));
    cluster.edit(|spec| spec["paused"] = false.into());
    cluster.run();
    assert_eq!((cluster.sizes()["v1"], cluster.sizes()["v2"]), (7, 7));
    cluster.edit(|spec| spec["paused"] = true.into());
    cluster.run();
    cluster.edit(|spec| spec["replicas"] = 20.into());
    cluster.run();
    assert_eq!((cluster.sizes()["v1"], cluster.sizes()["v2"]), (10, 10));
    assert_eq!(cluster.status().current_step_index, Some(1));
}

#[test]
fn a_paused_blue_green_follows_the_number_of_pods_and_switches_nothing() {
    let mut cluster = blue_green(&json!({}));
    cluster.edit(|spec| spec["paused"] = true.into());
    cluster.edit(|spec| spec["replicas"] = 3.into());
    cluster.run();
    assert_eq!(cluster.sizes()["v1"], 3);
    cluster.set_image("v2");
    cluster.run();
    assert_eq!((cluster.sizes()["v1"], cluster.sizes()["v2"]), (3, 3));
    let active = |cluster: &Cluster| cluster.services["main"].hash.clone();
    assert_eq!(active(&cluster), Some(cluster.set_of("v1").hash.clone()));
    cluster.edit(|spec| spec["paused"] = false.into());
    cluster.run();
    assert_eq!(active(&cluster), Some(cluster.set_of("v2").hash.clone()));
}

#[test]
fn a_rollout_that_is_created_paused_starts_no_pods() {
    for strategy in [
        json!({"canary": {}}),
        json!({"blueGreen": {"activeService": "main"}}),
    ] {
        let mut cluster = Cluster::new(2, &strategy).with_services(&["main"]);
        cluster.edit(|spec| spec["paused"] = true.into());
        cluster.run();
        assert_eq!(cluster.sizes()["v1"], 0, "{strategy}");
        assert_eq!(cluster.status().message, "manually paused");
        cluster.edit(|spec| spec["paused"] = false.into());
        cluster.run();
        assert_eq!(cluster.status().phase, "Healthy", "{strategy}");
    }
}

#[test]
fn who_disables_the_automatic_promotion_is_waited_for() {
    for (enabled, switched) in [(false, false), (true, true)] {
        let rules = json!({"autoPromotionEnabled": enabled, "autoPromotionSeconds": 10});
        let mut cluster = blue_green(&rules);
        cluster.set_image("v2");
        cluster.run();
        assert_eq!(cluster.status().message, "BlueGreenPause");
        cluster.advance(1000);
        cluster.run();
        let new = Some(cluster.set_of("v2").hash.clone());
        assert_eq!(cluster.services["main"].hash == new, switched, "{enabled}");
        cluster.promote();
        assert_eq!(cluster.services["main"].hash, new);
    }
}

#[test]
fn a_promotion_past_an_analysis_starts_the_next_one() {
    let mut cluster = canary(2, &json!([{"setWeight": 50}, check(), check()]));
    cluster.set_image("v2");
    cluster.run();
    assert_eq!(cluster.status().current_step_index, Some(1));
    cluster.patch_status(&json!({"currentStepIndex": 2}));
    cluster.run();
    let names: Vec<&str> = cluster.runs.keys().map(String::as_str).collect();
    let [first, second] = names[..] else {
        panic!("{names:?}")
    };
    assert!(cluster.runs[first].terminate);
    assert!(second.ends_with("-2"), "{second}");
    let second = second.to_owned();
    let status = cluster.status();
    let named = status.canary.current_step_analysis_run_status;
    assert_eq!(named.expect("the second run").name, second);
    cluster.end_run(&second, AnalysisPhase::Successful, "");
    cluster.run();
    assert_eq!(cluster.status().phase, "Healthy");
}

#[test]
fn an_analysis_without_a_verdict_is_promoted_past() {
    let mut cluster = canary(2, &json!([check(), check(), {"pause": {}}]));
    cluster.set_image("v2");
    cluster.run();
    let first = cluster.runs.keys().next().cloned().expect("a run");
    cluster.end_run(&first, AnalysisPhase::Inconclusive, "");
    cluster.run();
    assert_eq!(cluster.status().message, "InconclusiveAnalysisRun");
    cluster.patch_status(
        &json!({"pauseConditions": null, "controllerPause": false, "currentStepIndex": 1}),
    );
    cluster.run();
    assert_eq!(cluster.runs.len(), 2);
    assert_eq!(cluster.status().phase, "Progressing");
    let second = cluster.runs.keys().last().cloned().expect("a run");
    cluster.end_run(&second, AnalysisPhase::Successful, "");
    cluster.run();
    assert_eq!(cluster.status().message, "CanaryPauseStep");
}

#[test]
fn the_rollout_reports_the_phase_of_its_analysis() {
    let mut cluster = canary(2, &json!([{"setWeight": 50}, check()]));
    cluster.set_image("v2");
    cluster.run();
    let run = cluster.runs.keys().next().cloned().expect("a run");
    cluster.end_run(&run, AnalysisPhase::Failed, "bad");
    cluster.run();
    let text = format!(
        "event: AnalysisRunFailed: Step Analysis Run '{run}' Status New: 'Failed' Previous: 'Running'"
    );
    assert_eq!(cluster.log.matches(&text).count(), 1, "{}", cluster.log);
}

#[test]
fn each_pause_becomes_an_event() {
    let mut cluster = canary(2, &json!([{"setWeight": 50}, {"pause": {}}, {"pause": {}}]));
    cluster.set_image("v2");
    cluster.run();
    cluster.promote();
    assert_eq!(cluster.status().current_step_index, Some(2));
    cluster.promote();
    for (event, times) in [("RolloutPaused", 2), ("RolloutResumed", 2)] {
        let reported = cluster.log.matches(&format!("event: {event}")).count();
        assert_eq!(reported, times, "{event}\n{}", cluster.log);
    }
}

#[test]
fn an_old_version_stays_while_an_analysis_is_undecided() {
    let rules = json!({"postPromotionAnalysis": check()["analysis"]});
    let mut cluster = blue_green(&rules);
    for (image, verdict) in [
        ("v2", AnalysisPhase::Successful),
        ("v3", AnalysisPhase::Inconclusive),
    ] {
        cluster.set_image(image);
        cluster.run();
        let mut runs = cluster.runs.iter();
        let open = runs.find(|(_, run)| !run.is_completed());
        let name = open.map(|(name, _)| name.clone()).expect("a run");
        cluster.end_run(&name, verdict, "");
        cluster.run();
    }
    cluster.advance(1000);
    cluster.run();
    assert_eq!(cluster.sizes()["v1"], 2, "although its delay is over");
}
