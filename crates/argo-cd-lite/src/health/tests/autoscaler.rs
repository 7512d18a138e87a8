//! Autoscalers: a broken condition wins wherever it stands.

use serde_json::{Value, json};

use super::{super::Code, health};

const V2: &str = "autoscaling/v2/HorizontalPodAutoscaler";

fn conditions(list: &[(&str, &str, &str)]) -> Value {
    let list: Vec<Value> = list
        .iter()
        .map(|(type_, status, reason)| {
            json!({"type": type_, "status": status, "reason": reason, "message": format!("{reason}!")})
        })
        .collect();
    json!({"status": {"conditions": list}})
}

#[test]
fn every_failure_is_found_behind_working_conditions() {
    let failures = [
        ("AbleToScale", "FailedGetScale"),
        ("AbleToScale", "FailedUpdateScale"),
        ("ScalingActive", "FailedGetResourceMetric"),
        ("ScalingActive", "FailedGetObjectMetric"),
        ("ScalingActive", "FailedGetPodsMetric"),
        ("ScalingActive", "FailedGetExternalMetric"),
        ("ScalingActive", "FailedComputeMetricsReplicas"),
        ("ScalingActive", "InvalidSelector"),
    ];
    for (type_, reason) in failures {
        let body = conditions(&[
            ("AbleToScale", "True", "ReadyForNewScale"),
            (type_, "False", reason),
        ]);
        let expected = Some((Code::Degraded, format!("{reason}!")));
        assert_eq!(health(V2, &body), expected, "{reason}");
    }
}

#[test]
fn an_autoscaler_that_is_off_or_in_range_is_healthy() {
    let disabled = conditions(&[
        ("AbleToScale", "True", "SucceededGetScale"),
        ("ScalingActive", "False", "ScalingDisabled"),
    ]);
    let in_range = conditions(&[
        ("AbleToScale", "True", "ReadyForNewScale"),
        ("ScalingActive", "True", "ValidMetricFound"),
        ("ScalingLimited", "False", "DesiredWithinRange"),
    ]);
    let limited = conditions(&[("ScalingLimited", "True", "TooFewReplicas")]);
    for (body, message) in [
        (disabled, "SucceededGetScale!"),
        (in_range, "ReadyForNewScale!"),
        (limited, "TooFewReplicas!"),
    ] {
        assert_eq!(health(V2, &body), Some((Code::Healthy, message.into())));
    }
    let nothing_yet = conditions(&[("AbleToScale", "False", "BackoffBoth")]);
    let expected = Some((Code::Progressing, "Waiting to Autoscale".into()));
    assert_eq!(health(V2, &nothing_yet), expected);
}

#[test]
fn the_first_version_keeps_its_conditions_in_an_annotation() {
    const V1: &str = "autoscaling/v1/HorizontalPodAutoscaler";
    let annotated = |text: &str| json!({"metadata": {"annotations": {"autoscaling.alpha.kubernetes.io/conditions": text}}});
    let able = r#"[{"type":"AbleToScale","status":"True","reason":"x","message":"able"}]"#;
    assert_eq!(
        health(V1, &annotated(able)),
        Some((Code::Healthy, "able".into()))
    );
    let waiting = Some((Code::Progressing, "Waiting to Autoscale".into()));
    assert_eq!(health(V1, &annotated("[]")), waiting);
    assert_eq!(health(V1, &json!({})), waiting);
    let broken = health(V1, &annotated("{")).map(|(code, _)| code);
    assert_eq!(broken, Some(Code::Unknown));
}
