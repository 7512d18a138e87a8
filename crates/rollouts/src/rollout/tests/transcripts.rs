//! Whole updates as transcripts, each also with everybody acting in other orders: the milestones stay the same.

use rand::{SeedableRng, rngs::StdRng};
use reconcile_core::testkit::seeds;
use serde_json::json;

use super::cluster::Cluster;
use crate::api::analysis::AnalysisPhase;

/// Events and verdicts in their order, without those of single scalings, which depend on who acts first.
fn milestones(cluster: &Cluster) -> Vec<String> {
    let lines = cluster.log.lines().filter_map(|line| {
        let (_, what) = line.split_once("s] ")?;
        let is_milestone = ["event: ", "analysis: ", "person: ", "client: "]
            .iter()
            .any(|start| what.starts_with(start));
        let is_scaling = what.starts_with("event: ScalingReplicaSet");
        (is_milestone && !is_scaling).then(|| what.to_owned())
    });
    lines.collect()
}

/// Plays a scenario in the usual order and in random ones. Returns the usual transcript.
fn in_any_order(new: impl Fn() -> Cluster, play: impl Fn(&mut Cluster)) -> String {
    let mut usual = new();
    play(&mut usual);
    let golden = milestones(&usual);
    for seed in seeds(100) {
        let mut other = new();
        other.order = Some(StdRng::seed_from_u64(seed));
        play(&mut other);
        assert_eq!(milestones(&other), golden, "seed {seed}\n{}", other.log);
    }
    usual.log
}

#[test]
fn a_canary_from_first_deployment_to_promotion() {
    let steps =
        json!([{"setWeight": 25}, {"pause": {"duration": 30}}, {"setWeight": 50}, {"pause": {}}]);
    let strategy = json!({"canary": {"steps": steps, "maxSurge": 1, "maxUnavailable": 0}});
    let transcript = in_any_order(|| Cluster::new(4, &strategy), promote_canary);
    insta::assert_snapshot!(transcript);
}

fn promote_canary(cluster: &mut Cluster) {
    cluster.run();
    cluster.set_image("v2");
    cluster.run();
    cluster.advance(31);
    cluster.run();
    cluster.patch_status(&json!({"pauseConditions": null}));
    cluster.run();
    assert_eq!(cluster.status().phase, "Healthy");
}

#[test]
fn a_blue_green_with_judgement_before_and_after_the_switch() {
    let strategy = json!({"blueGreen": {
        "activeService": "main", "previewService": "next", "previewReplicaCount": 1, "autoPromotionSeconds": 20,
        "prePromotionAnalysis": {"templates": [{"templateName": "check"}]},
        "postPromotionAnalysis": {"templates": [{"templateName": "check"}]}
    }});
    let new = || Cluster::new(3, &strategy).with_services(&["main", "next"]);
    insta::assert_snapshot!(in_any_order(new, judge_blue_green));
}

fn judge_blue_green(cluster: &mut Cluster) {
    cluster.run();
    cluster.set_image("v2");
    cluster.run();
    let pre = cluster
        .runs
        .keys()
        .next()
        .cloned()
        .expect("an analysis before the switch");
    cluster.end_run(&pre, AnalysisPhase::Successful, "");
    cluster.run();
    cluster.advance(21);
    cluster.run();
    let post = cluster
        .runs
        .keys()
        .find(|name| name.ends_with("-post"))
        .cloned()
        .expect("an analysis after it");
    cluster.end_run(&post, AnalysisPhase::Successful, "");
    cluster.run();
    cluster.advance(31);
    cluster.run();
    assert_eq!(cluster.status().phase, "Healthy");
    assert_eq!(cluster.sizes()["v1"], 0);
}

#[test]
fn a_bad_version_is_judged_aborted_and_retried() {
    let steps = json!([{"setWeight": 25}, {"analysis": {"templates": [{"templateName": "check"}]}}, {"setWeight": 75}]);
    let strategy = json!({"canary": {"steps": steps, "maxSurge": 1, "maxUnavailable": 1}});
    let transcript = in_any_order(|| Cluster::new(4, &strategy), fail_and_retry);
    insta::assert_snapshot!(transcript);
}

