use reconcile_core::conditions::{Condition, ConditionStatus};
use serde_json::json;

use super::cluster::Cluster;
use crate::rollout::plan::conditions::{kind, reason};

pub(super) fn condition<'c>(
    status: &'c crate::api::rollout::RolloutStatus,
    kind: &str,
) -> &'c Condition {
    status
        .conditions
        .iter()
        .find(|condition| condition.kind == kind)
        .unwrap_or_else(|| panic!("no condition {kind}"))
}

#[test]
fn an_absent_number_of_replicas_becomes_one() {
    let mut cluster = Cluster::new(1, &json!({"canary": {}}));
    cluster.root["spec"]
        .as_object_mut()
        .expect("a spec")
        .remove("replicas");
    cluster.run();
    assert_eq!(cluster.root["spec"]["replicas"], 1);
    assert_eq!(cluster.status().observed_generation, "2");
    assert_eq!(cluster.status().phase, "Healthy");
}

#[test]
fn a_scale_that_arrives_while_one_is_the_default_is_kept() {
    let mut cluster = Cluster::new(1, &json!({"canary": {}}));
    cluster.root["spec"]
        .as_object_mut()
        .expect("a spec")
        .remove("replicas");
    cluster.interloper = Some(|spec| spec["replicas"] = 7.into());
    cluster.run();
    assert_eq!(cluster.root["spec"]["replicas"], 7, "{}", cluster.log);
    assert_eq!(cluster.sizes()["v1"], 7);
}

#[test]
fn a_healthy_rollout_costs_nothing() {
    let mut cluster = Cluster::new(3, &json!({"canary": {"steps": [{"setWeight": 50}]}}));
    cluster.run();
    cluster.advance(10_000);
    assert_eq!(cluster.pass(None), (0, 0));
    assert_eq!(cluster.wake, None);
}

#[test]
fn replica_sets_of_another_controller_are_taken_over_without_a_redeployment() {
    let mut cluster = Cluster::new(3, &json!({"canary": {}}));
    cluster.run();
    let mut set = cluster
        .replica_sets
        .values()
        .next()
        .cloned()
        .expect("a set");
    cluster.replica_sets.clear();
    // Another formula gave another hash and name; nobody owns it.
    set.hash = "foreign".into();
    set.name = "web-foreign".into();
    set.labels
        .insert(crate::api::rollout::HASH_LABEL.into(), "foreign".into());
    set.owner = None;
    set.version = "7".into();
    cluster.root["status"] = json!({});
    cluster.pods = [(
        set.name.clone(),
        cluster.pods.values().next().cloned().expect("pods"),
    )]
    .into();
    cluster.replica_sets = [(set.name.clone(), set)].into();
    let seen = cluster.observe().expect("a valid Rollout");
    let plan = crate::rollout::plan::decide(&seen, cluster.now).plan;
    let actions: Vec<String> = plan.actions.iter().map(ToString::to_string).collect();
    assert_eq!(actions, ["adopt ReplicaSet web-foreign"]);
}

#[test]
fn a_taken_name_leads_to_another_hash() {
    let mut cluster = Cluster::new(1, &json!({"canary": {}}));
    let seen = cluster.observe().expect("a valid Rollout");
    let plan = crate::rollout::plan::decide(&seen, cluster.now).plan;
    let crate::rollout::plan::Action::Create(new) = &plan.actions[0] else {
        panic!("{plan}")
    };
    let foreign = crate::rollout::observed::ReplicaSetView {
        name: new.name.clone(),
        uid: "foreign".into(),
        owner: Some(crate::analysis::OwnerView {
            kind: "ReplicaSet".into(),
            ..Default::default()
        }),
        ..Default::default()
    };
    cluster.replica_sets.insert(new.name.clone(), foreign);
    cluster.pass(None);
    assert_eq!(cluster.status().collision_count, Some(1));
    cluster.pass(None);
    assert_eq!(cluster.replica_sets.len(), 2);
}

#[test]
fn old_replica_sets_go_beyond_the_limit() {
    let mut cluster = Cluster::new(1, &json!({"canary": {}}));
    cluster.edit(|spec| spec["revisionHistoryLimit"] = 2.into());
    for version in 1..=6 {
        cluster.set_image(&format!("v{version}"));
        cluster.run();
    }
    let images: Vec<&str> = cluster.sizes().into_keys().collect();
    assert_eq!(images, ["v4", "v5", "v6"]);
    assert_eq!(cluster.set_of("v6").revision, 6);
}

