//! Canary steps with an Experiment.

use rand::{Rng, SeedableRng, rngs::StdRng};
use serde_json::{Value, json};

use super::cluster::{Cluster, template};
use crate::{
    api::{analysis::AnalysisPhase, rollout::PauseReason},
    rollout::{
        experiment_step::{SetTemplate, StepInputs, build},
        observed::Step,
        plan::ExperimentStart,
    },
};

fn step() -> Value {
    json!({"experiment": {
        "duration": "5m",
        "templates": [
            {"name": "old", "specRef": "stable", "metadata": {"labels": {"role": "old"}}},
            {"name": "new", "specRef": "canary", "replicas": 2, "service": {},
             "metadata": {"labels": {"role": "new"}, "annotations": {"note": "x"}}}
        ],
        "analyses": [{"name": "compare", "templateName": "check", "args": [
            {"name": "hash", "valueFrom": {"podTemplateHashValue": "Latest"}}
        ]}]
    }})
}

/// A Rollout that was updated to `v2` and is at its Experiment.
fn at_the_experiment() -> Cluster {
    let mut cluster = Cluster::new(
        4,
        &json!({"canary": {"steps": [{"setWeight": 25}, step(), {"setWeight": 50}, {"pause": {}}]}}),
    );
    cluster.run();
    cluster.set_image("v2");
    cluster.run();
    assert_eq!(cluster.experiments.len(), 1, "{}", cluster.log);
    cluster
}

fn only(cluster: &Cluster) -> String {
    let open = cluster
        .experiments
        .iter()
        .filter(|(_, view)| !view.terminate);
    let names: Vec<&String> = open.map(|(name, _)| name).collect();
    assert_eq!(names.len(), 1, "{}", cluster.log);
    names[0].clone()
}

#[test]
fn the_step_waits_for_the_experiment() {
    let mut cluster = at_the_experiment();
    let name = only(&cluster);
    let status = cluster.status();
    assert_eq!(
        status.canary.current_experiment.as_deref(),
        Some(name.as_str())
    );
    assert_eq!(name, format!("web-{}-2-1", status.current_pod_hash));
    assert_eq!(
        (status.current_step_index, status.phase.as_str()),
        (Some(1), "Progressing")
    );
    // It may take longer than the progress deadline.
    cluster.advance(5000);
    cluster.run();
    assert_eq!(cluster.status().phase, "Progressing", "{}", cluster.log);
    cluster.end_experiment(&name, AnalysisPhase::Successful);
    cluster.run();
    let status = cluster.status();
    assert_eq!(status.current_step_index, Some(3), "{}", cluster.log);
    assert_eq!(status.canary.current_experiment, None);
    assert!(
        cluster
            .log
            .contains("Rollout step 2/4 completed (experiment)")
    );
}

#[test]
fn a_failed_experiment_aborts_and_a_retry_makes_another_one() {
    for phase in [AnalysisPhase::Failed, AnalysisPhase::Error] {
        let mut cluster = at_the_experiment();
        let first = only(&cluster);
        cluster.end_experiment(&first, phase);
        cluster.run();
        let status = cluster.status();
        assert!(status.abort);
        assert!(
            status
                .message
                .ends_with("Experiment analysis phase is error/failed: simulated"),
            "{}",
            status.message
        );
        assert_eq!(status.canary.current_experiment, None);
        assert_eq!(cluster.sizes()["v2"], 0);
        cluster.patch_status(&json!({"abort": false}));
        cluster.run();
        let second = only(&cluster);
        assert_eq!(second, format!("{first}-1"), "{}", cluster.log);
        assert!(!cluster.status().abort);
    }
}

#[test]
fn it_is_terminated_when_the_update_is_left() {
    let leave: [fn(&mut Cluster); 4] = [
        |cluster| cluster.patch_status(&json!({"abort": true})),
        |cluster| cluster.set_image("v3"),
        |cluster| cluster.patch_status(&json!({"promoteFull": true})),
        |cluster| cluster.patch_status(&json!({"currentStepIndex": 2})),
    ];
    for leave in leave {
        let mut cluster = at_the_experiment();
        let name = only(&cluster);
        leave(&mut cluster);
        cluster.settle();
        assert!(cluster.experiments[&name].terminate, "{}", cluster.log);
        assert_ne!(cluster.status().canary.current_experiment, Some(name));
    }
}

