//! What an Experiment does, rule by rule.

use serde_json::json;

use super::cluster::{Cluster, template};
use crate::api::{analysis::AnalysisPhase, experiment::TemplatePhase};

#[test]
fn it_runs_for_its_duration_and_takes_everything_down() {
    let mut cluster = Cluster::pair(Some("60s"), &["judge"]);
    cluster.settle();
    assert_eq!(cluster.pods(), [2, 2]);
    assert_eq!(cluster.phase(), AnalysisPhase::Pending);
    assert!(
        cluster.runs.is_empty(),
        "no analysis before all templates are available"
    );
    cluster.run();
    assert_eq!(cluster.phase(), AnalysisPhase::Running);
    assert_eq!(
        cluster.services.keys().collect::<Vec<_>>(),
        ["ab-a", "ab-b"]
    );
    assert_eq!(cluster.runs.keys().collect::<Vec<_>>(), ["ab-judge"]);
    let status = cluster.status();
    assert_eq!(status.template_statuses[0].service_name, "ab-a");
    assert_eq!(
        status.template_statuses[0].pod_template_hash,
        cluster.replica_sets["ab-a"].hash
    );
    cluster.advance(60);
    cluster.run();
    assert_eq!(
        cluster.phase(),
        AnalysisPhase::Running,
        "the end still belongs to the duration"
    );
    cluster.advance(1);
    cluster.run();
    assert_eq!(cluster.phase(), AnalysisPhase::Successful);
    assert_eq!(cluster.pods(), [2, 2], "the pods stay for a while");
    assert!(
        cluster.runs["ab-judge"].terminate,
        "nobody waits for it any more"
    );
    cluster.advance(6);
    cluster.run();
    assert_eq!(cluster.pods(), [0, 0]);
    assert!(cluster.services.is_empty());
    let text = &cluster.log;
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
    let mut cluster = Cluster::new(&json!({"templates": [template("a"), same]}));
    cluster.run();
    assert_ne!(
        cluster.replica_sets["ab-a"].hash,
        cluster.replica_sets["ab-b"].hash
    );
}

#[test]
fn a_bad_analysis_ends_it_at_once() {
    for (phase, expected) in [
        (AnalysisPhase::Failed, AnalysisPhase::Failed),
        (AnalysisPhase::Error, AnalysisPhase::Error),
        (AnalysisPhase::Inconclusive, AnalysisPhase::Inconclusive),
    ] {
        let mut cluster = Cluster::pair(None, &["good", "bad"]);
        cluster.run();
        cluster.end_run("ab-bad", phase);
        cluster.run();
        assert_eq!(cluster.phase(), expected);
        assert_eq!(cluster.status().message, "simulated");
        assert!(cluster.runs["ab-good"].terminate);
        cluster.advance(6);
        cluster.run();
        assert_eq!(cluster.pods(), [0, 0]);
    }
}

#[test]
fn required_analyses_end_it_early_or_late() {
    let mut cluster = Cluster::pair(Some("60s"), &["must!", "other"]);
    cluster.run();
    cluster.end_run("ab-must", AnalysisPhase::Successful);
    cluster.run();
    assert_eq!(cluster.phase(), AnalysisPhase::Successful);
    assert_eq!(cluster.status().message, "Required AnalysisRuns completed");
    assert!(cluster.runs["ab-other"].terminate);

    let mut cluster = Cluster::pair(Some("60s"), &["must!"]);
    cluster.run();
    cluster.advance(70);
    cluster.run();
    assert_eq!(
        cluster.phase(),
        AnalysisPhase::Running,
        "it waits for what is required"
    );
    cluster.end_run("ab-must", AnalysisPhase::Failed);
    cluster.run();
    assert_eq!(cluster.phase(), AnalysisPhase::Failed);
}

#[test]
fn a_person_ends_it() {
    let mut cluster = Cluster::pair(None, &["judge"]);
    cluster.run();
    cluster.root["spec"]["terminate"] = true.into();
    cluster.run();
    assert_eq!(cluster.phase(), AnalysisPhase::Successful);
    assert!(cluster.runs["ab-judge"].terminate);
    // What was required and never measured is no success.
    let mut cluster = Cluster::pair(None, &["must!"]);
    cluster.root["spec"]["terminate"] = true.into();
    cluster.run();
    assert_eq!(cluster.phase(), AnalysisPhase::Inconclusive);
    assert!(cluster.runs.is_empty());
}

#[test]
fn pods_that_do_not_come_up_fail_it() {
    let mut cluster = Cluster::pair(None, &["judge"]);
    cluster.root["spec"]["progressDeadlineSeconds"] = 30.into();
    cluster.hanging.push("ab-b".to_owned());
    cluster.run();
    cluster.advance(29);
    cluster.run();
    assert_eq!(cluster.phase(), AnalysisPhase::Pending);
    cluster.advance(3);
    cluster.run();
    assert_eq!(cluster.phase(), AnalysisPhase::Failed);
    let status = cluster.status();
    assert_eq!(
        status.message,
        "Template 'b' exceeded its progressDeadlineSeconds (30)"
    );
    assert_eq!(status.template_statuses[1].status, TemplatePhase::Failed);
    assert_eq!(
        status.template_statuses[0].status,
        TemplatePhase::Successful
    );
    assert!(cluster.runs.is_empty());
}