#[test]
fn canary_services_follow_their_versions() {
    let strategy = json!({"canary": {"canaryService": "new", "stableService": "old", "steps": [{"setWeight": 50}, {"pause": {}}]}});
    let mut cluster = Cluster::new(2, &strategy).with_services(&["new", "old"]);
    cluster.run();
    cluster.set_image("v2");
    cluster.run();
    let hash = |image: &str| Some(cluster.set_of(image).hash.clone());
    assert_eq!(cluster.services["old"].hash, hash("v1"));
    assert_eq!(cluster.services["new"].hash, hash("v2"));
    let (first, second) = (hash("v1"), hash("v2"));
    cluster.patch_status(&json!({"abort": true}));
    cluster.run();
    assert_eq!(
        cluster.services["new"].hash, first,
        "an aborted version has no pods to show"
    );
    cluster.patch_status(&json!({"abort": false}));
    cluster.run();
    assert_eq!(cluster.services["new"].hash, second);
    cluster.patch_status(&json!({"pauseConditions": null}));
    cluster.run();
    assert_eq!(cluster.services["old"].hash, second);
}

#[test]
fn fields_without_effect_are_named_in_a_condition() {
    let mut cluster = Cluster::new(1, &json!({"canary": {"surge": 1}}));
    cluster.run();
    let status = cluster.status();
    assert!(
        condition(&status, kind::UNSUPPORTED)
            .message
            .contains("spec.strategy.canary.surge")
    );
    assert_eq!(status.phase, "Healthy");
}

#[test]
fn the_first_version_is_stable_from_the_start_and_never_aborted() {
    let mut cluster = Cluster::new(
        2,
        &json!({"canary": {"steps": [{"setWeight": 50}, {"pause": {}}]}}),
    );
    cluster.edit(|spec| spec["progressDeadlineSeconds"] = 60.into());
    cluster.edit(|spec| spec["progressDeadlineAbort"] = true.into());
    cluster.hanging.push("v1".into());
    cluster.run();
    let status = cluster.status();
    assert_eq!(status.stable_rs, status.current_pod_hash);
    assert_eq!(
        condition(&status, kind::COMPLETED).status,
        ConditionStatus::True
    );
    assert_eq!(
        condition(&status, kind::AVAILABLE).status,
        ConditionStatus::False
    );
    assert_eq!(
        (status.phase.as_str(), status.message.as_str()),
        (
            "Progressing",
            "updated replicas are still becoming available"
        )
    );
    assert_eq!(
        condition(&status, kind::PROGRESSING).reason,
        reason::UPDATED
    );
    cluster.advance(70);
    cluster.run();
    assert_eq!(
        condition(&cluster.status(), kind::PROGRESSING).reason,
        reason::TIMED_OUT
    );
    assert!(!cluster.status().abort);
    assert_eq!(cluster.sizes()["v1"], 2);
    // What replaces it takes the steps.
    cluster.set_image("v2");
    cluster.run();
    assert_eq!(cluster.status().message, "CanaryPauseStep");
}

#[test]
fn a_complete_rollout_that_loses_pods_says_so() {
    let mut cluster = Cluster::new(2, &json!({"canary": {"maxUnavailable": 1}}));
    cluster.run();
    for pods in cluster.pods.values_mut() {
        pods[0].ready = false;
        pods[0].hangs = true;
    }
    cluster.run();
    let status = cluster.status();
    assert_eq!(
        condition(&status, kind::PROGRESSING).reason,
        reason::NOT_AVAILABLE
    );
    assert_eq!(
        condition(&status, kind::HEALTHY).status,
        ConditionStatus::False
    );
    // Half of the pods is what maxUnavailable allows an update, not what availability means.
    assert_eq!(
        condition(&status, kind::AVAILABLE).status,
        ConditionStatus::False
    );
    assert_eq!(
        condition(&status, kind::COMPLETED).status,
        ConditionStatus::True
    );
}

#[test]
fn a_background_analysis_without_templates_is_none() {
    let strategy = json!({"canary": {"analysis": {"templates": []}, "steps": [{"setWeight": 50}]}});
    let mut cluster = Cluster::new(2, &strategy);
    cluster.run();
    cluster.set_image("v2");
    cluster.run();
    assert!(cluster.runs.is_empty());
    assert_eq!(cluster.status().phase, "Healthy");
}

#[test]
fn annotations_of_the_rollout_reach_its_newest_set() {
    let mut cluster = Cluster::new(1, &json!({"canary": {}}));
    cluster.root["metadata"]["annotations"] = json!({"team": "a"});
    cluster.run();
    assert!(!cluster.log.contains("annotate"), "{}", cluster.log);
    cluster.set_image("v2");
    cluster.run();
    cluster.root["metadata"]["annotations"]["team"] = "b".into();
    cluster.run();
    let name = cluster.set_of("v2").name.clone();
    let line = format!("controller: annotate ReplicaSet {name}, team=b");
    assert_eq!(cluster.log.matches(&line).count(), 1, "{}", cluster.log);
    assert_eq!(
        cluster.log.matches("annotate").count(),
        1,
        "{}",
        cluster.log
    );
    assert_eq!(cluster.set_of("v2").revision_history, "");
}