#[test]
fn no_verdict_pauses_until_a_person_asks_for_another_try() {
    let mut cluster = at_the_experiment();
    let first = only(&cluster);
    cluster.end_experiment(&first, AnalysisPhase::Inconclusive);
    cluster.run();
    let status = cluster.status();
    assert_eq!(status.phase, "Paused");
    assert_eq!(
        status.pause_conditions[0].reason,
        PauseReason::InconclusiveExperiment
    );
    cluster.patch_status(&json!({"pauseConditions": null}));
    cluster.run();
    let second = only(&cluster);
    assert_ne!(first, second);
    cluster.end_experiment(&second, AnalysisPhase::Successful);
    cluster.run();
    assert_eq!(
        cluster.status().current_step_index,
        Some(3),
        "{}",
        cluster.log
    );
    assert_eq!(
        cluster.status().pause_conditions[0].reason,
        PauseReason::CanaryPauseStep
    );
}

#[test]
fn an_experiment_that_ended_while_the_process_was_down_is_found() {
    let mut cluster = Cluster::new(4, &json!({"canary": {"steps": [step(), {"pause": {}}]}}));
    cluster.run();
    cluster.set_image("v2");
    for _ in 0..5 {
        // Killed after the effects, before the status.
        cluster.pass(Some(9));
        if let Some(name) = cluster.experiments.keys().next().cloned() {
            cluster.end_experiment(&name, AnalysisPhase::Failed);
        }
    }
    cluster.run();
    assert_eq!(cluster.experiments.len(), 1, "{}", cluster.log);
    assert!(cluster.status().abort, "{}", cluster.log);
}

#[test]
fn finished_experiments_are_kept_within_the_limits() {
    let mut cluster = Cluster::new(1, &json!({"canary": {"steps": [step()]}}));
    cluster.run();
    cluster.edit(|spec| spec["revisionHistoryLimit"] = 2.into());
    for version in 2..9 {
        cluster.set_image(&format!("v{version}"));
        cluster.run();
        let name = only_open(&cluster);
        cluster.end_experiment(&name, AnalysisPhase::Successful);
        cluster.run();
        cluster.advance(60);
        assert_eq!(cluster.status().phase, "Healthy", "{}", cluster.log);
    }
    assert!(
        (1..=3).contains(&cluster.experiments.len()),
        "{:?}",
        cluster.experiments.keys()
    );
}

fn only_open(cluster: &Cluster) -> String {
    let mut open = cluster
        .experiments
        .iter()
        .filter(|(_, view)| !view.is_completed());
    open.next()
        .map(|(name, _)| name.clone())
        .expect("an open Experiment")
}

#[test]
fn the_object_takes_over_templates_and_arguments() {
    let cluster = at_the_experiment();
    let observed = cluster.observe().expect("a valid one");
    let Some(Step::Experiment(step)) = observed.spec.canary().map(|canary| &canary.steps[1]) else {
        panic!("an Experiment");
    };
    let start = ExperimentStart {
        index: 1,
        hash: "h2".to_owned(),
        revision: 2,
        mark: "2/1/x".to_owned(),
        canary_set: "web-h2".to_owned(),
        stable_set: "web-h1".to_owned(),
    };
    let set = |image: &str| {
        let mut pods = template(image);
        pods["metadata"]["labels"]["rollouts-pod-template-hash"] = "h".into();
        let selector = json!({"matchLabels": {"app": "web", "rollouts-pod-template-hash": "h"}});
        SetTemplate::new(&json!({"selector": selector, "template": pods, "minReadySeconds": 3}))
            .expect("a template")
    };
    let object = build(&StepInputs {
        observed: &observed,
        step,
        start: &start,
        canary: &set("v2"),
        stable: &set("v1"),
    })
    .expect("an object");
    assert_eq!(object["metadata"]["name"], "web-h2-2-1");
    assert_eq!(
        object["metadata"]["labels"],
        json!({"rollouts-pod-template-hash": "h2"})
    );
    let (old, new) = (
        &object["spec"]["templates"][0],
        &object["spec"]["templates"][1],
    );
    assert_eq!(old["template"]["spec"]["containers"][0]["image"], "v1");
    assert_eq!(new["template"]["spec"]["containers"][0]["image"], "v2");
    assert_eq!(
        new["template"]["metadata"],
        json!({"labels": {"app": "web", "role": "new"}, "annotations": {"note": "x"}})
    );
    assert_eq!(
        new["selector"]["matchLabels"],
        json!({"app": "web", "role": "new"})
    );
    assert_eq!(
        (&new["replicas"], &new["minReadySeconds"], &new["service"]),
        (&json!(2), &json!(3), &json!({}))
    );
    assert_eq!(
        object["spec"]["analyses"][0]["args"],
        json!([{"name": "hash", "value": "h2"}])
    );
    assert_eq!(object["spec"]["duration"], "5m");
}

