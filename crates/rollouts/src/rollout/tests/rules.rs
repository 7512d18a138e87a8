#![expect(
    clippy::needless_pass_by_value,
    reason = "tables of literals read better without references"
)]

use serde_json::{Value, json};

use super::cluster::{Cluster, template};
use crate::{
    api::rollout::RolloutSpec,
    rollout::{
        check,
        plan::conditions::{kind, reason},
        world::Step,
    },
};

fn spec(strategy: Value) -> Value {
    json!({"selector": {"matchLabels": {"app": "web"}}, "template": template("v1"), "strategy": strategy})
}

fn refusal(spec: Value) -> String {
    let typed: RolloutSpec = serde_json::from_value(spec).expect("a spec");
    check(typed).expect_err("the spec is wrong").to_string()
}

fn canary(steps: Value) -> Value {
    spec(json!({"canary": {"steps": steps}}))
}

#[expect(clippy::too_many_lines, reason = "one table")]
#[test]
fn a_wrong_spec_is_told_by_field() {
    let table = [
        (
            json!({"replicas": i32::MAX, "selector": {"matchLabels": {"app": "web"}}, "template": template("v1"), "strategy": {"canary": {}}}),
            "spec.replicas",
        ),
        (
            canary(json!([{"setWeight": 101}])),
            "spec.strategy.canary.steps[0].setWeight",
        ),
        (
            canary(json!([{"setWeight": 1, "pause": {}}])),
            "spec.strategy.canary.steps[0]",
        ),
        (canary(json!([{}])), "spec.strategy.canary.steps[0]"),
        (
            canary(json!([{"pause": {"duration": "soon"}}])),
            "spec.strategy.canary.steps[0].pause.duration",
        ),
        (
            canary(json!([{"pause": {"duration": -1}}])),
            "spec.strategy.canary.steps[0].pause.duration",
        ),
        (
            canary(json!([{"setWeight": 5}, {"experiment": {"templates": []}}])),
            "spec.strategy.canary.steps[1].experiment: not supported yet",
        ),
        (
            canary(json!([{"setCanaryScale": {"weight": 5}}])),
            "spec.strategy.canary.steps[0].setCanaryScale: not supported yet",
        ),
        (
            spec(json!({"canary": {"trafficRouting": {"nginx": {}}}})),
            "spec.strategy.canary.trafficRouting: not supported yet",
        ),
        (
            spec(json!({"canary": {"maxSurge": 0, "maxUnavailable": "0%"}})),
            "spec.strategy.canary.maxUnavailable",
        ),
        (
            spec(json!({"canary": {"maxSurge": "many"}})),
            "spec.strategy.canary.maxSurge",
        ),
        (
            spec(json!({"canary": {"canaryService": "s", "stableService": "s"}})),
            "spec.strategy.canary.stableService",
        ),
        (
            spec(json!({"blueGreen": {}})),
            "spec.strategy.blueGreen.activeService",
        ),
        (
            spec(json!({"blueGreen": {"activeService": "s", "previewService": "s"}})),
            "spec.strategy.blueGreen.activeService",
        ),
        (spec(json!({})), "spec.strategy"),
        (
            spec(json!({"canary": {}, "blueGreen": {"activeService": "s"}})),
            "spec.strategy",
        ),
        (
            json!({"workloadRef": {"name": "d"}, "strategy": {"canary": {}}}),
            "spec.workloadRef: not supported yet",
        ),
        (
            json!({"selector": {"matchLabels": {"app": "other"}}, "template": template("v1"), "strategy": {"canary": {}}}),
            "spec.template.metadata.labels",
        ),
        (
            json!({"template": template("v1"), "strategy": {"canary": {}}}),
            "spec.selector",
        ),
    ];
    for (spec, path) in table {
        let text = refusal(spec);
        assert!(text.starts_with(path), "{text} should be about {path}");
    }
}

#[test]
fn pauses_are_numbers_texts_and_durations() {
    let typed: RolloutSpec = serde_json::from_value(canary(json!([
        {"pause": {"duration": 10}}, {"pause": {"duration": "10"}}, {"pause": {"duration": "5m"}}, {"pause": {"duration": "1h30m"}}, {"pause": {}}
    ])))
    .expect("a spec");
    let checked = check(typed).expect("a valid spec");
    let seconds: Vec<Option<i64>> = checked
        .canary()
        .expect("a canary")
        .steps
        .iter()
        .map(|step| match step {
            Step::Pause(duration) => duration.map(|duration| duration.as_secs()),
            other => panic!("{other} is no pause"),
        })
        .collect();
    assert_eq!(seconds, [Some(10), Some(10), Some(300), Some(5400), None]);
}

fn condition<'c>(
    status: &'c crate::api::rollout::RolloutStatus,
    kind: &str,
) -> &'c crate::api::rollout::RolloutCondition {
    status
        .conditions
        .iter()
        .find(|condition| condition.kind == kind)
        .unwrap_or_else(|| panic!("no condition {kind}"))
}