#[test]
fn a_missing_analysis_template_is_an_error() {
    let mut cluster = Cluster::pair(None, &["judge"]);
    cluster.root["spec"]["analyses"][0]["templateName"] = "absent".into();
    cluster.run();
    assert_eq!(cluster.phase(), AnalysisPhase::Error);
    assert_eq!(
        cluster.status().message,
        "Failed to create AnalysisRun for analysis 'judge': AnalysisTemplate 'absent' not found"
    );
}

#[test]
fn arguments_name_templates_and_times() {
    let mut cluster = Cluster::pair(Some("1m"), &["judge"]);
    let value = "{{ templates.b.podTemplateHash }} {{templates.b.replicaset.name}} {{experiment.availableAt}} {{experiment.finishedAt}}";
    cluster.root["spec"]["analyses"][0]["args"][0]["value"] = value.into();
    cluster.settle();
    for name in ["ab-a", "ab-b"] {
        cluster.count(name);
    }
    // The pass after the one that marks the Experiment available.
    while cluster.status().available_at.is_none() {
        cluster.pass(None);
    }
    let observed = cluster.observe().expect("a valid one");
    let run = observed.wanted_runs["judge"].as_ref().expect("a run");
    let hash = &cluster.replica_sets["ab-b"].hash;
    assert_eq!(
        run.spec.args[0].value.as_deref(),
        Some(format!("{hash} ab-b 2026-01-01T00:00:00Z 2026-01-01T00:01:00Z").as_str())
    );
    cluster.root["spec"]["analyses"][0]["args"][0]["value"] =
        "{{templates.c.podTemplateHash}}".into();
    cluster.run();
    assert_eq!(cluster.phase(), AnalysisPhase::Error);
    assert!(
        cluster
            .status()
            .message
            .ends_with("failed to resolve {{templates.c.podTemplateHash}}"),
        "{}",
        cluster.status().message
    );
}

#[test]
fn a_retry_runs_the_analysis_again() {
    let mut cluster = Cluster::pair(None, &["judge!"]);
    cluster.run();
    cluster.end_run("ab-judge", AnalysisPhase::Failed);
    cluster.run();
    assert_eq!(cluster.phase(), AnalysisPhase::Failed);
    cluster.advance(30);
    // As `kubectl argo rollouts retry experiment` does.
    cluster.root["status"] = serde_json::Value::Null;
    cluster.run();
    assert_eq!(cluster.pods(), [2, 2]);
    assert_eq!(cluster.phase(), AnalysisPhase::Running);
    assert_eq!(cluster.status().analysis_runs[0].analysis_run, "ab-judge.1");
    cluster.end_run("ab-judge.1", AnalysisPhase::Successful);
    cluster.run();
    assert_eq!(cluster.phase(), AnalysisPhase::Successful);
}

#[test]
fn a_run_that_ended_while_the_process_was_down_is_found() {
    let mut cluster = Cluster::pair(None, &["judge!"]);
    while cluster.runs.is_empty() {
        // Each try is killed after its effects.
        cluster.pass(Some(9));
        let names: Vec<String> = cluster.replica_sets.keys().cloned().collect();
        for name in &names {
            cluster.count(name);
        }
        if cluster.runs.is_empty() {
            cluster.pass(None);
            if !cluster.runs.is_empty() {
                // The start was recorded; forget it, as a kill would have.
                cluster.root["status"]["analysisRuns"] = json!([]);
            }
        }
    }
    cluster.end_run("ab-judge", AnalysisPhase::Failed);
    cluster.run();
    assert_eq!(cluster.runs.len(), 1, "{}", cluster.log);
    assert_eq!(cluster.phase(), AnalysisPhase::Failed);
}

#[test]
fn a_foreign_service_is_left_alone() {
    let mut cluster = Cluster::pair(None, &[]);
    cluster.services.insert(
        "ab-b".to_owned(),
        crate::rollout::observed::ServiceView::default(),
    );
    cluster.run();
    assert_eq!(cluster.phase(), AnalysisPhase::Error);
    assert!(
        cluster
            .status()
            .message
            .contains("does not belong to the Experiment")
    );
    cluster.advance(6);
    cluster.run();
    assert!(cluster.services.contains_key("ab-b"));
    assert_eq!(cluster.pods(), [0, 0]);
}

#[test]
fn a_template_that_is_taken_out_of_the_manifest_loses_its_pods() {
    let mut cluster = Cluster::pair(None, &[]);
    cluster.run();
    cluster.root["spec"]["templates"] = json!([template("a")]);
    cluster.run();
    assert_eq!(cluster.pods(), [2, 0]);
    assert_eq!(cluster.status().template_statuses.len(), 1);
    assert_eq!(cluster.phase(), AnalysisPhase::Running);
}
