//! The support ledger of event sources of clouds and stores of objects.

use reconcile_core::fields::{Field, reported, supported, supported_note};

const NO_ROLE: &str = "required: an EventSource has no pod whose role could be used";

pub(super) const SQS: &[Field] = &[
    supported("spec.sqs.{*}.queue"),
    supported("spec.sqs.{*}.queueAccountId"),
    supported("spec.sqs.{*}.region"),
    supported_note(
        "spec.sqs.{*}.endpoint",
        "Amazon when absent; link-local addresses are refused",
    ),
    supported_note("spec.sqs.{*}.accessKey", NO_ROLE),
    supported_note("spec.sqs.{*}.secretKey", NO_ROLE),
    supported_note("spec.sqs.{*}.roleARN", "assumed with the keys"),
    supported_note("spec.sqs.{*}.waitTimeSeconds", "3 when 0 or absent"),
    supported_note(
        "spec.sqs.{*}.dlq",
        "messages that no event can be made of stay in the queue, whose own rules give them up",
    ),
    supported("spec.sqs.{*}.jsonBody"),
    supported("spec.sqs.{*}.metadata.**"),
    supported("spec.sqs.{*}.filter.expression"),
];

pub(super) const MINIO: &[Field] = &[
    supported_note(
        "spec.minio.{*}.endpoint",
        "HOST or HOST:PORT of a server that streams notifications; link-local addresses are refused",
    ),
    supported("spec.minio.{*}.bucket.name"),
    reported("spec.minio.{*}.bucket.key", "without effect upstream too"),
    supported("spec.minio.{*}.region"),
    supported("spec.minio.{*}.insecure"),
    supported_note(
        "spec.minio.{*}.events[]",
        "s3:ObjectCreated:* s3:ObjectRemoved:* s3:ObjectAccessed:* when absent",
    ),
    supported("spec.minio.{*}.filter.prefix"),
    supported("spec.minio.{*}.filter.suffix"),
    supported("spec.minio.{*}.metadata.**"),
];

pub(super) const PUB_SUB: &[Field] = &[
    supported_note(
        "spec.pubSub.{*}.projectID",
        "that of the credentials when absent",
    ),
    supported_note(
        "spec.pubSub.{*}.topic",
        "a subscription that is missing is created for it, and the topic too",
    ),
    supported_note("spec.pubSub.{*}.topicProjectID", "projectID when absent"),
    supported_note(
        "spec.pubSub.{*}.subscriptionID",
        "a name made of the EventSource's uid when absent",
    ),
    supported_note(
        "spec.pubSub.{*}.credentialSecret",
        "required: the key file of a service account; an EventSource has no pod whose account could be used",
    ),
    supported_note(
        "spec.pubSub.{*}.deleteSubscriptionOnFinish",
        "five tries; then an Event says what stays",
    ),
    supported("spec.pubSub.{*}.jsonBody"),
    supported("spec.pubSub.{*}.metadata.**"),
    supported("spec.pubSub.{*}.filter.expression"),
];

pub(super) const AZURE_SERVICE_BUS: &[Field] = &[
    supported("spec.azureServiceBus.{*}.queueName"),
    supported_note(
        "spec.azureServiceBus.{*}.topicName",
        "with subscriptionName, where there is no queueName",
    ),
    supported("spec.azureServiceBus.{*}.subscriptionName"),
    supported_note(
        "spec.azureServiceBus.{*}.connectionString",
        "with SharedAccessKeyName and SharedAccessKey; messages are received over HTTPS",
    ),
    reported(
        "spec.azureServiceBus.{*}.fullyQualifiedNamespace",
        "an EventSource has no pod whose identity could be used; set connectionString",
    ),
    supported("spec.azureServiceBus.{*}.tls.insecureSkipVerify"),
    supported("spec.azureServiceBus.{*}.jsonBody"),
    supported("spec.azureServiceBus.{*}.metadata.**"),
    supported("spec.azureServiceBus.{*}.filter.expression"),
];

pub(super) const AZURE_QUEUE_STORAGE: &[Field] = &[
    supported("spec.azureQueueStorage.{*}.queueName"),
    supported_note(
        "spec.azureQueueStorage.{*}.connectionString",
        "with AccountKey or SharedAccessSignature",
    ),
    reported(
        "spec.azureQueueStorage.{*}.storageAccountName",
        "an EventSource has no pod whose identity could be used; set connectionString",
    ),
    supported_note(
        "spec.azureQueueStorage.{*}.waitTimeInSeconds",
        "3 when absent",
    ),
    supported_note(
        "spec.azureQueueStorage.{*}.dlq",
        "messages that no event can be made of stay in the queue",
    ),
    supported("spec.azureQueueStorage.{*}.decodeMessage"),
    supported("spec.azureQueueStorage.{*}.jsonBody"),
    supported("spec.azureQueueStorage.{*}.metadata.**"),
    supported("spec.azureQueueStorage.{*}.filter.expression"),
];

pub(super) const AZURE_EVENTS_HUB: &[Field] = &[
    supported_note(
        "spec.azureEventsHub.{*}.fqdn",
        "HOST or HOST:PORT of the namespace, 5671 when absent; ;UseDevelopmentEmulator=true behind it for an emulator without TLS; link-local addresses are refused",
    ),
    supported_note(
        "spec.azureEventsHub.{*}.hubName",
        "all partitions, 200 at most, are read with the group $Default, over AMQP 1.0",
    ),
    supported("spec.azureEventsHub.{*}.metadata.**"),
    supported("spec.azureEventsHub.{*}.filter.expression"),
];

pub(super) const CLOUD_SELECTORS: &[Field] = selectors![
    "spec.azureServiceBus.{*}.tls.caCertSecret",
    "spec.azureServiceBus.{*}.tls.clientCertSecret",
    "spec.azureServiceBus.{*}.tls.clientKeySecret",
    "spec.azureEventsHub.{*}.sharedAccessKeyName",
    "spec.azureEventsHub.{*}.sharedAccessKey",
    "spec.sqs.{*}.sessionToken",
    "spec.minio.{*}.accessKey",
    "spec.minio.{*}.secretKey",
    "spec.minio.{*}.caCertificate",
];

pub(super) const CLOUD_NOTED_SELECTORS: &[Field] = noted_selectors![
    "spec.pubSub.{*}.credentialSecret",
    "spec.azureServiceBus.{*}.connectionString",
    "spec.azureQueueStorage.{*}.connectionString",
    "spec.sqs.{*}.accessKey",
    "spec.sqs.{*}.secretKey",
];
