//! Which fields of the analysis kinds have an effect.

use reconcile_core::fields::{Field, Ledger, reported, supported, supported_note};

/// Why a provider that is not supported is not skipped: a missing measurement must not promote.
const RUN_FAILS: &str = "a run with it ends in phase Error";

const METRIC_FIELDS: &[Field] = &[
    supported("spec.metrics[].name"),
    supported("spec.metrics[].interval"),
    supported("spec.metrics[].initialDelay"),
    supported("spec.metrics[].count"),
    supported("spec.metrics[].successCondition"),
    supported("spec.metrics[].failureCondition"),
    supported("spec.metrics[].failureLimit"),
    supported("spec.metrics[].inconclusiveLimit"),
    supported("spec.metrics[].consecutiveErrorLimit"),
    supported("spec.metrics[].consecutiveSuccessLimit"),
    supported("spec.metrics[].provider.prometheus.address"),
    supported("spec.metrics[].provider.prometheus.query"),
    supported_note(
        "spec.metrics[].provider.prometheus.timeout",
        "at most 600 s",
    ),
    supported("spec.metrics[].provider.prometheus.insecure"),
    supported("spec.metrics[].provider.prometheus.headers[].key"),
    supported("spec.metrics[].provider.prometheus.headers[].value"),
    supported("spec.metrics[].provider.prometheus.rangeQuery.start"),
    supported("spec.metrics[].provider.prometheus.rangeQuery.end"),
    supported("spec.metrics[].provider.prometheus.rangeQuery.step"),
    supported("spec.metrics[].provider.prometheus.authentication.basicAuth.username"),
    supported("spec.metrics[].provider.prometheus.authentication.basicAuth.password"),
    supported("spec.metrics[].provider.prometheus.authentication.oauth2.tokenUrl"),
    supported("spec.metrics[].provider.prometheus.authentication.oauth2.clientId"),
    supported("spec.metrics[].provider.prometheus.authentication.oauth2.clientSecret"),
    supported("spec.metrics[].provider.prometheus.authentication.oauth2.scopes[]"),
    supported("spec.metrics[].provider.prometheus.authentication.sigv4.region"),
    supported("spec.metrics[].provider.prometheus.authentication.sigv4.profile"),
    supported("spec.metrics[].provider.prometheus.authentication.sigv4.roleArn"),
    supported("spec.metrics[].provider.web.method"),
    supported("spec.metrics[].provider.web.url"),
    supported("spec.metrics[].provider.web.headers[].key"),
    supported("spec.metrics[].provider.web.headers[].value"),
    supported("spec.metrics[].provider.web.body"),
    supported("spec.metrics[].provider.web.jsonBody"),
    supported_note(
        "spec.metrics[].provider.web.timeoutSeconds",
        "at most 600 s",
    ),
    supported_note(
        "spec.metrics[].provider.web.jsonPath",
        "one expression without range and surrounding text",
    ),
    supported("spec.metrics[].provider.web.insecure"),
    supported("spec.metrics[].provider.web.authentication.basicAuth.username"),
    supported("spec.metrics[].provider.web.authentication.basicAuth.password"),
    supported("spec.metrics[].provider.web.authentication.oauth2.tokenUrl"),
    supported("spec.metrics[].provider.web.authentication.oauth2.clientId"),
    supported("spec.metrics[].provider.web.authentication.oauth2.clientSecret"),
    supported("spec.metrics[].provider.web.authentication.oauth2.scopes[]"),
    supported_note(
        "spec.metrics[].provider.web.authentication.sigv4.region",
        "the service follows from the host: aps, lambda, monitoring, vpc-lattice-svcs, else execute-api",
    ),
    supported("spec.metrics[].provider.web.authentication.sigv4.profile"),
    supported("spec.metrics[].provider.web.authentication.sigv4.roleArn"),
    supported("spec.metrics[].provider.job.metadata.labels"),
    supported("spec.metrics[].provider.job.metadata.annotations"),
    supported("spec.metrics[].provider.job.spec"),
    supported("spec.metrics[].provider.datadog.apiVersion"),
    supported("spec.metrics[].provider.datadog.query"),
    supported("spec.metrics[].provider.datadog.queries"),
    supported("spec.metrics[].provider.datadog.formula"),
    supported("spec.metrics[].provider.datadog.aggregator"),
    supported("spec.metrics[].provider.datadog.interval"),
    supported_note(
        "spec.metrics[].provider.datadog.requestTimeout",
        "at most 600 s",
    ),
    supported("spec.metrics[].provider.datadog.secretRef.name"),
    supported("spec.metrics[].provider.datadog.secretRef.namespaced"),
    supported("spec.metrics[].provider.newRelic.query"),
    supported("spec.metrics[].provider.newRelic.profile"),
    supported("spec.metrics[].provider.newRelic.timeout"),
    supported("spec.metrics[].provider.cloudWatch.interval"),
    supported("spec.metrics[].provider.cloudWatch.metricDataQueries[].id"),
    supported("spec.metrics[].provider.cloudWatch.metricDataQueries[].expression"),
    supported("spec.metrics[].provider.cloudWatch.metricDataQueries[].label"),
    supported("spec.metrics[].provider.cloudWatch.metricDataQueries[].period"),
    supported("spec.metrics[].provider.cloudWatch.metricDataQueries[].returnData"),
    supported(
        "spec.metrics[].provider.cloudWatch.metricDataQueries[].metricStat.metric.metricName",
    ),
    supported("spec.metrics[].provider.cloudWatch.metricDataQueries[].metricStat.metric.namespace"),
    supported(
        "spec.metrics[].provider.cloudWatch.metricDataQueries[].metricStat.metric.dimensions[].name",
    ),
    supported(
        "spec.metrics[].provider.cloudWatch.metricDataQueries[].metricStat.metric.dimensions[].value",
    ),
    supported("spec.metrics[].provider.cloudWatch.metricDataQueries[].metricStat.period"),
    supported("spec.metrics[].provider.cloudWatch.metricDataQueries[].metricStat.stat"),
    supported("spec.metrics[].provider.cloudWatch.metricDataQueries[].metricStat.unit"),
    supported("spec.metrics[].provider.graphite.address"),
    supported("spec.metrics[].provider.graphite.query"),
    supported("spec.metrics[].provider.influxdb.profile"),
    supported("spec.metrics[].provider.influxdb.query"),
    supported("spec.metrics[].provider.wavefront.address"),
    supported_note(
        "spec.metrics[].provider.wavefront.query",
        "a series without points is an error, where upstream takes 0",
    ),
    supported("spec.metrics[].provider.kayenta.address"),
    supported("spec.metrics[].provider.kayenta.application"),
    supported("spec.metrics[].provider.kayenta.canaryConfigName"),
    supported("spec.metrics[].provider.kayenta.configurationAccountName"),
    supported("spec.metrics[].provider.kayenta.metricsAccountName"),
    supported("spec.metrics[].provider.kayenta.storageAccountName"),
    supported("spec.metrics[].provider.kayenta.lookback"),
    supported("spec.metrics[].provider.kayenta.threshold.pass"),
    supported("spec.metrics[].provider.kayenta.threshold.marginal"),
    supported("spec.metrics[].provider.kayenta.scopes[].name"),
    supported("spec.metrics[].provider.kayenta.scopes[].controlScope.**"),
    supported("spec.metrics[].provider.kayenta.scopes[].experimentScope.**"),
    supported("spec.metrics[].provider.skywalking.address"),
    supported("spec.metrics[].provider.skywalking.query"),
    supported("spec.metrics[].provider.skywalking.interval"),
    reported("spec.metrics[].provider.plugin.**", RUN_FAILS),
    supported("spec.dryRun[].metricName"),
    supported("spec.measurementRetention[].metricName"),
    supported("spec.measurementRetention[].limit"),
    supported("spec.args[].name"),
    supported("spec.args[].value"),
    supported("spec.args[].valueFrom.secretKeyRef.name"),
    supported("spec.args[].valueFrom.secretKeyRef.key"),
];

