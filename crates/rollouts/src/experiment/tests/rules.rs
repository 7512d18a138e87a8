//! What an Experiment does, rule by rule.

use serde_json::json;

use super::world::{World, template};
use crate::api::{analysis::AnalysisPhase, experiment::TemplatePhase};

#[test]
fn it_runs_for_its_duration_and_takes_everything_down() {
    let mut world = World::pair(Some("60s"), &["judge"]);
    world.settle();
    assert_eq!(world.pods(), [2, 2]);
    assert_eq!(world.phase(), AnalysisPhase::Pending);
    assert!(
        world.runs.is_empty(),
        "no analysis before all templates are available"
    );
    world.run();
    assert_eq!(world.phase(), AnalysisPhase::Running);
    assert_eq!(world.services.keys().collect::<Vec<_>>(), ["ab-a", "ab-b"]);
    assert_eq!(world.runs.keys().collect::<Vec<_>>(), ["ab-judge"]);
    let status = world.status();
    assert_eq!(status.template_statuses[0].service_name, "ab-a");
    assert_eq!(
        status.template_statuses[0].pod_template_hash,
        world.replica_sets["ab-a"].hash
    );
    world.advance(60);
    world.run();
    assert_eq!(
        world.phase(),
        AnalysisPhase::Running,
        "the end still belongs to the duration"
    );
    world.advance(1);
    world.run();
    assert_eq!(world.phase(), AnalysisPhase::Successful);
    assert_eq!(world.pods(), [2, 2], "the pods stay for a while");
    assert!(
        world.runs["ab-judge"].terminate,
        "nobody waits for it any more"
    );
    world.advance(6);
    world.run();
    assert_eq!(world.pods(), [0, 0]);
    assert!(world.services.is_empty());
    let text = &world.log;
    for line in [
        "event: TemplateProgressing: Template 'a' transitioned from  -> Progressing",
        "event: TemplateRunning: Template 'a' transitioned from Progressing -> Running",
        "event: ExperimentRunning: Experiment transitioned from Pending -> Running",
        "event: ExperimentSuccessful: Experiment transitioned from Running -> Successful",
        "event: AnalysisRunTerminating: Terminating judge (ab-judge)",
        "event: ScalingReplicaSet: Scaled down ReplicaSet ab-a from 2 to 0",
    ] {
        assert_eq!(text.matches(line).count(), 1, "{line}\n{text}");
    }
}

#[test]
fn templates_with_equal_pods_have_different_hashes() {
    let mut same = template("a");
    same["name"] = "b".into();
    let mut world = World::new(&json!({"templates": [template("a"), same]}));
    world.run();
    assert_ne!(
        world.replica_sets["ab-a"].hash,
        world.replica_sets["ab-b"].hash
    );
}

#[test]
fn a_bad_analysis_ends_it_at_once() {
    for (phase, expected) in [
        (AnalysisPhase::Failed, AnalysisPhase::Failed),
        (AnalysisPhase::Error, AnalysisPhase::Error),
        (AnalysisPhase::Inconclusive, AnalysisPhase::Inconclusive),
    ] {
        let mut world = World::pair(None, &["good", "bad"]);
        world.run();
        world.end_run("ab-bad", phase);
        world.run();
        assert_eq!(world.phase(), expected);
        assert_eq!(world.status().message, "simulated");
        assert!(world.runs["ab-good"].terminate);
        world.advance(6);
        world.run();
        assert_eq!(world.pods(), [0, 0]);
    }
}

#[test]
fn required_analyses_end_it_early_or_late() {
    let mut world = World::pair(Some("60s"), &["must!", "other"]);
    world.run();
    world.end_run("ab-must", AnalysisPhase::Successful);
    world.run();
    assert_eq!(world.phase(), AnalysisPhase::Successful);
    assert_eq!(world.status().message, "Required AnalysisRuns completed");
    assert!(world.runs["ab-other"].terminate);

    let mut world = World::pair(Some("60s"), &["must!"]);
    world.run();
    world.advance(70);
    world.run();
    assert_eq!(
        world.phase(),
        AnalysisPhase::Running,
        "it waits for what is required"
    );
    world.end_run("ab-must", AnalysisPhase::Failed);
    world.run();
    assert_eq!(world.phase(), AnalysisPhase::Failed);
}

#[test]
fn a_person_ends_it() {
    let mut world = World::pair(None, &["judge"]);
    world.run();
    world.root["spec"]["terminate"] = true.into();
    world.run();
    assert_eq!(world.phase(), AnalysisPhase::Successful);
    assert!(world.runs["ab-judge"].terminate);
    // What was required and never measured is no success.
    let mut world = World::pair(None, &["must!"]);
    world.root["spec"]["terminate"] = true.into();
    world.run();
    assert_eq!(world.phase(), AnalysisPhase::Inconclusive);
    assert!(world.runs.is_empty());
}

