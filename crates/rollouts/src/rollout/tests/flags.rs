//! Canary steps that edit feature flags.

use rand::{Rng, SeedableRng, rngs::StdRng};
use serde_json::{Value, json};

use super::cluster::Cluster;
use crate::rollout::flags::{
    FlagChange, FlagKey, FlagState, FlagStep, Segment, SegmentTest, edited,
};

fn at() -> FlagKey {
    FlagKey {
        config_map: "flags".to_owned(),
        key: "shop.json".to_owned(),
        flag: "checkout".to_owned(),
    }
}

fn step(change: FlagChange) -> FlagStep {
    FlagStep {
        at: at(),
        variant: "on".to_owned(),
        change,
    }
}

fn staff() -> FlagStep {
    step(FlagChange::Segments(vec![
        Segment {
            attribute: "group".to_owned(),
            test: SegmentTest::Values(vec!["staff".into()]),
        },
        Segment {
            attribute: "email".to_owned(),
            test: SegmentTest::EndsWith("@example.com".to_owned()),
        },
    ]))
}

fn plain() -> Value {
    json!({"state": "ENABLED", "variants": {"on": true, "off": false}, "defaultVariant": "off"})
}

fn targeting(before: &Value, steps: &[&FlagStep]) -> Value {
    edited(before, steps)["targeting"].clone()
}

#[test]
fn a_share_splits_and_everybody_gets_the_variant_in_the_end() {
    let of = |percent| targeting(&plain(), &[&step(FlagChange::Percentage(percent))]);
    assert_eq!(of(25), json!({"fractional": [["on", 25], ["off", 75]]}));
    assert_eq!(of(100), json!({"if": [true, "on"]}));
    assert_eq!(of(0), Value::Null);
    let after = edited(&plain(), &[&step(FlagChange::Percentage(25))]);
    assert_eq!(
        (&after["variants"], &after["state"]),
        (&plain()["variants"], &json!("ENABLED"))
    );
}

#[test]
fn segments_keep_the_variant_while_the_share_grows() {
    let (segments, share) = (staff(), step(FlagChange::Percentage(10)));
    let condition = json!({"or": [
        {"in": [{"var": "group"}, ["staff"]]}, {"ends_with": [{"var": "email"}, "@example.com"]}
    ]});
    assert_eq!(
        targeting(&plain(), &[&segments]),
        json!({"if": [condition, "on"]})
    );
    assert_eq!(
        targeting(&plain(), &[&segments, &share]),
        json!({"if": [condition, "on", {"fractional": [["on", 10], ["off", 90]]}]})
    );
}

#[test]
fn other_rules_stay_and_do_not_grow_with_each_update() {
    let mut before = plain();
    let own = json!({"if": [{"==": [{"var": "country"}, "NZ"]}, "off"]});
    before["targeting"] = own.clone();
    let share = step(FlagChange::Percentage(30));
    let split = json!({"fractional": [["on", 30], ["off", 70]]});
    let once = edited(&before, &[&share]);
    assert_eq!(
        once["targeting"],
        json!({"if": [{"==": [split, "on"]}, "on", own]})
    );
    assert_eq!(edited(&once, &[&share]), once);
    let both = edited(&before, &[&staff(), &share]);
    assert_eq!(
        edited(&edited(&both, &[&staff()]), &[&staff()]),
        edited(&both, &[&staff()])
    );
    for steps in [
        vec![step(FlagChange::Percentage(100))],
        vec![step(FlagChange::Percentage(40))],
    ] {
        let steps: Vec<&FlagStep> = steps.iter().collect();
        let once = edited(&plain(), &steps);
        assert_eq!(edited(&once, &steps), once);
    }
}

fn config(change: &Value) -> Value {
    let mut config =
        json!({"configMap": "flags", "key": "shop.json", "flag": "checkout", "variant": "on"});
    config
        .as_object_mut()
        .expect("an object")
        .extend(change.as_object().expect("an object").clone());
    json!({"plugin": {"name": "feature-flag", "config": config}})
}

fn cluster() -> Cluster {
    let mut cluster = Cluster::new(
        2,
        &json!({"canary": {"steps": [
            config(&json!({"percentage": 20})), {"pause": {}}, config(&json!({"percentage": 100})), {"pause": {}}
        ]}}),
    );
    let state = FlagState {
        definition: plain(),
        saved: None,
    };
    cluster.flags.insert(at(), state);
    cluster.run();
    cluster
}

fn flag(cluster: &Cluster) -> &FlagState {
    &cluster.flags[&at()]
}

