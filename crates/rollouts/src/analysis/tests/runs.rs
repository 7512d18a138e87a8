//! Whole runs: limits, intervals, errors. How runs end otherwise is in [`super::ends`].

use jiff::SignedDuration;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::simulation::{RunSimulation, script};
use crate::api::analysis::{AnalysisPhase, AnalysisRunStatus};

pub(super) const HOUR: SignedDuration = SignedDuration::from_hours(1);

pub(super) fn metric(name: &str, rules: Value) -> Value {
    let mut metric = json!({
        "name": name,
        "provider": { "prometheus": { "address": "http://prometheus", "query": "up" } },
    });
    for (key, value) in rules.as_object().expect("rules") {
        metric[key] = value.clone();
    }
    metric
}

pub(super) fn run(spec: Value, patterns: &str) -> RunSimulation {
    let mut world = RunSimulation::new(spec, script(patterns));
    world.run_for(HOUR);
    world
}

#[test]
fn one_good_measurement_is_enough_without_count_and_interval() {
    let world = run(json!({ "metrics": [metric("m", json!({}))] }), "m=s");
    insta::assert_snapshot!(world.log);
}

#[test]
fn a_count_of_measurements_is_taken_at_the_interval() {
    let spec = json!({ "metrics": [metric("m", json!({ "count": "3", "interval": "20s", "initialDelay": "1m" }))] });
    insta::assert_snapshot!(run(spec, "m=s").log);
}

#[test]
fn one_failure_beyond_the_limit_ends_the_run_and_the_other_metrics() {
    let spec = json!({ "metrics": [
        metric("bad", json!({ "interval": "10s", "failureLimit": 1 })),
        metric("good", json!({ "interval": "15s" })),
    ] });
    let world = run(spec, "bad=sff good=s");
    insta::assert_snapshot!(world.log);
    let status = world.status();
    assert_eq!(
        (
            status.run_summary.count,
            status.run_summary.failed,
            status.run_summary.successful
        ),
        (2, 1, 1)
    );
}

#[test]
fn errors_are_retried_after_ten_seconds_and_more_than_four_in_a_row_end_the_run() {
    let spec = json!({ "metrics": [metric("m", json!({ "count": 1, "interval": "5m" }))] });
    let world = run(spec, "m=e");
    insta::assert_snapshot!(world.log);
    let result = &world.status().metric_results[0];
    assert_eq!(
        (result.count, result.error, result.consecutive_error),
        (0, 5, 5)
    );
}

#[test]
fn an_error_between_measurements_does_not_count_and_is_forgotten() {
    let spec = json!({ "metrics": [metric("m", json!({ "count": 2, "interval": "1m" }))] });
    insta::assert_snapshot!(run(spec, "m=eses").log);
}

#[test]
fn an_error_limit_of_zero_takes_no_error() {
    let spec = json!({ "metrics": [metric("m", json!({ "consecutiveErrorLimit": 0 }))] });
    let status = run(spec, "m=es").status();
    assert_eq!(status.phase, AnalysisPhase::Error);
    assert_eq!(
        status.message,
        "Metric \"m\" assessed Error due to consecutiveErrors (1) > consecutiveErrorLimit (0): \
         \"Error Message: connection refused\""
    );
}

#[test]
fn inconclusive_measurements_beyond_the_limit_end_the_run_inconclusive() {
    let spec =
        json!({ "metrics": [metric("m", json!({ "interval": "10s", "inconclusiveLimit": 1 }))] });
    insta::assert_snapshot!(run(spec, "m=isi").log);
}

#[test]
fn the_worst_metric_gives_the_verdict() {
    let spec = json!({ "metrics": [
        metric("a", json!({ "consecutiveErrorLimit": 0 })),
        metric("b", json!({})),
        metric("c", json!({})),
    ] });
    for (patterns, phase) in [
        ("a=s b=s c=s", AnalysisPhase::Successful),
        ("a=s b=i c=s", AnalysisPhase::Inconclusive),
        ("a=e b=i c=s", AnalysisPhase::Error),
        ("a=e b=i c=f", AnalysisPhase::Failed),
    ] {
        assert_eq!(
            run(spec.clone(), patterns).status().phase,
            phase,
            "{patterns}"
        );
    }
}

#[test]
fn a_dry_run_metric_is_measured_and_has_no_say() {
    let spec = json!({
        "metrics": [metric("watched", json!({})), metric("real", json!({}))],
        "dryRun": [{ "metricName": "watch.*" }],
    });
    let world = run(spec, "watched=f real=s");
    insta::assert_snapshot!(world.log);
    let status = world.status();
    let watched = status
        .metric_results
        .iter()
        .find(|result| result.name == "watched")
        .expect("a result");
    assert_eq!(
        watched.message,
        "Metric assessed Failed due to failed (1) > failureLimit (0)"
    );
    assert_eq!(status.dry_run_summary.expect("a summary").failed, 1);
    assert_eq!(
        (status.run_summary.count, status.run_summary.successful),
        (1, 1)
    );
}

