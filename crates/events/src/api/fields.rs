//! The support ledger of the three kinds.

use reconcile_core::fields::{Field, Ledger, reported, supported, supported_note};

use super::broker_trigger_fields::{KAFKA, PULSAR};
pub use super::bus_fields::EVENT_BUS;
use super::source_fields::{self, NO_POD, OWN_POD};

/// EventSource.
pub const EVENT_SOURCE: Ledger = Ledger {
    kind: "EventSource",
    tables: source_fields::TABLES,
};
/// Sensor.
pub const SENSOR: Ledger = Ledger {
    kind: "Sensor",
    tables: &[
        SENSOR_SPEC,
        SENSOR_STATUS,
        TEMPLATE,
        TRIGGERS,
        K8S_SOURCE,
        HTTP,
        ARGO_WORKFLOW,
        ARGO_WORKFLOW_SOURCE,
        SLACK,
        EMAIL,
        AWS_LAMBDA,
        AZURE,
        OPEN_WHISK,
        CUSTOM,
        KAFKA,
        PULSAR,
        NATS,
        DLQ,
        PARAMETERS,
        BACKOFFS,
        SENSOR_NOTED,
        SENSOR_SELECTORS,
    ],
};

/// All ledgers of this crate.
pub const LEDGERS: &[Ledger] = &[EVENT_BUS, EVENT_SOURCE, SENSOR];

const CONTEXT: &str = "upstream too compares type, subject, source and datacontenttype only";

const LUA: &str = "Lua 5.1 with string, table and math, 200 ms and 32 MiB for an event; no files, processes or modules";

const SENSOR_STATUS: &[Field] = &[supported("status.triggers[].**")];

const SENSOR_SPEC: &[Field] = &[
    supported("spec.eventBusName"),
    supported_note("spec.replicas", "the shared data plane serves any number"),
    supported("spec.revisionHistoryLimit"),
    reported("spec.errorOnFailedRound", "without effect upstream too"),
    supported_note(
        "spec.loggingFields.{*}",
        "in the lines about delivered and failed events, as the field fields",
    ),
    supported("spec.dependencies[].name"),
    supported("spec.dependencies[].eventSourceName"),
    supported("spec.dependencies[].eventName"),
    supported_note(
        "spec.dependencies[].filtersLogicalOperator",
        "with or, one filter that passes is enough; where upstream discards the event because another one has an error, the annotation events.argoproj.io/filter-errors: discard asks for that",
    ),
    supported("spec.dependencies[].filters.time.start"),
    supported("spec.dependencies[].filters.time.stop"),
    supported("spec.dependencies[].filters.time.timezone"),
    supported("spec.dependencies[].filters.context.type"),
    supported("spec.dependencies[].filters.context.subject"),
    supported("spec.dependencies[].filters.context.source"),
    supported("spec.dependencies[].filters.context.datacontenttype"),
    reported("spec.dependencies[].filters.context.id", CONTEXT),
    reported("spec.dependencies[].filters.context.specversion", CONTEXT),
    reported("spec.dependencies[].filters.context.time", CONTEXT),
    supported("spec.dependencies[].filters.data[].path"),
    supported("spec.dependencies[].filters.data[].type"),
    supported("spec.dependencies[].filters.data[].comparator"),
    supported("spec.dependencies[].filters.data[].template"),
    supported("spec.dependencies[].filters.exprs[].expr"),
    supported("spec.dependencies[].filters.exprs[].fields[].path"),
    supported("spec.dependencies[].filters.exprs[].fields[].name"),
    supported("spec.dependencies[].filters.dataLogicalOperator"),
    supported("spec.dependencies[].filters.exprLogicalOperator"),
    supported_note("spec.dependencies[].filters.script", LUA),
    supported_note("spec.dependencies[].transform.script", LUA),
    supported_note(
        "spec.dependencies[].transform.jq",
        "within a budget of values, without def, foreach, limit, input, env, dates; other functions are refused by name",
    ),
    supported_note(
        "spec.triggers[].atLeastOnce",
        "one event after the other, in order; without it many actions run at once; acknowledged after the outcome in both cases",
    ),
    supported("spec.triggers[].policy.status.allow[]"),
    supported("spec.triggers[].policy.k8s.labels.{*}"),
    supported("spec.triggers[].policy.k8s.errorOnBackoffTimeout"),
    supported_note("spec.triggers[].rateLimit.unit", "evenly spaced, no bursts"),
    supported_note(
        "spec.triggers[].rateLimit.requestsPerUnit",
        "evenly spaced, no bursts",
    ),
    supported("spec.dependencies[].filters.data[].value[]"),
];