#[test]
fn a_missing_service_is_an_invalid_spec_and_heals() {
    let mut cluster = Cluster::new(1, &json!({"blueGreen": {"activeService": "main"}}));
    cluster.run();
    let status = cluster.status();
    assert_eq!(status.phase, "Degraded");
    assert!(
        status.message.contains("service \"main\" not found"),
        "{}",
        status.message
    );
    assert!(
        cluster.sets.is_empty(),
        "nothing is created from an invalid manifest"
    );
    let mut cluster = cluster.with_services(&["main"]);
    cluster.run();
    assert_eq!(cluster.status().phase, "Healthy");
    assert!(
        cluster
            .status()
            .conditions
            .iter()
            .all(|condition| condition.kind != kind::INVALID_SPEC)
    );
}

#[test]
fn a_status_that_cannot_be_read_is_not_written_over() {
    let mut cluster = Cluster::new(1, &json!({"canary": {}}));
    cluster.run();
    cluster.root["status"]["currentStepIndex"] = "many".into();
    let before = cluster.root["status"].clone();
    assert_eq!(cluster.pass(None), (0, 0));
    assert_eq!(cluster.root["status"], before);
}

#[test]
fn a_service_of_another_rollout_is_refused_only_while_that_rollout_exists() {
    let mut cluster =
        Cluster::new(1, &json!({"blueGreen": {"activeService": "main"}})).with_services(&["main"]);
    cluster
        .services
        .get_mut("main")
        .expect("the Service")
        .managed_by = Some("gone".to_owned());
    cluster.run();
    assert_eq!(cluster.status().phase, "Healthy");
    assert_eq!(cluster.services["main"].managed_by.as_deref(), Some("web"));
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
    let mut set = cluster.sets.values().next().cloned().expect("a set");
    cluster.sets.clear();
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
    cluster.sets = [(set.name.clone(), set)].into();
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
    let foreign = crate::rollout::world::ReplicaSetView {
        name: new.name.clone(),
        uid: "foreign".into(),
        owner: Some(crate::rollout::world::SetOwner {
            kind: "ReplicaSet".into(),
            ..Default::default()
        }),
        ..Default::default()
    };
    cluster.sets.insert(new.name.clone(), foreign);
    cluster.pass(None);
    assert_eq!(cluster.status().collision_count, Some(1));
    cluster.pass(None);
    assert_eq!(cluster.sets.len(), 2);
}

#[test]
fn the_deadline_makes_the_rollout_degraded_and_may_abort_it() {
    for abort in [false, true] {
        let mut cluster = Cluster::new(2, &json!({"canary": {"steps": [{"setWeight": 50}]}}));
        cluster.edit(|spec| {
            spec["progressDeadlineSeconds"] = 60.into();
            spec["progressDeadlineAbort"] = abort.into();
        });
        cluster.run();
        cluster.hanging.push("v2".into());
        cluster.set_image("v2");
        cluster.run();
        assert_eq!(cluster.status().phase, "Progressing");
        assert!(cluster.wake.is_some(), "somebody must look again");
        cluster.advance(62);
        cluster.run();
        let status = cluster.status();
        let progressing = condition(&status, kind::PROGRESSING);
        assert_eq!(status.phase, "Degraded");
        if abort {
            assert_eq!(progressing.reason, reason::ABORTED);
            assert_eq!(cluster.sizes()["v1"], 2);
        } else {
            assert_eq!(progressing.reason, reason::TIMED_OUT);
        }
    }
}

#[test]
fn a_pause_stops_the_clock_of_the_deadline() {
    let mut cluster = Cluster::new(
        2,
        &json!({"canary": {"steps": [{"setWeight": 50}, {"pause": {}}]}}),
    );
    cluster.run();
    cluster.set_image("v2");
    cluster.run();
    cluster.advance(100_000);
    cluster.run();
    assert_eq!(cluster.status().phase, "Paused");
    assert_eq!(
        condition(&cluster.status(), kind::PROGRESSING).status,
        "Unknown"
    );
    cluster.patch_status(&json!({"pauseConditions": null}));
    cluster.run();
    assert_eq!(cluster.status().phase, "Healthy");
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
fn undo_reuses_the_old_set_under_a_new_revision() {
    let mut cluster = Cluster::new(1, &json!({"canary": {}}));
    cluster.run();
    cluster.set_image("v2");
    cluster.run();
    cluster.set_image("v1");
    cluster.run();
    assert_eq!(cluster.sets.len(), 2);
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
fn canary_services_follow_their_versions() {
    let strategy = json!({"canary": {"canaryService": "new", "stableService": "old", "steps": [{"setWeight": 50}, {"pause": {}}]}});
    let mut cluster = Cluster::new(2, &strategy).with_services(&["new", "old"]);
    cluster.run();
    cluster.set_image("v2");
    cluster.run();
    let hash = |image: &str| Some(cluster.set_of(image).hash.clone());
    assert_eq!(cluster.services["old"].hash, hash("v1"));
    assert_eq!(cluster.services["new"].hash, hash("v2"));
    let second = hash("v2");
    cluster.patch_status(&json!({"pauseConditions": null}));
    cluster.run();
    assert_eq!(cluster.services["old"].hash, second);
}

#[test]
fn fields_without_effect_are_named_in_a_condition() {
    let mut cluster = Cluster::new(
        1,
        &json!({"canary": {"antiAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": {"weight": 1}}}}),
    );
    cluster.run();
    let status = cluster.status();
    assert!(
        condition(&status, kind::UNSUPPORTED)
            .message
            .contains("spec.strategy.canary.antiAffinity")
    );
    assert_eq!(status.phase, "Healthy");
}