#[test]
fn only_dry_run_metrics_make_a_successful_run() {
    let spec = json!({
        "metrics": [metric("m", json!({}))],
        "dryRun": [{ "metricName": ".*" }],
    });
    assert_eq!(run(spec, "m=f").status().phase, AnalysisPhase::Successful);
}

#[test]
fn terminate_ends_an_endless_run_with_what_was_measured() {
    let spec = json!({ "metrics": [metric("m", json!({ "interval": "10s" }))] });
    let mut world = RunSimulation::new(spec, script("m=s"));
    world.run_for(SignedDuration::from_secs(35));
    world.edit(|spec| spec["terminate"] = true.into());
    world.run_for(HOUR);
    insta::assert_snapshot!(world.log);
}

#[test]
fn a_streak_of_successes_ends_the_metric_early() {
    let spec = json!({ "metrics": [metric("m", json!({
        "interval": "10s", "count": 10, "failureLimit": 5, "consecutiveSuccessLimit": 3
    }))] });
    let result = run(spec, "m=sfsss").status().metric_results.remove(0);
    assert_eq!((result.phase, result.count), (AnalysisPhase::Successful, 5));
}

#[test]
fn a_streak_that_never_comes_is_inconclusive_or_failed_by_the_failure_limit() {
    for (limit, phase) in [
        (3, AnalysisPhase::Inconclusive),
        (-1, AnalysisPhase::Failed),
    ] {
        let spec = json!({ "metrics": [metric("m", json!({
            "interval": "10s", "count": 5, "failureLimit": limit, "consecutiveSuccessLimit": 2
        }))] });
        let status = run(spec, "m=sfsfs").status();
        assert_eq!(status.phase, phase, "failureLimit {limit}");
        assert!(
            status
                .message
                .ends_with("consecutiveSuccess (1) < consecutiveSuccessLimit (2)"),
            "{}",
            status.message
        );
    }
}

#[test]
fn ten_measurements_are_kept_or_as_many_as_a_rule_says() {
    let spec = json!({
        "metrics": [
            metric("few", json!({ "interval": "10s", "count": 30 })),
            metric("many", json!({ "interval": "10s", "count": 30 })),
        ],
        "measurementRetention": [{ "metricName": "^many$", "limit": 25 }],
    });
    let status = run(spec, "few=s many=s").status();
    let kept = |name: &str| {
        let result = status
            .metric_results
            .iter()
            .find(|result| result.name == name)
            .expect("a result");
        (result.count, result.measurements.len())
    };
    assert_eq!((kept("few"), kept("many")), ((30, 10), (30, 25)));
}

#[test]
fn a_restart_in_the_middle_of_a_measurement_measures_again() {
    let spec = json!({ "metrics": [metric("m", json!({ "count": 3, "interval": "10s" }))] });
    let mut world = RunSimulation::new(spec, script("m=s"));
    world.pass();
    world.restart();
    world.run_for(HOUR);
    let status = world.status();
    assert_eq!(
        (status.phase, status.metric_results[0].count),
        (AnalysisPhase::Successful, 3)
    );
}

/// What must hold of every status.
fn check_counts(status: &AnalysisRunStatus) {
    for result in &status.metric_results {
        assert_eq!(
            result.count,
            result.successful + result.failed + result.inconclusive
        );
        assert!(
            result.consecutive_error <= result.error
                && result.consecutive_success <= result.successful
        );
        assert!(result.measurements.len() <= 10);
    }
    assert_eq!(status.completed_at.is_some(), status.phase.is_completed());
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    /// Any sequence of answers, any limits, kills at any moment: the run ends within its count, nothing
    /// is counted twice, and the verdict is the one that the counters call for.
    #[test]
    fn every_run_ends_with_the_verdict_of_its_counters(
        answers in "[sfei]{1,12}",
        count in 1_i32..8,
        failure_limit in 0_i32..4,
        inconclusive_limit in 0_i32..4,
        error_limit in 0_i32..4,
        kills in proptest::collection::vec(any::<bool>(), 12),
    ) {
        let limit = |limit: i32| limit.min(count);
        let spec = json!({ "metrics": [metric("m", json!({
            "count": count, "interval": "10s", "failureLimit": limit(failure_limit),
            "inconclusiveLimit": limit(inconclusive_limit), "consecutiveErrorLimit": error_limit,
        }))] });
        let mut world = RunSimulation::new(spec, script(&format!("m={answers}s")));
        for kill in kills {
            world.pass();
            if kill {
                world.restart();
            }
            world.land();
            check_counts(&world.status());
            world.now += SignedDuration::from_secs(3);
        }
        world.run_for(HOUR);
        let status = world.status();
        check_counts(&status);
        let result = &status.metric_results[0];
        prop_assert!(result.count <= count);
        let verdict = if result.consecutive_error > error_limit {
            AnalysisPhase::Error
        } else if result.inconclusive > limit(inconclusive_limit) {
            AnalysisPhase::Inconclusive
        } else if result.failed > limit(failure_limit) {
            AnalysisPhase::Failed
        } else {
            prop_assert_eq!(result.count, count);
            AnalysisPhase::Successful
        };
        prop_assert_eq!(&result.phase, &verdict);
        prop_assert_eq!(&status.phase, &verdict);
    }
}
