//! Ends of runs that no verdict brought: by request, by a wrong manifest, by time.

use std::collections::HashSet;

use jiff::Timestamp;
use serde_json::json;

use super::{
    runs::{HOUR, metric, run},
    simulation::{RunSimulation, script},
};
use crate::{
    analysis::{
        observe::observe,
        plan::{Delivery, Launch, MeasureOutcome, decide},
    },
    api::analysis::{AnalysisPhase, Measurement},
};

#[test]
fn terminate_before_the_first_measurement_is_a_success() {
    let spec =
        json!({ "terminate": true, "metrics": [metric("m", json!({ "initialDelay": "1h" }))] });
    let world = run(spec, "m=f");
    let status = world.status();
    assert_eq!(
        (status.phase, status.message.as_str()),
        (AnalysisPhase::Successful, "Run Terminated")
    );
    assert!(status.metric_results.is_empty());
}

#[test]
fn a_run_is_deleted_when_its_time_to_live_is_over() {
    for (ttl, pattern, seconds) in [
        (json!({ "secondsAfterCompletion": 60 }), "m=s", 60),
        (
            json!({ "secondsAfterCompletion": 60, "secondsAfterSuccess": 30 }),
            "m=s",
            30,
        ),
        (
            json!({ "secondsAfterCompletion": 60, "secondsAfterFailure": 5 }),
            "m=f",
            5,
        ),
        (json!({ "secondsAfterFailure": 5 }), "m=f", 5),
    ] {
        let spec = json!({ "metrics": [metric("m", json!({}))], "ttlStrategy": ttl });
        let mut world = RunSimulation::new(spec, script(pattern));
        let start = world.now;
        world.run_for(HOUR);
        assert!(world.deleted, "{ttl}");
        assert_eq!(world.now.duration_since(start).as_secs(), seconds, "{ttl}");
    }
    let spec =
        json!({ "metrics": [metric("m", json!({}))], "ttlStrategy": { "secondsAfterFailure": 5 } });
    assert!(!run(spec, "m=s").deleted);
}

#[test]
fn a_run_that_cannot_be_carried_out_says_why() {
    for (spec, message) in [
        (
            json!({ "metrics": [] }),
            "Analysis spec invalid: no metrics specified",
        ),
        (json!({}), "Analysis spec invalid: no metrics specified"),
        (
            json!({ "metrics": "none" }),
            "Analysis spec invalid: spec.metrics: invalid type: string \"none\", expected a sequence",
        ),
        (
            json!({ "metrics": [metric("m", json!({ "failureCondition": "result > {{args.most}}" }))] }),
            "Unable to resolve metric arguments: failed to resolve {{args.most}}",
        ),
        (
            json!({ "metrics": [{ "name": "m", "provider": { "plugin": { "acme/x": {} } } }] }),
            "Analysis spec invalid: metrics[0]: provider.plugin: provider plugins are not supported; use one of the built-in providers or a job",
        ),
    ] {
        let world = run(spec, "m=s");
        let status = world.status();
        assert_eq!(
            (status.phase, status.message.as_str()),
            (AnalysisPhase::Error, message)
        );
        assert!(status.completed_at.is_some());
        assert!(
            world.log.contains(&format!(
                "Event AnalysisRunError: Analysis Completed. Result: Error. {message}"
            )),
            "{}",
            world.log
        );
    }
}

#[test]
fn a_secret_that_is_missing_ends_the_run_in_an_error() {
    let spec = json!({ "metrics": [metric("m", json!({}))] });
    let reason = "secrets \"token\" not found";
    let mut world = RunSimulation::new(
        spec,
        Box::new(move |_, _| MeasureOutcome::Unresolved(reason.to_owned())),
    );
    world.run_for(HOUR);
    assert_eq!(
        world.status().message,
        format!("Unable to resolve metric arguments: {reason}")
    );
}

#[test]
fn a_status_of_a_wrong_form_is_replaced_by_an_error() {
    let mut world = RunSimulation::new(
        json!({ "metrics": [metric("m", json!({}))] }),
        script("m=s"),
    );
    world.write_status(json!({ "phase": "Running", "metricResults": "many" }));
    world.run_for(HOUR);
    let status = world.status();
    assert_eq!(status.phase, AnalysisPhase::Error);
    assert!(
        status
            .message
            .starts_with("Analysis spec invalid: status.metricResults:"),
        "{}",
        status.message
    );
}

#[test]
fn a_completed_run_is_left_alone() {
    let spec = json!({ "metrics": [metric("m", json!({ "interval": "1s" }))] });
    let mut world = RunSimulation::new(spec, script("m=f"));
    let old = json!({ "phase": "Successful", "completedAt": "2026-01-01T11:00:00Z", "future": { "field": 1 } });
    world.write_status(old.clone());
    world.run_for(HOUR);
    assert_eq!(world.root().status_value(), old);
    assert_eq!(world.passes, 1);
}

#[test]
fn a_job_that_is_just_being_made_is_ended_before_its_run() {
    let job = json!({ "name": "m", "provider": { "job": { "spec": { "template": {} } } } });
    let world = RunSimulation::new(
        json!({ "terminate": true, "metrics": [job] }),
        script("m=s"),
    );
    let now: Timestamp = world.now;
    let mut situation = observe(&world.root(), &world.specs).situation;
    situation.in_flight = HashSet::from(["m".to_owned()]);
    let waiting = decide(&situation, now);
    assert_eq!(waiting.status.phase, AnalysisPhase::Running);
    // The Job is there: it is ended, and then so is the run.
    situation.in_flight.clear();
    situation.delivered.push(Delivery {
        metric: "m".to_owned(),
        outcome: MeasureOutcome::Taken {
            measurement: Measurement {
                phase: AnalysisPhase::Running,
                resume_at: Some(k8s_openapi::apimachinery::pkg::apis::meta::v1::Time(now)),
                ..Measurement::default()
            },
            metadata: std::collections::BTreeMap::new(),
        },
    });
    let ending = decide(&situation, now);
    assert_eq!(ending.status.phase, AnalysisPhase::Running);
    assert!(ending.launches().all(Launch::ends), "{:?}", ending.plan);
}
