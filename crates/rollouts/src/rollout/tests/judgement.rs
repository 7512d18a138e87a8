//! A version reaches users only by a judgement of this version: never by a deadline, a lost label, a
//! terminated run or a restart.

use serde_json::{Value, json};

use super::cluster::Cluster;
use crate::{api::analysis::AnalysisPhase, rollout::observed::ServiceView};

fn blue_green(rules: &Value) -> Cluster {
    let mut strategy = json!({"blueGreen": {"activeService": "main", "previewService": "next"}});
    for (name, value) in rules.as_object().expect("an object") {
        strategy["blueGreen"][name] = value.clone();
    }
    let mut cluster = Cluster::new(2, &strategy).with_services(&["main", "next"]);
    cluster.run();
    cluster
}

fn judged_first() -> Value {
    json!({"prePromotionAnalysis": {"templates": [{"templateName": "check"}]}})
}

fn open_run(cluster: &Cluster) -> String {
    let mut runs = cluster.runs.iter();
    let open = runs.find(|(_, run)| !run.is_completed() && !run.terminate);
    open.map_or_else(
        || panic!("no open run\n{}", cluster.log),
        |(name, _)| name.clone(),
    )
}

fn serves(cluster: &Cluster, image: &str) -> bool {
    cluster.services["main"].hash.as_ref() == Some(&cluster.set_of(image).hash)
}

#[test]
fn a_failed_version_that_is_applied_again_is_judged_again() {
    let mut cluster = blue_green(&judged_first());
    cluster.set_image("v2");
    cluster.run();
    let first = open_run(&cluster);
    cluster.end_run(&first, AnalysisPhase::Failed, "bad");
    cluster.run();
    assert_eq!(cluster.status().phase, "Degraded");
    cluster.set_image("v1");
    cluster.run();
    assert_eq!(cluster.status().phase, "Healthy", "{}", cluster.log);
    // Within its scale-down delay.
    cluster.advance(5);
    cluster.set_image("v2");
    cluster.run();
    assert!(serves(&cluster, "v1"), "{}", cluster.log);
    let second = open_run(&cluster);
    assert_ne!(first, second);
    cluster.end_run(&second, AnalysisPhase::Failed, "bad");
    cluster.run();
    assert!(serves(&cluster, "v1"), "{}", cluster.log);
}

#[test]
fn a_version_that_nobody_approved_waits_for_a_person_again() {
    let mut cluster = blue_green(&json!({"autoPromotionEnabled": false}));
    for image in ["v2", "v1", "v2", "v3", "v2"] {
        cluster.set_image(image);
        cluster.run();
        cluster.advance(3);
        assert!(serves(&cluster, "v1"), "{image}\n{}", cluster.log);
    }
    assert_eq!(cluster.status().message, "BlueGreenPause");
    cluster.patch_status(&json!({"pauseConditions": null}));
    cluster.run();
    assert!(serves(&cluster, "v2"), "{}", cluster.log);
    // The one before it was approved and is older: that is a rollback.
    cluster.set_image("v1");
    cluster.run();
    assert!(serves(&cluster, "v1"), "{}", cluster.log);
    assert!(cluster.log.contains("Fast rollback"), "{}", cluster.log);
}

#[test]
fn an_active_service_without_a_hash_gets_the_stable_one_back() {
    let mut cluster = blue_green(&json!({"autoPromotionEnabled": false}));
    cluster.set_image("v2");
    cluster.run();
    for paused in [false, true] {
        cluster.edit(|spec| spec["paused"] = paused.into());
        // Somebody replaced the Service.
        cluster
            .services
            .insert("main".to_owned(), ServiceView::default());
        cluster.run();
        assert!(serves(&cluster, "v1"), "{}", cluster.log);
        assert_eq!(cluster.status().stable_rs, cluster.set_of("v1").hash);
    }
}