#[test]
fn a_set_that_a_webhook_changed_is_still_the_own_one() {
    let mut cluster = Cluster::new(2, &json!({"canary": {}}));
    cluster.mutating = true;
    cluster.run();
    cluster.set_image("v2");
    cluster.run();
    assert_eq!(cluster.replica_sets.len(), 2, "{}", cluster.log);
    assert_eq!(cluster.status().phase, "Healthy");
    cluster.set_image("v1");
    cluster.run();
    assert_eq!(cluster.replica_sets.len(), 2, "{}", cluster.log);
    assert_eq!((cluster.sizes()["v1"], cluster.sizes()["v2"]), (2, 0));
    assert_eq!(cluster.status().collision_count, None);
}

#[test]
fn another_strategy_starts_without_what_the_first_one_left() {
    let canary = json!({"canary": {
        "analysis": {"templates": [{"templateName": "watch"}]}, "steps": [{"setWeight": 50}, {"pause": {}}]
    }});
    let blue_green = json!({"blueGreen": {"activeService": "main", "scaleDownDelaySeconds": 5}});
    let mut cluster = Cluster::new(2, &canary).with_services(&["main", "next"]);
    cluster.run();
    cluster.set_image("v2");
    cluster.run();
    let run = cluster.runs.keys().next().cloned().expect("a run");
    cluster.edit(|spec| spec["strategy"] = blue_green.clone());
    cluster.run();
    let status = cluster.status();
    assert_eq!(status.phase, "Healthy", "{}", cluster.log);
    assert_eq!(
        (status.current_step_index, status.current_step_hash.as_str()),
        (None, "")
    );
    assert!(cluster.runs[&run].terminate);
    cluster.edit(|spec| spec["strategy"] = canary.clone());
    cluster.run();
    assert_eq!(cluster.status().blue_green.active_selector, "");
    assert_eq!(cluster.status().phase, "Healthy");
}

#[test]
fn a_preview_service_that_is_given_up_holds_no_pods() {
    let rules = |preview: Option<&str>| json!({"blueGreen": {"activeService": "main", "previewService": preview, "scaleDownDelaySeconds": 5}});
    let mut cluster = Cluster::new(1, &rules(Some("next"))).with_services(&["main", "next"]);
    cluster.run();
    cluster.edit(|spec| spec["strategy"] = rules(None));
    cluster.run();
    cluster.set_image("v2");
    cluster.run();
    cluster.advance(6);
    cluster.run();
    assert_eq!(cluster.status().blue_green.preview_selector, "");
    assert_eq!((cluster.sizes()["v1"], cluster.sizes()["v2"]), (0, 1));
}

#[test]
fn the_status_says_how_long_an_update_took_and_how_it_ended() {
    let steps = json!([{"setWeight": 50}, {"pause": {}}]);
    let mut cluster = Cluster::new(2, &json!({"canary": {"steps": steps}}));
    let duration = |cluster: &Cluster| cluster.status().duration.unwrap_or_default();
    cluster.run();
    assert_eq!(duration(&cluster).completion_status, "Promoted");
    cluster.advance(100);
    cluster.set_image("v2");
    cluster.run();
    let running = duration(&cluster);
    assert!(running.finished_at.is_none() && running.manual_pause_started_at.is_some());
    cluster.advance(30);
    cluster.patch_status(&json!({"pauseConditions": null}));
    cluster.run();
    let promoted = duration(&cluster);
    assert_eq!(promoted.completion_status, "Promoted");
    assert_eq!(promoted.total_manual_pause_duration_seconds, 30);
    let seconds = |duration: &crate::api::rollout::RolloutDuration| {
        let times = (&duration.rollout_started_at, &duration.finished_at);
        let (Some(start), Some(end)) = times else {
            panic!("{duration:?}")
        };
        end.0.duration_since(start.0).as_secs()
    };
    assert_eq!(seconds(&promoted), 30);
    cluster.set_image("v3");
    cluster.run();
    cluster.advance(5);
    cluster.set_image("v2");
    cluster.run();
    assert_eq!(duration(&cluster).completion_status, "FastRolledBack");
    assert_eq!(seconds(&duration(&cluster)), 5);
    cluster.set_image("v4");
    cluster.run();
    cluster.patch_status(&json!({"abort": true}));
    cluster.run();
    assert_eq!(duration(&cluster).completion_status, "Aborted");
}

#[test]
fn a_zero_that_a_client_writes_into_the_status_stays() {
    let mut cluster = Cluster::new(2, &json!({"canary": {"steps": [{"pause": {}}]}}));
    cluster.run();
    cluster.set_image("v2");
    cluster.run();
    for abort in [true, false] {
        cluster.patch_status(&json!({"abort": abort}));
        cluster.run();
        assert_eq!(cluster.root["status"]["abort"], abort);
    }
}