const TEMPLATE: &[Field] = &[
    supported("spec.template.serviceAccountName"),
    reported("spec.template.**", NO_POD),
    reported("spec.template.nodeSelector.{*}", OWN_POD),
    reported("spec.template.tolerations[].**", OWN_POD),
    reported("spec.template.affinity.**", OWN_POD),
    reported("spec.template.container.resources.**", OWN_POD),
];

const TRIGGERS: &[Field] = &[
    supported("spec.triggers[].template.name"),
    supported("spec.triggers[].template.conditions"),
    supported("spec.triggers[].template.conditionsReset[].byTime.cron"),
    supported("spec.triggers[].template.conditionsReset[].byTime.timezone"),
    supported("spec.triggers[].template.log"),
    supported("spec.triggers[].template.log.intervalSeconds"),
    supported("spec.triggers[].template.k8s.operation"),
    supported("spec.triggers[].template.k8s.patchStrategy"),
    supported("spec.triggers[].template.k8s.liveObject"),
    supported("spec.triggers[].template.k8s.source.resource.**"),
    supported("spec.triggers[].template.k8s.source.inline"),
];

const K8S_SOURCE: &[Field] = artifact!("spec.triggers[].template.k8s.source");

const ARGO_WORKFLOW_SOURCE: &[Field] = artifact!("spec.triggers[].template.argoWorkflow.source");

const HTTP: &[Field] = &[
    supported("spec.triggers[].template.http.url"),
    supported("spec.triggers[].template.http.method"),
    supported("spec.triggers[].template.http.timeout"),
    supported("spec.triggers[].template.http.host"),
    supported("spec.triggers[].template.http.headers.{*}"),
    supported("spec.triggers[].template.http.secureHeaders[].name"),
    supported("spec.triggers[].template.http.tls.insecureSkipVerify"),
];

const NATS: &[Field] = &[
    supported_note("spec.triggers[].template.nats.url", "without credentials"),
    supported("spec.triggers[].template.nats.subject"),
    supported("spec.triggers[].template.nats.tls.insecureSkipVerify"),
    supported_note(
        "spec.triggers[].template.nats.jetstream",
        "{} is enough: a stream of the server has to store the message",
    ),
    reported(
        "spec.triggers[].template.nats.jetstream.**",
        "the server finds the stream by the subject",
    ),
];

const ARGO_WORKFLOW: &[Field] = &[
    supported_note(
        "spec.triggers[].template.argoWorkflow.operation",
        "submit when absent; done by the API server with the rights of the Sensor's service account, without the argo command",
    ),
    supported_note(
        "spec.triggers[].template.argoWorkflow.args[]",
        "of submit and submit-from: --parameter --labels --name --generate-name --entrypoint --serviceaccount; others are refused",
    ),
    supported("spec.triggers[].template.argoWorkflow.source.resource.**"),
    supported("spec.triggers[].template.argoWorkflow.source.inline"),
    supported("spec.triggers[].template.argoWorkflow.source.configmap.name"),
    supported("spec.triggers[].template.argoWorkflow.source.configmap.key"),
    supported("spec.triggers[].template.argoWorkflow.source.configmap.optional"),
];

const SLACK: &[Field] = &[
    supported("spec.triggers[].template.slack.slackToken.name"),
    supported("spec.triggers[].template.slack.slackToken.key"),
    supported("spec.triggers[].template.slack.slackToken.optional"),
    supported("spec.triggers[].template.slack.channel"),
    supported("spec.triggers[].template.slack.message"),
    supported("spec.triggers[].template.slack.attachments"),
    supported("spec.triggers[].template.slack.blocks"),
    supported_note(
        "spec.triggers[].template.slack.thread.messageAggregationKey",
        "threads are remembered by the process, as upstream",
    ),
    supported("spec.triggers[].template.slack.thread.broadcastMessageToChannel"),
    supported("spec.triggers[].template.slack.sender.username"),
    supported("spec.triggers[].template.slack.sender.icon"),
];