fn fail_and_retry(cluster: &mut Cluster) {
    cluster.run();
    cluster.set_image("v2");
    cluster.run();
    let run = cluster.runs.keys().next().cloned().expect("an analysis");
    cluster.end_run(
        &run,
        AnalysisPhase::Failed,
        "Metric \"rate\" assessed Failed due to failed (1) > failureLimit (0)",
    );
    cluster.run();
    assert_eq!(cluster.status().phase, "Degraded");
    assert_eq!(cluster.sizes()["v1"], 4);
    cluster.patch_status(&json!({"abort": false}));
    cluster.run();
    let again = cluster
        .runs
        .keys()
        .find(|name| name.ends_with(".1"))
        .cloned()
        .expect("a second analysis");
    cluster.end_run(&again, AnalysisPhase::Successful, "");
    cluster.run();
    assert_eq!(cluster.status().phase, "Healthy");
}

#[test]
fn no_verdict_pauses_and_a_resumption_measures_again() {
    let steps =
        json!([{"setWeight": 50}, {"analysis": {"templates": [{"templateName": "check"}]}}]);
    let strategy = json!({"canary": {"steps": steps}});
    insta::assert_snapshot!(in_any_order(
        || Cluster::new(2, &strategy),
        resume_undecided
    ));
}

fn resume_undecided(cluster: &mut Cluster) {
    cluster.run();
    cluster.set_image("v2");
    cluster.run();
    let run = cluster.runs.keys().next().cloned().expect("an analysis");
    cluster.end_run(&run, AnalysisPhase::Inconclusive, "");
    cluster.run();
    assert_eq!(cluster.status().message, "InconclusiveAnalysisRun");
    cluster.patch_status(&json!({"pauseConditions": null}));
    cluster.run();
    let again = cluster
        .runs
        .keys()
        .find(|name| name.ends_with(".1"))
        .cloned()
        .expect("a second analysis");
    cluster.end_run(&again, AnalysisPhase::Successful, "");
    cluster.run();
    assert_eq!(cluster.status().phase, "Healthy");
}

#[test]
fn a_failing_background_analysis_aborts_at_any_step() {
    let strategy = json!({"canary": {
        "analysis": {"templates": [{"templateName": "watch"}], "startingStep": 1},
        "steps": [{"setWeight": 20}, {"setWeight": 40}, {"pause": {}}]
    }});
    insta::assert_snapshot!(in_any_order(
        || Cluster::new(5, &strategy),
        fail_in_background
    ));
}

fn fail_in_background(cluster: &mut Cluster) {
    cluster.run();
    cluster.set_image("v2");
    cluster.run();
    let status = cluster.status();
    let run = status
        .canary
        .current_background_analysis_run_status
        .expect("an analysis beside the steps");
    cluster.end_run(&run.name, AnalysisPhase::Error, "no data");
    cluster.run();
    assert_eq!(cluster.status().phase, "Degraded");
    assert!(cluster.status().message.contains("no data"));
    assert_eq!((cluster.sizes()["v1"], cluster.sizes()["v2"]), (5, 0));
    // A new template restarts the update.
    cluster.set_image("v3");
    cluster.run();
    assert_eq!(cluster.status().message, "CanaryPauseStep");
    assert!(!cluster.status().abort);
}

#[test]
fn the_active_service_goes_back_when_the_new_version_fails_after_the_switch() {
    let strategy = json!({"blueGreen": {
        "activeService": "main", "postPromotionAnalysis": {"templates": [{"templateName": "check"}]}
    }});
    let new = || Cluster::new(2, &strategy).with_services(&["main"]);
    insta::assert_snapshot!(in_any_order(new, fail_after_the_switch));
}

fn fail_after_the_switch(cluster: &mut Cluster) {
    cluster.run();
    cluster.set_image("v2");
    cluster.run();
    assert_eq!(
        cluster.services["main"].hash.as_ref(),
        Some(&cluster.set_of("v2").hash)
    );
    assert_eq!(
        cluster.sizes()["v1"],
        2,
        "the old version waits for the verdict"
    );
    let run = cluster.runs.keys().next().cloned().expect("an analysis");
    cluster.end_run(&run, AnalysisPhase::Failed, "bad");
    cluster.run();
    assert_eq!(
        cluster.services["main"].hash.as_ref(),
        Some(&cluster.set_of("v1").hash)
    );
    assert_eq!(cluster.status().phase, "Degraded");
    cluster.advance(31);
    cluster.run();
    assert_eq!((cluster.sizes()["v1"], cluster.sizes()["v2"]), (2, 0));
}
