use serde_json::json;

use super::cluster::Cluster;
use crate::api::analysis::AnalysisPhase;

#[test]
fn a_canary_from_first_deployment_to_promotion() {
    let steps =
        json!([{"setWeight": 25}, {"pause": {"duration": 30}}, {"setWeight": 50}, {"pause": {}}]);
    let mut cluster = Cluster::new(
        4,
        &json!({"canary": {"steps": steps, "maxSurge": 1, "maxUnavailable": 0}}),
    );
    cluster.run();
    cluster.set_image("v2");
    cluster.run();
    cluster.advance(31);
    cluster.run();
    cluster.patch_status(&json!({"pauseConditions": null}));
    cluster.run();
    assert_eq!(cluster.status().phase, "Healthy");
    insta::assert_snapshot!(cluster.log);
}

#[test]
fn a_blue_green_with_judgement_before_and_after_the_switch() {
    let strategy = json!({"blueGreen": {
        "activeService": "main", "previewService": "next", "previewReplicaCount": 1, "autoPromotionSeconds": 20,
        "prePromotionAnalysis": {"templates": [{"templateName": "check"}]},
        "postPromotionAnalysis": {"templates": [{"templateName": "check"}]}
    }});
    let mut cluster = Cluster::new(3, &strategy).with_services(&["main", "next"]);
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
    insta::assert_snapshot!(cluster.log);
}

#[test]
fn a_bad_version_is_judged_aborted_and_retried() {
    let steps = json!([{"setWeight": 25}, {"analysis": {"templates": [{"templateName": "check"}]}}, {"setWeight": 75}]);
    let mut cluster = Cluster::new(
        4,
        &json!({"canary": {"steps": steps, "maxSurge": 1, "maxUnavailable": 1}}),
    );
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
    insta::assert_snapshot!(cluster.log);
}

#[test]
fn no_verdict_pauses_and_a_resumption_measures_again() {
    let steps =
        json!([{"setWeight": 50}, {"analysis": {"templates": [{"templateName": "check"}]}}]);
    let mut cluster = Cluster::new(2, &json!({"canary": {"steps": steps}}));
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
    let mut cluster = Cluster::new(5, &strategy);
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
    let mut cluster = Cluster::new(2, &strategy).with_services(&["main"]);
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