const EMAIL: &[Field] = &[
    supported_note(
        "spec.triggers[].template.email.host",
        "link-local addresses are refused",
    ),
    supported_note(
        "spec.triggers[].template.email.port",
        "587 when absent; 465 begins with TLS, and a password is sent over TLS only",
    ),
    supported("spec.triggers[].template.email.username"),
    supported("spec.triggers[].template.email.smtpPassword.name"),
    supported("spec.triggers[].template.email.smtpPassword.key"),
    supported("spec.triggers[].template.email.smtpPassword.optional"),
    supported_note(
        "spec.triggers[].template.email.to[]",
        "one message to all; a refused address fails the action",
    ),
    supported("spec.triggers[].template.email.from"),
    supported("spec.triggers[].template.email.subject"),
    supported("spec.triggers[].template.email.body"),
];

const AWS_LAMBDA: &[Field] = &[
    supported("spec.triggers[].template.awsLambda.functionName"),
    supported("spec.triggers[].template.awsLambda.region"),
    supported("spec.triggers[].template.awsLambda.invocationType"),
    supported_note(
        "spec.triggers[].template.awsLambda.accessKey",
        "required: a Sensor has no pod whose role could be used",
    ),
    supported_note(
        "spec.triggers[].template.awsLambda.roleARN",
        "assumed with the keys, which are required",
    ),
];

const AZURE: &[Field] = &[
    supported("spec.triggers[].template.azureServiceBus.queueName"),
    supported_note(
        "spec.triggers[].template.azureServiceBus.topicName",
        "where there is no queueName",
    ),
    reported(
        "spec.triggers[].template.azureServiceBus.subscriptionName",
        "of who reads the topic, without effect upstream too",
    ),
    supported("spec.triggers[].template.azureServiceBus.tls.insecureSkipVerify"),
    supported_note(
        "spec.triggers[].template.azureServiceBus.connectionString",
        "with SharedAccessKeyName and SharedAccessKey; the message is sent over HTTPS",
    ),
    supported_note(
        "spec.triggers[].template.azureEventHubs.fqdn",
        "the event is sent over HTTPS",
    ),
    supported("spec.triggers[].template.azureEventHubs.hubName"),
];

const OPEN_WHISK: &[Field] = &[
    supported_note(
        "spec.triggers[].template.openWhisk.host",
        "a host or a URL; link-local addresses are refused",
    ),
    supported_note(
        "spec.triggers[].template.openWhisk.version",
        "v1 when absent",
    ),
    supported_note(
        "spec.triggers[].template.openWhisk.namespace",
        "that of the user when absent",
    ),
    supported("spec.triggers[].template.openWhisk.actionName"),
];

const CUSTOM: &[Field] = &[
    supported_note(
        "spec.triggers[].template.custom.serverURL",
        "HOST:PORT; link-local addresses are refused",
    ),
    supported("spec.triggers[].template.custom.secure"),
    supported_note(
        "spec.triggers[].template.custom.certSecret",
        "the certificates of the system when absent",
    ),
    supported("spec.triggers[].template.custom.serverNameOverride"),
    supported("spec.triggers[].template.custom.spec.{*}"),
];

const DLQ: &[Field] = &[supported_note(
    "spec.triggers[].dlqTrigger.**",
    "runs with its own tries when those of the trigger are spent; what fails there too, or without one, goes to the dead letters",
)];

const SENSOR_NOTED: &[Field] = noted_selectors![
    "spec.triggers[].template.awsLambda.accessKey",
    "spec.triggers[].template.azureServiceBus.connectionString",
    "spec.triggers[].template.custom.certSecret",
];

