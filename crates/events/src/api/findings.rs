//! The fields of a Sensor that have no effect.

use reconcile_core::fields::{Finding, Level};
use serde_json::{Value, json};

use super::fields::SENSOR;

/// Fields of a trigger that have no effect in a `dlqTrigger`.
const NOT_IN_DLQ: &[&str] = &["dlqTrigger", "rateLimit"];

/// The fields of a Sensor's `spec` without effect. A `dlqTrigger` has the fields of a trigger.
pub fn sensor_findings(spec: &Value) -> Vec<Finding> {
    let mut all = SENSOR.findings(spec, "spec");
    let triggers = spec.get("triggers").and_then(Value::as_array);
    for (index, trigger) in triggers.into_iter().flatten().enumerate() {
        let Some(dlq) = trigger.get("dlqTrigger").filter(|dlq| dlq.is_object()) else {
            continue;
        };
        let path = format!("spec.triggers[{index}].dlqTrigger");
        let below = SENSOR.findings(&json!({ "triggers": [dlq] }), "spec");
        all.extend(below.into_iter().map(|finding| Finding {
            path: finding.path.replacen("spec.triggers[0]", &path, 1),
            ..finding
        }));
        let unused = NOT_IN_DLQ.iter().filter(|field| !dlq[**field].is_null());
        all.extend(unused.map(|field| Finding {
            path: format!("{path}.{field}"),
            level: Level::Reported,
            note: "without effect in a dlqTrigger",
        }));
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::fields::{EVENT_BUS, EVENT_SOURCE};

    fn paths(findings: &[Finding]) -> Vec<&str> {
        findings
            .iter()
            .map(|finding| finding.path.as_str())
            .collect()
    }

    #[test]
    fn no_row_of_a_sensor_or_bus_hides_fields_that_do_not_exist() {
        // Objects of other kinds, and what is walked with the rows of a trigger.
        let free = [
            ".source.resource.**",
            ".dlqTrigger.**",
            "status.triggers[].**",
            // Fields of pods, which the API server checks.
            ".tolerations[].**",
            ".securityContext.**",
            ".imagePullSecrets[].**",
            ".affinity.**",
            ".resources.**",
        ];
        for field in SENSOR.fields().chain(EVENT_BUS.fields()) {
            let hides = field.level == Level::Supported && field.path.ends_with(".**");
            let known = free.iter().any(|free| field.path.ends_with(free));
            assert!(!hides || known, "{}", field.path);
        }
    }

    #[test]
    fn fields_that_do_not_exist_are_found_in_every_corner() {
        let template = json!({"name": "t", "http": {
            "url": "http://x", "bogus": 1,
            "basicAuth": {"username": {"name": "s", "key": "k", "nope": 1}},
        }});
        let spec = json!({
            "dependencies": [{"name": "a", "filters": {
                "time": {"start": "1", "zone": "x"}, "exprs": [{"expr": "a", "fields": [{"nom": "a"}]}],
                "data": [{"path": "x", "values": ["1"]}], "context": {"kind": "x"},
            }}],
            "triggers": [{
                "template": template, "retryStrategy": {"step": 3}, "rateLimit": {"units": "Second"},
                "policy": {"status": {"allowed": [200]}, "k8s": {"backoff": {"pause": 1}}},
                "dlqTrigger": {"template": template, "rateLimit": {"unit": "Hour"}},
            }],
        });
        let found = sensor_findings(&spec);
        assert_eq!(
            paths(&found),
            [
                "spec.dependencies[0].filters.context.kind",
                "spec.dependencies[0].filters.data[0].values",
                "spec.dependencies[0].filters.exprs[0].fields[0].nom",
                "spec.dependencies[0].filters.time.zone",
                "spec.triggers[0].policy.k8s.backoff.pause",
                "spec.triggers[0].policy.status.allowed",
                "spec.triggers[0].rateLimit.units",
                "spec.triggers[0].retryStrategy.step",
                "spec.triggers[0].template.http.basicAuth.username.nope",
                "spec.triggers[0].template.http.bogus",
                "spec.triggers[0].dlqTrigger.template.http.basicAuth.username.nope",
                "spec.triggers[0].dlqTrigger.template.http.bogus",
                "spec.triggers[0].dlqTrigger.rateLimit",
            ]
        );
        let source = json!({
            "webhook": {"a": {"authSecret": {"name": "s", "key": "k", "nope": 1}}},
            "calendar": {"b": {"persistence": {"catchup": {"max": "1h"}}}},
            "service": {"ports": [{"port": 1, "target": 2}]},
        });
        assert_eq!(
            paths(&EVENT_SOURCE.findings(&source, "spec")),
            [
                "spec.calendar.b.persistence.catchup.max",
                "spec.service.ports[0].target",
                "spec.webhook.a.authSecret.nope",
            ]
        );
        let bus = json!({"jetstreamExotic": {"accessSecret": {"name": "s", "keys": "k"}}});
        assert_eq!(
            paths(&EVENT_BUS.findings(&bus, "spec")),
            ["spec.jetstreamExotic.accessSecret.keys"]
        );
    }
}
