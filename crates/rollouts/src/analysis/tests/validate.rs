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
#[expect(clippy::too_many_lines, reason = "a table")]
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
        (
            json!({ "metrics": [{ "name": "m", "provider": provider }], "dryRun": [{ "metricName": r"m|(\w{100}){100}" }] }),
            "dryRun[0]: Rule didn't match any metric name(s)",
        ),
    ] {
        assert_eq!(
            checked(spec).expect_err(message),
            format!("Analysis spec invalid: {message}")
        );
    }
}

/// Each configuration is wrong in the field with this path.
fn assert_wrong(cases: &[(Value, &str)]) {
    for (provider, path) in cases {
        let spec = json!({ "metrics": [{ "name": "m", "provider": provider }] });
        let error = checked(spec).expect_err(path);
        let expected = format!("Analysis spec invalid: metrics[0]: provider.{path}: ");
        assert!(error.starts_with(&expected), "{error}");
    }
}

#[test]
fn a_wrong_configuration_of_a_builtin_provider_is_named_by_its_field() {
    assert_wrong(&[
        (json!({ "plugin": { "acme/x": {} } }), "plugin"),
        (
            json!({ "prometheus": { "address": "x:9090" } }),
            "prometheus.address",
        ),
        (
            json!({ "prometheus": { "timeout": -1 } }),
            "prometheus.timeout",
        ),
        (
            json!({ "prometheus": { "rangeQuery": { "start": "now(", "end": "now()", "step": "1m" } } }),
            "prometheus.rangeQuery.start",
        ),
        (json!({ "web": { "url": "x" } }), "web.url"),
        (
            json!({ "web": { "url": "http://x", "jsonPath": "{$.a" } }),
            "web.jsonPath",
        ),
        (
            json!({ "web": { "url": "http://x", "method": "GET", "jsonBody": {} } }),
            "web.jsonBody",
        ),
        (
            json!({ "web": { "url": "http://x", "authentication": { "oauth2": { "tokenUrl": "http://t" } } } }),
            "web.authentication.oauth2.clientId",
        ),
        (
            json!({ "job": { "spec": { "template": { "spec": { "containers": "x" } } } } }),
            "job.spec.template.spec.containers",
        ),
    ]);
}

#[test]
fn a_wrong_configuration_of_datadog_is_named_by_its_field() {
    assert_wrong(&[
        (json!({ "datadog": {} }), "datadog.query"),
        (
            json!({ "datadog": { "query": "q", "apiVersion": "v3" } }),
            "datadog.apiVersion",
        ),
        (
            json!({ "datadog": { "queries": { "a": "q" } } }),
            "datadog.queries",
        ),
        (
            json!({ "datadog": { "apiVersion": "v2", "queries": { "a": "q", "b": "q" } } }),
            "datadog.formula",
        ),
        (
            json!({ "datadog": { "query": "q", "aggregator": "max" } }),
            "datadog.aggregator",
        ),
        (
            json!({ "datadog": { "query": "q", "requestTimeout": "0s" } }),
            "datadog.requestTimeout",
        ),
        (
            json!({ "datadog": { "query": "q", "secretRef": { "namespaced": true } } }),
            "datadog.secretRef.name",
        ),
    ]);
}

#[test]
fn a_wrong_configuration_of_a_vendor_is_named_by_its_field() {
    let scope = json!({ "scope": "s", "region": "r", "step": 60 });
    let dated = json!({ "scope": "s", "region": "r", "step": 60, "start": "2026-01-01T00:00:00Z" });
    let kayenta = json!({
        "address": "http://k", "application": "a", "canaryConfigName": "c", "configurationAccountName": "x",
        "metricsAccountName": "x", "storageAccountName": "x", "threshold": { "pass": 90, "marginal": 75 },
        "scopes": [{ "name": "default", "controlScope": scope, "experimentScope": dated }],
    });
    assert_wrong(&[
        (
            json!({ "newRelic": { "query": "q", "timeout": 120 } }),
            "newRelic.timeout",
        ),
        (
            json!({ "cloudWatch": { "metricDataQueries": [] } }),
            "cloudWatch.metricDataQueries",
        ),
        (
            json!({ "cloudWatch": { "metricDataQueries": [{ "id": "a" }] } }),
            "cloudWatch.metricDataQueries[0].metricStat",
        ),
        (
            json!({ "graphite": { "query": "target=x" } }),
            "graphite.address",
        ),
        (json!({ "influxdb": {} }), "influxdb.query"),
        (
            json!({ "wavefront": { "query": "q" } }),
            "wavefront.address",
        ),
        (
            json!({ "skywalking": { "address": "http://s", "query": "q" } }),
            "skywalking.interval",
        ),
        (json!({ "kayenta": kayenta }), "kayenta.scopes[0]"),
    ]);
}

#[test]
fn a_value_from_a_secret_is_not_judged_before_it_is_known() {
    let arguments =
        json!([{ "name": "x", "valueFrom": { "secretKeyRef": { "name": "s", "key": "k" } } }]);
    for provider in [
        json!({ "prometheus": { "address": "{{args.x}}", "rangeQuery": { "start": "{{args.x}}", "end": "now()", "step": "{{args.x}}" } } }),
        json!({ "web": { "url": "{{args.x}}", "method": "{{args.x}}", "jsonPath": "{{args.x}}" } }),
        json!({ "wavefront": { "address": "{{args.x}}", "query": "q" } }),
    ] {
        let spec = json!({ "metrics": [{ "name": "m", "provider": provider }], "args": arguments });
        checked(spec).expect("a run");
    }
}

#[test]
fn a_secret_is_not_needed_to_check_the_rules() {
    let mut spec = with(json!({ "successCondition": "result > {{args.token}}" }));
    spec["args"] =
        json!([{ "name": "token", "valueFrom": { "secretKeyRef": { "name": "s", "key": "k" } } }]);
    assert!(checked(spec).is_ok());
}