#[test]
fn steps_edit_the_flag_and_a_promotion_keeps_it() {
    let mut cluster = cluster();
    assert_eq!(
        flag(&cluster).definition,
        plain(),
        "the first deployment has no steps"
    );
    cluster.set_image("v2");
    cluster.run();
    assert_eq!(
        cluster.status().current_step_index,
        Some(1),
        "{}",
        cluster.log
    );
    assert_eq!(
        flag(&cluster).definition["targeting"],
        json!({"fractional": [["on", 20], ["off", 80]]})
    );
    assert_eq!(flag(&cluster).saved.as_ref().expect("kept").before, plain());
    let statuses = cluster
        .status()
        .canary
        .step_plugin_statuses
        .expect("statuses");
    assert_eq!(statuses[0]["status"]["configMap"], "flags");
    for _ in 0..2 {
        cluster.patch_status(&json!({"pauseConditions": null}));
        cluster.run();
    }
    assert_eq!(cluster.status().phase, "Healthy", "{}", cluster.log);
    assert_eq!(
        flag(&cluster).definition["targeting"],
        json!({"if": [true, "on"]})
    );
    assert_eq!(flag(&cluster).saved, None);
    assert_eq!(cluster.status().canary.step_plugin_statuses, None);
}

#[test]
fn an_abort_and_a_newer_version_restore_what_stood_before() {
    let mut cluster = cluster();
    cluster.set_image("v2");
    cluster.run();
    cluster.patch_status(&json!({"abort": true}));
    cluster.run();
    assert_eq!(
        flag(&cluster),
        &FlagState {
            definition: plain(),
            saved: None
        },
        "{}",
        cluster.log
    );
    cluster.patch_status(&json!({"abort": false}));
    cluster.run();
    assert_ne!(flag(&cluster).definition, plain());
    // The next version has no such step; back to the stable one has none either.
    cluster.edit(|spec| spec["strategy"]["canary"]["steps"] = json!([{"pause": {}}]));
    cluster.set_image("v3");
    cluster.run();
    assert_eq!(
        flag(&cluster),
        &FlagState {
            definition: plain(),
            saved: None
        },
        "{}",
        cluster.log
    );
    cluster.set_image("v1");
    cluster.run();
    assert_eq!(cluster.status().phase, "Healthy");
}

#[test]
fn another_strategy_restores_what_stood_before() {
    let mut cluster = cluster().with_services(&["main"]);
    cluster.set_image("v2");
    cluster.run();
    assert_ne!(flag(&cluster).definition, plain());
    cluster.edit(|spec| spec["strategy"] = json!({"blueGreen": {"activeService": "main"}}));
    cluster.run();
    let restored = FlagState {
        definition: plain(),
        saved: None,
    };
    assert_eq!(flag(&cluster), &restored, "{}", cluster.log);
    assert_eq!(cluster.status().canary.step_plugin_statuses, None);
}

#[test]
fn kills_lose_no_definition() {
    for seed in 0..40 {
        let mut random = StdRng::seed_from_u64(seed);
        let mut cluster = cluster();
        for _ in 0..60 {
            let crash = random.random_bool(0.4).then(|| random.random_range(0..4));
            cluster.pass(crash);
            cluster.peers();
            let state = flag(&cluster);
            let is_original = state.definition == plain();
            let promoted = state.definition["targeting"] == json!({"if": [true, "on"]});
            assert!(
                is_original || promoted || state.saved.is_some(),
                "seed {seed}\n{}",
                cluster.log
            );
            match random.random_range(0..24) {
                0 => cluster.patch_status(&json!({"abort": true})),
                1 => cluster.patch_status(&json!({"abort": false})),
                2 => cluster.set_image(&format!("v{}", random.random_range(1..4))),
                3 => cluster.patch_status(&json!({"pauseConditions": null})),
                _ => {}
            }
        }
        cluster.run();
        cluster.patch_status(&json!({"abort": true}));
        cluster.run();
        let state = flag(&cluster);
        assert_eq!(state.saved, None, "seed {seed}\n{}", cluster.log);
        let promoted = state.definition["targeting"] == json!({"if": [true, "on"]});
        assert!(
            state.definition == plain() || promoted,
            "seed {seed}\n{}",
            cluster.log
        );
    }
}

#[test]
fn wrong_plugins_are_refused_with_their_field() {
    for (step, expected) in [
        (
            json!({"plugin": {"name": "acme/deploy"}}),
            "plugin.name: Invalid value: \"acme/deploy\": step plugins are not loaded",
        ),
        (
            config(&json!({"percentage": 101})),
            "plugin.config.percentage: Invalid value: 101",
        ),
        (
            config(&json!({})),
            "plugin.config: Invalid value: set one of percentage and segments",
        ),
        (
            config(&json!({"percentage": 1, "segments": [{"attribute": "a", "values": []}]})),
            "plugin.config: Invalid value",
        ),
        (
            config(&json!({"segments": [{"attribute": "a"}]})),
            "plugin.config.segments[0]: Invalid value: set one of values",
        ),
        (
            config(&json!({"percentage": 1, "typo": 2})),
            "plugin.config.typo: unknown field",
        ),
        (
            config(&json!({"percentage": 1, "flag": ""})),
            "plugin.config.flag: Required value",
        ),
    ] {
        let cluster = Cluster::new(1, &json!({"canary": {"steps": [step]}}));
        let error = cluster.observe().err().expect("a refusal").to_string();
        let expected = format!("spec.strategy.canary.steps[0].{expected}");
        assert!(error.starts_with(&expected), "{error}");
    }
}
