//! The rules of metrics.

use jiff::SignedDuration;
use serde_json::{Value, json};

use crate::analysis::validate::{CheckedMetric, check};

fn with(rules: Value) -> Value {
    let mut metric = json!({ "name": "m", "provider": { "prometheus": { "query": "up" } } });
    for (key, value) in rules.as_object().expect("rules") {
        metric[key] = value.clone();
    }
    json!({ "metrics": [metric] })
}

fn checked(spec: Value) -> Result<Vec<CheckedMetric>, String> {
    let spec = serde_json::from_value(spec).expect("a spec");
    check(&spec)
        .map(|checked| checked.metrics)
        .map_err(|error| error.to_string())
}

#[test]
fn defaults_are_filled_in() {
    let metric = checked(with(json!({}))).expect("valid").remove(0);
    assert_eq!(
        (metric.count, metric.interval, metric.initial_delay),
        (Some(1), None, None)
    );
    assert_eq!(
        (
            metric.failure_limit,
            metric.inconclusive_limit,
            metric.error_limit
        ),
        (Some(0), 0, 4)
    );
    assert_eq!(
        (metric.success_limit, metric.dry_run, metric.retention),
        (None, false, 10)
    );
}

#[test]
fn counts_are_numbers_texts_or_arguments() {
    for count in [
        json!(3),
        json!("3"),
        json!("{{args.n}}"),
        json!("{{ args.n }}"),
    ] {
        let mut spec = with(
            json!({ "count": count, "interval": "{{args.pause}}", "failureLimit": -1, "consecutiveSuccessLimit": 1 }),
        );
        spec["args"] =
            json!([{ "name": "n", "value": "3" }, { "name": "pause", "value": "1m30s" }]);
        let metric = checked(spec).expect("valid").remove(0);
        assert_eq!(metric.count, Some(3));
        assert_eq!(metric.interval, Some(SignedDuration::from_secs(90)));
        assert_eq!(metric.failure_limit, None);
    }
}

#[test]
fn an_interval_without_a_count_never_ends_and_is_never_shorter_than_a_second() {
    let metric = checked(with(json!({ "interval": "0s" })))
        .expect("valid")
        .remove(0);
    assert_eq!(
        (metric.count, metric.interval),
        (None, Some(SignedDuration::from_secs(1)))
    );
}

#[test]
fn impossible_rules_are_named() {
    let provider = json!({ "prometheus": {} });
    for (spec, message) in [
        (
            with(json!({ "count": 2 })),
            "metrics[0]: interval must be specified when count > 1",
        ),
        (
            with(json!({ "count": 1, "failureLimit": 2 })),
            "metrics[0]: count (1) must be >= failureLimit + consecutiveSuccessLimit (2 + 0) if both >= 0",
        ),
        (
            with(json!({ "count": 1, "inconclusiveLimit": 2 })),
            "metrics[0]: count must be >= inconclusiveLimit",
        ),
        (
            with(json!({ "failureLimit": -2 })),
            "metrics[0]: failureLimit must be >= 0, or -1 to be disabled",
        ),
        (
            with(json!({ "failureLimit": -1 })),
            "metrics[0]: failureLimit and consecutiveSuccessLimit cannot both be disabled",
        ),
        (
            with(json!({ "count": 1, "failureLimit": -1, "consecutiveSuccessLimit": 2 })),
            "metrics[0]: count must be >= consecutiveSuccessLimit",
        ),
        (
            with(json!({ "inconclusiveLimit": -1 })),
            "metrics[0]: inconclusiveLimit must be >= 0",
        ),
        (
            with(json!({ "consecutiveErrorLimit": "-1" })),
            "metrics[0]: consecutiveErrorLimit must be >= 0",
        ),
        (
            with(json!({ "interval": "60s-typo" })),
            "metrics[0]: invalid interval string: time: unknown unit \"s-typo\" in duration \"60s-typo\"",
        ),
        (
            with(json!({ "initialDelay": "5" })),
            "metrics[0]: invalid startDelay string: time: missing unit in duration \"5\"",
        ),
        (
            json!({ "metrics": [{ "name": "m", "provider": {} }] }),
            "metrics[0]: no provider specified",
        ),
        (
            json!({ "metrics": [{ "name": "m", "provider": { "prometheus": {}, "web": { "url": "http://x" } } }] }),
            "metrics[0]: multiple providers specified",
        ),
        (
            json!({ "metrics": [{ "name": "m", "provider": provider }, { "name": "m", "provider": provider }] }),
            "metrics[1]: duplicate name 'm'",
        ),
        (
            json!({ "metrics": [{ "name": "m", "provider": provider }], "dryRun": [{ "metricName": "x.*" }] }),
            "dryRun[0]: Rule didn't match any metric name(s)",
        ),
        (
            json!({ "metrics": [{ "name": "m", "provider": provider }], "measurementRetention": [{ "metricName": "[", "limit": 1 }] }),
            "measurementRetention[0]: Rule didn't match any metric name(s)",
        ),
    ] {
        assert_eq!(
            checked(spec).expect_err(message),
            format!("Analysis spec invalid: {message}")
        );
    }
}

#[test]
fn what_is_not_supported_is_named_with_its_metric() {
    let address = "https://aps-workspaces.eu-west-1.amazonaws.com/workspaces/w";
    let signed = json!({ "sigv4": { "region": "eu-west-1" } });
    let sigv4 = json!({ "prometheus": { "address": address, "authentication": signed } });
    let web = json!({ "web": { "url": "http://x", "authentication": signed } });
    for (provider, what) in [
        (json!({ "kayenta": {} }), "provider kayenta"),
        (json!({ "plugin": { "acme/x": {} } }), "provider plugin"),
        (sigv4, "prometheus authentication with sigv4"),
        (web, "web authentication with sigv4"),
    ] {
        let spec = json!({ "metrics": [{ "name": "m", "provider": provider }] });
        assert_eq!(
            checked(spec).expect_err(what),
            format!("metric \"m\": {what} is not supported yet")
        );
    }
}

#[test]
fn a_secret_is_not_needed_to_check_the_rules() {
    let mut spec = with(json!({ "successCondition": "result > {{args.token}}" }));
    spec["args"] =
        json!([{ "name": "token", "valueFrom": { "secretKeyRef": { "name": "s", "key": "k" } } }]);
    assert!(checked(spec).is_ok());
}