const TEMPLATE_ONLY: &[Field] = &[
    supported("spec.templates[].templateName"),
    supported("spec.templates[].clusterScope"),
    reported(
        "spec.args[].valueFrom.fieldRef.fieldPath",
        "upstream reads it from a Rollout's own arguments only",
    ),
];

const RUN_ONLY: &[Field] = &[
    supported("spec.terminate"),
    supported("spec.ttlStrategy.secondsAfterCompletion"),
    supported("spec.ttlStrategy.secondsAfterFailure"),
    supported("spec.ttlStrategy.secondsAfterSuccess"),
    reported(
        "spec.args[].valueFrom.fieldRef.fieldPath",
        "upstream reads it from a Rollout's own arguments only",
    ),
];

/// The table of AnalysisRun, which its controller looks at too.
pub const RUN_LEDGER: Ledger = Ledger {
    kind: "AnalysisRun",
    tables: &[METRIC_FIELDS, RUN_ONLY],
};

/// The tables of the three kinds.
pub const LEDGERS: &[Ledger] = &[
    Ledger {
        kind: "AnalysisTemplate",
        tables: &[METRIC_FIELDS, TEMPLATE_ONLY],
    },
    Ledger {
        kind: "ClusterAnalysisTemplate",
        tables: &[METRIC_FIELDS, TEMPLATE_ONLY],
    },
    RUN_LEDGER,
];
