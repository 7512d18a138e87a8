//! Prometheus, Grafana, OpenTelemetry and their like.

use crate::health::{
    Code::{Degraded, Healthy, Progressing},
    Health, Subject,
    rule::{Rule, field, no, rule, run, when, yes},
};

const INITIALIZING: &str = "Waiting for initialization";

pub(super) const RULES: &[Rule] = &[
    rule(
        "monitoring.coreos.com",
        "Prometheus|Alertmanager|ThanosRuler|PrometheusAgent",
        &[run(available)],
    )
    .waiting(INITIALIZING),
    rule(
        "monitoring.coreos.com",
        "ServiceMonitor|PodMonitor|PrometheusRule|Probe|AlertmanagerConfig|ScrapeConfig",
        &[run(accepted_by_all)],
    )
    .otherwise(Healthy, ""),
    rule("grafana.integreatly.org", "Grafana", &[field("status.stage", &[
        ("complete", Healthy, ""),
        ("*", Progressing, "{status.lastMessage|value}"),
    ])])
    .waiting("Waiting for Grafana"),
    rule(
        "grafana.integreatly.org",
        "GrafanaDashboard|GrafanaDatasource|GrafanaFolder|GrafanaAlertRuleGroup|GrafanaContactPoint|GrafanaNotificationPolicy",
        &[
            when(&[no("DashboardSynchronized|DatasourceSynchronized|FolderSynchronized|AlertGroupSynchronized|ContactPointSynchronized|NotificationPolicySynchronized", Degraded)]),
            when(&[yes("InvalidSpec", Degraded), yes("NoMatchingInstance", Degraded)]),
        ],
    )
    .otherwise(Healthy, ""),
    rule("opentelemetry.io", "OpenTelemetryCollector", &[run(collector)])
        .waiting("Waiting for OpenTelemetryCollector"),
    rule("opentelemetry.io", "Instrumentation", &[]).otherwise(Healthy, ""),
    rule("jaegertracing.io", "Jaeger", &[field("status.phase", &[
        ("Running", Healthy, ""),
        ("Failed", Degraded, ""),
        ("*", Progressing, "{value}"),
    ])])
    .waiting("Waiting for Jaeger"),
    rule("loki.grafana.com", "LokiStack", &[when(&[
        yes("Failed|Degraded", Degraded),
        yes("Pending", Progressing),
        yes("Ready", Healthy),
    ])])
    .waiting("Waiting for LokiStack"),
    rule("tempo.grafana.com", "TempoStack|TempoMonolithic", &[when(&[
        yes("Failed|ConfigurationError", Degraded),
        yes("Pending", Progressing),
        yes("Ready", Healthy),
    ])])
    .waiting("Waiting for {kind}"),
    rule(
        "operator.victoriametrics.com",
        "VMAgent|VMAlert|VMAlertmanager|VMAuth|VMCluster|VMSingle|VLogs|VLSingle|VLCluster",
        &[field("status.updateStatus", &[
            ("operational", Healthy, ""),
            ("failed", Degraded, "{status.reason}"),
            ("paused", crate::health::Code::Suspended, ""),
            ("*", Progressing, "{value}"),
        ])],
    )
    .waiting("Waiting for {kind}"),
    rule("datadoghq.com", "DatadogAgent", &[when(&[
        yes("DatadogAgentReconcileError", Degraded),
        no("AgentReconcile", Progressing),
    ])])
    .otherwise(Healthy, ""),
    rule("k6.io", "TestRun", &[field("status.stage", &[
        ("finished", Healthy, "k6 TestRun has finished"),
        ("error", Degraded, "k6 TestRun failed"),
        ("*", Progressing, "k6 TestRun is {value}"),
    ])])
    .waiting("Waiting for k6 TestRun status"),
];

/// The last `Available` condition decides.
fn available(subject: &Subject<'_>) -> Option<Health> {
    let condition = subject
        .conditions()
        .iter()
        .rfind(|condition| condition["type"] == "Available")?;
    if condition["status"] == "True" {
        return Some(Health::new(Healthy, "All instances are available"));
    }
    let reason = condition["reason"].as_str().unwrap_or_default();
    let message = condition["message"].as_str().unwrap_or(reason);
    let code = if reason == "SomePodsNotReady" {
        Progressing
    } else {
        Degraded
    };
    Some(Health::new(code, message))
}

/// Newer operators write per workload whether the configuration was accepted.
fn accepted_by_all(subject: &Subject<'_>) -> Option<Health> {
    let conditions = subject
        .list("status.bindings")
        .iter()
        .filter_map(|binding| binding["conditions"].as_array())
        .flatten();
    let mut refused = conditions
        .filter(|condition| condition["type"] == "Accepted" && condition["status"] == "False");
    refused
        .next()
        .map(|condition| Health::new(Degraded, condition["message"].as_str().unwrap_or_default()))
}

/// `status.scale.statusReplicas` is `ready/wanted`.
fn collector(subject: &Subject<'_>) -> Option<Health> {
    let replicas = subject.text("status.scale.statusReplicas");
    let (ready, wanted) = replicas.split_once('/')?;
    Some(if ready == wanted {
        Health::of(Healthy)
    } else {
        Health::new(Progressing, format!("{ready} of {wanted} pods are ready"))
    })
}