const SENSOR_SELECTORS: &[Field] = selectors![
    "spec.triggers[].template.k8s.source.configmap",
    "spec.triggers[].template.http.secureHeaders[].valueFrom.secretKeyRef",
    "spec.triggers[].template.http.secureHeaders[].valueFrom.configMapKeyRef",
    "spec.triggers[].template.http.basicAuth.username",
    "spec.triggers[].template.http.basicAuth.password",
    "spec.triggers[].template.http.tls.caCertSecret",
    "spec.triggers[].template.http.tls.clientCertSecret",
    "spec.triggers[].template.http.tls.clientKeySecret",
    "spec.triggers[].template.nats.auth.basic.username",
    "spec.triggers[].template.nats.auth.basic.password",
    "spec.triggers[].template.nats.auth.token",
    "spec.triggers[].template.nats.auth.nkey",
    "spec.triggers[].template.nats.auth.credential",
    "spec.triggers[].template.nats.tls.caCertSecret",
    "spec.triggers[].template.nats.tls.clientCertSecret",
    "spec.triggers[].template.nats.tls.clientKeySecret",
    "spec.triggers[].template.awsLambda.secretKey",
    "spec.triggers[].template.azureServiceBus.tls.caCertSecret",
    "spec.triggers[].template.azureServiceBus.tls.clientCertSecret",
    "spec.triggers[].template.azureServiceBus.tls.clientKeySecret",
    "spec.triggers[].template.azureEventHubs.sharedAccessKeyName",
    "spec.triggers[].template.azureEventHubs.sharedAccessKey",
    "spec.triggers[].template.openWhisk.authToken",
    "spec.triggers[].template.kafka.secureHeaders[].valueFrom.secretKeyRef",
    "spec.triggers[].template.kafka.secureHeaders[].valueFrom.configMapKeyRef",
    "spec.triggers[].template.kafka.sasl.userSecret",
    "spec.triggers[].template.kafka.sasl.passwordSecret",
    "spec.triggers[].template.kafka.tls.caCertSecret",
    "spec.triggers[].template.kafka.tls.clientCertSecret",
    "spec.triggers[].template.kafka.tls.clientKeySecret",
    "spec.triggers[].template.pulsar.authTokenSecret",
    "spec.triggers[].template.pulsar.tlsTrustCertsSecret",
    "spec.triggers[].template.pulsar.tls.caCertSecret",
    "spec.triggers[].template.pulsar.tls.clientCertSecret",
    "spec.triggers[].template.pulsar.tls.clientKeySecret",
];

const BACKOFFS: &[Field] = backoffs![
    "spec.triggers[].retryStrategy",
    "spec.triggers[].policy.k8s.backoff",
    "spec.triggers[].template.pulsar.connectionBackoff",
];

const PARAMETERS: &[Field] = parameters![
    "spec.triggers[].parameters[]",
    "spec.triggers[].template.k8s.parameters[]",
    "spec.triggers[].template.http.parameters[]",
    "spec.triggers[].template.http.payload[]",
    "spec.triggers[].template.http.dynamicHeaders[]",
    "spec.triggers[].template.argoWorkflow.parameters[]",
    "spec.triggers[].template.slack.parameters[]",
    "spec.triggers[].template.email.parameters[]",
    "spec.triggers[].template.awsLambda.parameters[]",
    "spec.triggers[].template.awsLambda.payload[]",
    "spec.triggers[].template.azureServiceBus.parameters[]",
    "spec.triggers[].template.azureServiceBus.payload[]",
    "spec.triggers[].template.azureEventHubs.parameters[]",
    "spec.triggers[].template.azureEventHubs.payload[]",
    "spec.triggers[].template.openWhisk.parameters[]",
    "spec.triggers[].template.openWhisk.payload[]",
    "spec.triggers[].template.custom.parameters[]",
    "spec.triggers[].template.custom.payload[]",
    "spec.triggers[].template.kafka.parameters[]",
    "spec.triggers[].template.kafka.payload[]",
    "spec.triggers[].template.pulsar.parameters[]",
    "spec.triggers[].template.pulsar.payload[]",
    "spec.triggers[].template.nats.parameters[]",
    "spec.triggers[].template.nats.payload[]",
];