#[test]
fn a_run_that_was_created_before_a_crash_is_continued() {
    let steps =
        json!([{"setWeight": 50}, {"analysis": {"templates": [{"templateName": "check"}]}}]);
    let mut cluster = Cluster::new(2, &json!({"canary": {"steps": steps}}));
    cluster.run();
    cluster.set_image("v2");
    while cluster.runs.is_empty() {
        cluster.settle();
        cluster.peers();
        // The process dies after its effects, before it can write the status.
        cluster.pass(Some(usize::MAX));
    }
    let name = open_run(&cluster);
    cluster.run();
    assert_eq!(cluster.runs.len(), 1, "{}", cluster.log);
    assert!(!cluster.runs[&name].terminate, "{}", cluster.log);
    let status = cluster.status();
    let named = status.canary.current_step_analysis_run_status;
    assert_eq!(named.expect("the run").name, name);
}

#[test]
fn a_terminated_run_is_not_adopted() {
    let steps =
        json!([{"setWeight": 50}, {"analysis": {"templates": [{"templateName": "check"}]}}]);
    let mut cluster = Cluster::new(2, &json!({"canary": {"steps": steps}}));
    cluster.run();
    cluster.set_image("v2");
    cluster.run();
    let first = open_run(&cluster);
    cluster.patch_status(&json!({"abort": true}));
    cluster.run();
    assert!(cluster.runs[&first].terminate);
    // Its Job has not ended yet.
    cluster.patch_status(&json!({"abort": false}));
    cluster.run();
    let second = open_run(&cluster);
    assert_ne!(first, second);
    cluster.end_run(&first, AnalysisPhase::Successful, "");
    cluster.run();
    assert_eq!(
        cluster.status().current_step_index,
        Some(1),
        "{}",
        cluster.log
    );
}

#[test]
fn pauses_that_somebody_writes_on_a_finished_rollout_do_not_stay() {
    let mut cluster = Cluster::new(2, &json!({"canary": {"steps": [{"setWeight": 50}]}}));
    cluster.run();
    for reason in ["CanaryPauseStep", "InconclusiveAnalysisRun"] {
        cluster.patch_status(&json!({
            "pauseConditions": [{"reason": reason, "startTime": "2026-01-01T00:00:00Z"}], "controllerPause": true
        }));
        cluster.run();
        assert_eq!(
            cluster.status().phase,
            "Healthy",
            "{reason}\n{}",
            cluster.log
        );
    }
}

#[test]
fn pausing_a_finished_rollout_leaves_it_complete() {
    let mut cluster = Cluster::new(2, &json!({"canary": {"steps": [{"setWeight": 50}]}}));
    cluster.run();
    for paused in [true, false] {
        cluster.edit(|spec| spec["paused"] = paused.into());
        cluster.run();
        let status = cluster.status();
        let mut conditions = status.conditions.iter();
        let progressing = conditions.find(|condition| condition.kind == "Progressing");
        let progressing = progressing.expect("a condition");
        assert_eq!(
            (progressing.is_true(), progressing.reason.as_str()),
            (true, "NewReplicaSetAvailable")
        );
    }
    assert!(
        !cluster.log.contains("event: RolloutPaused"),
        "{}",
        cluster.log
    );
}

#[test]
fn a_halted_canary_is_scaled_down_all_the_way() {
    let mut cluster = Cluster::new(
        12,
        &json!({"canary": {"steps": [{"setWeight": 50}, {"pause": {}}]}}),
    );
    cluster.run();
    cluster.set_image("v2");
    cluster.run();
    assert_eq!((cluster.sizes()["v1"], cluster.sizes()["v2"]), (6, 6));
    cluster.edit(|spec| spec["paused"] = true.into());
    cluster.edit(|spec| spec["replicas"] = 4.into());
    cluster.run();
    assert_eq!(
        (cluster.sizes()["v1"], cluster.sizes()["v2"]),
        (2, 2),
        "{}",
        cluster.log
    );
}

#[test]
fn pauses_of_no_length_take_no_time() {
    let steps: Vec<Value> = (0..400)
        .map(|_| json!({"pause": {"duration": 0}}))
        .collect();
    let mut cluster = Cluster::new(1, &json!({"canary": {"steps": steps}}));
    cluster.run();
    cluster.set_image("v2");
    cluster.run();
    assert_eq!(
        cluster.status().current_step_index,
        Some(400),
        "{}",
        cluster.log
    );
}