#[test]
fn pods_that_do_not_come_up_fail_it() {
    let mut world = World::pair(None, &["judge"]);
    world.root["spec"]["progressDeadlineSeconds"] = 30.into();
    world.hanging.push("ab-b".to_owned());
    world.run();
    world.advance(29);
    world.run();
    assert_eq!(world.phase(), AnalysisPhase::Pending);
    world.advance(3);
    world.run();
    assert_eq!(world.phase(), AnalysisPhase::Failed);
    let status = world.status();
    assert_eq!(
        status.message,
        "Template 'b' exceeded its progressDeadlineSeconds (30)"
    );
    assert_eq!(status.template_statuses[1].status, TemplatePhase::Failed);
    assert_eq!(
        status.template_statuses[0].status,
        TemplatePhase::Successful
    );
    assert!(world.runs.is_empty());
}

#[test]
fn a_missing_analysis_template_is_an_error() {
    let mut world = World::pair(None, &["judge"]);
    world.root["spec"]["analyses"][0]["templateName"] = "absent".into();
    world.run();
    assert_eq!(world.phase(), AnalysisPhase::Error);
    assert_eq!(
        world.status().message,
        "Failed to create AnalysisRun for analysis 'judge': AnalysisTemplate 'absent' not found"
    );
}

#[test]
fn arguments_name_templates_and_times() {
    let mut world = World::pair(Some("1m"), &["judge"]);
    let value = "{{ templates.b.podTemplateHash }} {{templates.b.replicaset.name}} {{experiment.availableAt}} {{experiment.finishedAt}}";
    world.root["spec"]["analyses"][0]["args"][0]["value"] = value.into();
    world.settle();
    for name in ["ab-a", "ab-b"] {
        world.count(name);
    }
    // The pass after the one that marks the Experiment available.
    while world.status().available_at.is_none() {
        world.pass(None);
    }
    let observed = world.observe().expect("a valid one");
    let run = observed.wanted_runs["judge"].as_ref().expect("a run");
    let hash = &world.replica_sets["ab-b"].hash;
    assert_eq!(
        run.spec.args[0].value.as_deref(),
        Some(format!("{hash} ab-b 2026-01-01T00:00:00Z 2026-01-01T00:01:00Z").as_str())
    );
    world.root["spec"]["analyses"][0]["args"][0]["value"] =
        "{{templates.c.podTemplateHash}}".into();
    world.run();
    assert_eq!(world.phase(), AnalysisPhase::Error);
    assert!(
        world
            .status()
            .message
            .ends_with("failed to resolve {{templates.c.podTemplateHash}}"),
        "{}",
        world.status().message
    );
}

#[test]
fn a_retry_judges_anew() {
    let mut world = World::pair(None, &["judge!"]);
    world.run();
    world.end_run("ab-judge", AnalysisPhase::Failed);
    world.run();
    assert_eq!(world.phase(), AnalysisPhase::Failed);
    world.advance(30);
    // As `kubectl argo rollouts retry experiment` does.
    world.root["status"] = serde_json::Value::Null;
    world.run();
    assert_eq!(world.pods(), [2, 2]);
    assert_eq!(world.phase(), AnalysisPhase::Running);
    assert_eq!(world.status().analysis_runs[0].analysis_run, "ab-judge.1");
    world.end_run("ab-judge.1", AnalysisPhase::Successful);
    world.run();
    assert_eq!(world.phase(), AnalysisPhase::Successful);
}

#[test]
fn a_run_that_ended_while_the_process_was_down_is_found() {
    let mut world = World::pair(None, &["judge!"]);
    while world.runs.is_empty() {
        // Each try is killed after its effects.
        world.pass(Some(9));
        let names: Vec<String> = world.replica_sets.keys().cloned().collect();
        for name in &names {
            world.count(name);
        }
        if world.runs.is_empty() {
            world.pass(None);
            if !world.runs.is_empty() {
                // The start was recorded; forget it, as a kill would have.
                world.root["status"]["analysisRuns"] = json!([]);
            }
        }
    }
    world.end_run("ab-judge", AnalysisPhase::Failed);
    world.run();
    assert_eq!(world.runs.len(), 1, "{}", world.log);
    assert_eq!(world.phase(), AnalysisPhase::Failed);
}

#[test]
fn a_foreign_service_is_left_alone() {
    let mut world = World::pair(None, &[]);
    world.services.insert(
        "ab-b".to_owned(),
        crate::rollout::observed::ServiceView::default(),
    );
    world.run();
    assert_eq!(world.phase(), AnalysisPhase::Error);
    assert!(
        world
            .status()
            .message
            .contains("does not belong to the Experiment")
    );
    world.advance(6);
    world.run();
    assert!(world.services.contains_key("ab-b"));
    assert_eq!(world.pods(), [0, 0]);
}

#[test]
fn a_template_that_is_taken_out_of_the_manifest_loses_its_pods() {
    let mut world = World::pair(None, &[]);
    world.run();
    world.root["spec"]["templates"] = json!([template("a")]);
    world.run();
    assert_eq!(world.pods(), [2, 0]);
    assert_eq!(world.status().template_statuses.len(), 1);
    assert_eq!(world.phase(), AnalysisPhase::Running);
}