#[test]
fn kills_between_any_two_writes_double_nothing() {
    for seed in 0..60 {
        let mut random = StdRng::seed_from_u64(seed);
        let mut cluster = Cluster::new(
            3,
            &json!({"canary": {"steps": [{"setWeight": 34}, step()]}}),
        );
        cluster.run();
        cluster.set_image("v2");
        for _ in 0..60 {
            let crash = random.random_bool(0.4).then(|| random.random_range(0..4));
            cluster.pass(crash);
            cluster.peers();
            let open = cluster
                .experiments
                .values()
                .filter(|view| !view.terminate && !view.is_completed());
            assert!(open.count() <= 1, "seed {seed}\n{}", cluster.log);
            match random.random_range(0..30) {
                0 => cluster.patch_status(&json!({"abort": true})),
                1 => cluster.patch_status(&json!({"abort": false})),
                2 => cluster.set_image(&format!("v{}", random.random_range(2..4))),
                3 => {
                    let open = cluster
                        .experiments
                        .iter()
                        .find(|(_, view)| !view.is_completed());
                    if let Some(name) = open.map(|(name, _)| name.clone()) {
                        cluster.end_experiment(&name, AnalysisPhase::Successful);
                    }
                }
                _ => {}
            }
        }
        for _ in 0..12 {
            cluster.run();
            if cluster.status().abort {
                cluster.patch_status(&json!({"abort": false}));
            }
            let open: Vec<String> = cluster
                .experiments
                .iter()
                .filter(|(_, view)| !view.is_completed())
                .map(|(name, _)| name.clone())
                .collect();
            for name in open {
                cluster.end_experiment(&name, AnalysisPhase::Successful);
            }
        }
        cluster.run();
        assert_eq!(
            cluster.status().phase,
            "Healthy",
            "seed {seed}\n{}",
            cluster.log
        );
    }
}

#[test]
fn wrong_steps_are_refused_with_their_field() {
    for (field, value, expected) in [
        (
            "/templates/0/specRef",
            json!("latest"),
            "templates[0].specRef: Invalid value: must be canary or stable",
        ),
        (
            "/templates/1/name",
            json!("old"),
            "templates[1].name: Duplicate value",
        ),
        (
            "/templates/1/replicas",
            json!(-1),
            "templates[1].replicas: Invalid value",
        ),
        ("/duration", json!("soon"), "duration: Invalid value"),
        (
            "/analyses/0/templateName",
            json!(""),
            "analyses[0].templateName: Required value",
        ),
        (
            "/analyses/0/args",
            json!(7),
            "analyses[0].args: invalid type",
        ),
    ] {
        let mut wrong = step();
        *wrong["experiment"].pointer_mut(field).expect("a field") = value;
        let cluster = Cluster::new(1, &json!({"canary": {"steps": [wrong]}}));
        let error = cluster.observe().err().expect("a refusal").to_string();
        let expected = format!("spec.strategy.canary.steps[0].experiment.{expected}");
        assert!(error.starts_with(&expected), "{error}");
    }
    let mut weighted = step();
    weighted["experiment"]["templates"][0]["weight"] = 5.into();
    let cluster = Cluster::new(1, &json!({"canary": {"steps": [weighted]}}));
    let error = cluster.observe().err().expect("a refusal").to_string();
    assert!(
        error.contains(
            "templates[0].weight: Invalid value: Experiment template weight is only available"
        ),
        "{error}"
    );
}
