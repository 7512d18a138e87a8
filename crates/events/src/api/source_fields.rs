//! The support ledger of event sources.

use reconcile_core::fields::{Field, planned, reported, supported, supported_note};

use super::fields::NO_POD;

/// The endpoint of a service, its metadata and, for most, its filter.
macro_rules! endpoint {
    ($event:literal) => {
        &[
            supported_note(
                concat!($event, ".webhook.endpoint"),
                "also {name} and {name:regex}",
            ),
            supported_note(
                concat!($event, ".webhook.method"),
                "services send their events by POST",
            ),
            supported(concat!($event, ".webhook.port")),
            supported_note(concat!($event, ".webhook.url"), "informative"),
            supported(concat!($event, ".webhook.serverCertSecret.**")),
            supported(concat!($event, ".webhook.serverKeySecret.**")),
            supported(concat!($event, ".webhook.authSecret.**")),
            supported(concat!($event, ".webhook.maxPayloadSize")),
            reported(
                concat!($event, ".webhook.metadata.**"),
                "put metadata beside webhook, as upstream reads it",
            ),
            supported(concat!($event, ".metadata.**")),
        ]
    };
    ($event:literal, filter) => {
        &[supported(concat!($event, ".filter.expression"))]
    };
}

/// All rows of an EventSource.
pub(super) const TABLES: &[&[Field]] = &[
    SOURCE,
    SOURCE_TYPES,
    endpoint!("spec.github.{*}"),
    endpoint!("spec.github.{*}", filter),
    GITHUB,
    endpoint!("spec.gitlab.{*}"),
    endpoint!("spec.gitlab.{*}", filter),
    GITLAB,
    endpoint!("spec.bitbucket.{*}"),
    endpoint!("spec.bitbucket.{*}", filter),
    BITBUCKET,
    endpoint!("spec.bitbucketserver.{*}"),
    endpoint!("spec.bitbucketserver.{*}", filter),
    BITBUCKET_SERVER,
    endpoint!("spec.gerrit.{*}"),
    endpoint!("spec.gerrit.{*}", filter),
    GERRIT,
    endpoint!("spec.slack.{*}"),
    endpoint!("spec.slack.{*}", filter),
    SLACK,
    endpoint!("spec.stripe.{*}"),
    STRIPE,
    endpoint!("spec.storageGrid.{*}"),
    STORAGE_GRID,
    endpoint!("spec.sns.{*}"),
    endpoint!("spec.sns.{*}", filter),
    SNS,
];

const SOURCE: &[Field] = &[
    supported("spec.eventBusName"),
    supported("spec.service.ports.**"),
    supported("spec.service.clusterIP"),
    supported("spec.service.metadata.**"),
    supported_note("spec.replicas", "the shared data plane serves any number"),
    supported("spec.revisionHistoryLimit"),
    reported("spec.template.**", NO_POD),
    supported_note("spec.webhook.{*}.endpoint", "also {name} and {name:regex}"),
    supported("spec.webhook.{*}.method"),
    supported_note(
        "spec.webhook.{*}.port",
        "the Service leads to a port that only this EventSource has; the port itself is open while one namespace alone names it",
    ),
    supported_note("spec.webhook.{*}.url", "informative"),
    supported("spec.webhook.{*}.serverCertSecret.**"),
    supported("spec.webhook.{*}.serverKeySecret.**"),
    supported("spec.webhook.{*}.metadata.**"),
    supported("spec.webhook.{*}.authSecret.**"),
    supported("spec.webhook.{*}.maxPayloadSize"),
    supported("spec.webhook.{*}.filter.expression"),
    supported_note("spec.calendar.{*}.schedule", "five fields"),
    supported("spec.calendar.{*}.interval"),
    supported("spec.calendar.{*}.exclusionDates[]"),
    supported("spec.calendar.{*}.timezone"),
    supported("spec.calendar.{*}.metadata.**"),
    supported("spec.calendar.{*}.persistence.catchup.**"),
    supported_note(
        "spec.calendar.{*}.persistence.configMap.**",
        "the last tick is kept on the bus instead",
    ),
    supported("spec.calendar.{*}.filter.expression"),
    supported_note(
        "spec.nats.{*}.url",
        "without credentials; the messages come in by one replica",
    ),
    supported("spec.nats.{*}.subject"),
    supported("spec.nats.{*}.queue"),
    supported("spec.nats.{*}.jsonBody"),
    reported(
        "spec.nats.{*}.connectionBackoff.**",
        "tried again each second until it works",
    ),
    supported("spec.nats.{*}.auth.basic.username.**"),
    supported("spec.nats.{*}.auth.basic.password.**"),
    supported("spec.nats.{*}.auth.token.**"),
    planned(
        "spec.nats.{*}.auth.nkey.**",
        "keys as credentials; use basic or token",
    ),
    planned(
        "spec.nats.{*}.auth.credential.**",
        "keys as credentials; use basic or token",
    ),
    supported("spec.nats.{*}.tls.caCertSecret.**"),
    supported("spec.nats.{*}.tls.clientCertSecret.**"),
    supported("spec.nats.{*}.tls.clientKeySecret.**"),
    supported("spec.nats.{*}.tls.insecureSkipVerify"),
    supported("spec.nats.{*}.metadata.**"),
    supported("spec.nats.{*}.filter.expression"),
];

const TYPE: &str = "this type of event source";

const SOURCE_TYPES: &[Field] = &[
    planned("spec.amqp.**", TYPE),
    planned("spec.azureEventsHub.**", TYPE),
    planned("spec.azureQueueStorage.**", TYPE),
    planned("spec.azureServiceBus.**", TYPE),
    planned("spec.emitter.**", TYPE),
    planned("spec.file.**", TYPE),
    planned("spec.generic.**", TYPE),
    planned("spec.hdfs.**", TYPE),
    planned("spec.kafka.**", TYPE),
    planned("spec.minio.**", TYPE),
    planned("spec.mns.**", TYPE),
    planned("spec.mqtt.**", TYPE),
    planned("spec.nsq.**", TYPE),
    planned("spec.pubSub.**", TYPE),
    planned("spec.pulsar.**", TYPE),
    planned("spec.redis.**", TYPE),
    planned("spec.redisStream.**", TYPE),
    planned("spec.resource.**", TYPE),
    planned("spec.sftp.**", TYPE),
    planned("spec.sqs.**", TYPE),
];

/// Keys of an EventSource's `spec` that are source types this crate does not serve.
pub fn unserved_source_types() -> impl Iterator<Item = &'static str> {
    SOURCE_TYPES
        .iter()
        .filter_map(|field| field.path.strip_prefix("spec.")?.strip_suffix(".**"))
}

/// Without an effect: nothing is registered at the service.
const HOOK: &str = "the webhook is not registered: add it at the service by hand";

const GITHUB: &[Field] = &[
    supported("spec.github.{*}.webhookSecret.**"),
    supported_note(
        "spec.github.{*}.id",
        "where the webhook was added by hand; informative",
    ),
    supported_note("spec.github.{*}.contentType", "both types are read"),
    supported_note(
        "spec.github.{*}.events[]",
        "where the webhook was added by hand; informative",
    ),
    supported_note(
        "spec.github.{*}.owner",
        "where the webhook was added by hand; informative",
    ),
    supported_note(
        "spec.github.{*}.repository",
        "where the webhook was added by hand; informative",
    ),
    supported_note(
        "spec.github.{*}.repositories[].**",
        "where the webhook was added by hand; informative",
    ),
    supported_note(
        "spec.github.{*}.organizations[]",
        "where the webhook was added by hand; informative",
    ),
    supported_note(
        "spec.github.{*}.active",
        "where the webhook was added by hand; informative",
    ),
    supported_note(
        "spec.github.{*}.insecure",
        "where the webhook was added by hand; informative",
    ),
    supported_note(
        "spec.github.{*}.githubBaseURL",
        "where the webhook was added by hand; informative",
    ),
    supported_note(
        "spec.github.{*}.githubUploadURL",
        "where the webhook was added by hand; informative",
    ),
    planned("spec.github.{*}.apiToken.**", HOOK),
    planned("spec.github.{*}.githubApp.**", HOOK),
    planned("spec.github.{*}.deleteHookOnFinish", HOOK),
    planned("spec.github.{*}.payloadEnrichment.**", HOOK),
];

const GITLAB: &[Field] = &[
    supported_note(
        "spec.gitlab.{*}.secretToken.**",
        "checked also where upstream does not manage the webhook; the header is masked in the payload",
    ),
    supported_note(
        "spec.gitlab.{*}.events[]",
        "where the webhook was added by hand; informative",
    ),
    supported_note(
        "spec.gitlab.{*}.projectID",
        "where the webhook was added by hand; informative",
    ),
    supported_note(
        "spec.gitlab.{*}.projects[]",
        "where the webhook was added by hand; informative",
    ),
    supported_note(
        "spec.gitlab.{*}.groups[]",
        "where the webhook was added by hand; informative",
    ),
    supported_note(
        "spec.gitlab.{*}.enableSSLVerification",
        "where the webhook was added by hand; informative",
    ),
    supported_note(
        "spec.gitlab.{*}.gitlabBaseURL",
        "where the webhook was added by hand; informative",
    ),
    planned("spec.gitlab.{*}.accessToken.**", HOOK),
    planned("spec.gitlab.{*}.deleteHookOnFinish", HOOK),
];

const BITBUCKET: &[Field] = &[
    supported_note(
        "spec.bitbucket.{*}.events[]",
        "where the webhook was added by hand; informative",
    ),
    supported_note(
        "spec.bitbucket.{*}.owner",
        "where the webhook was added by hand; informative",
    ),
    supported_note(
        "spec.bitbucket.{*}.projectKey",
        "where the webhook was added by hand; informative",
    ),
    supported_note(
        "spec.bitbucket.{*}.repositorySlug",
        "where the webhook was added by hand; informative",
    ),
    supported_note(
        "spec.bitbucket.{*}.repositories[].**",
        "where the webhook was added by hand; informative",
    ),
    planned("spec.bitbucket.{*}.auth.**", HOOK),
    planned("spec.bitbucket.{*}.deleteHookOnFinish", HOOK),
];

const BITBUCKET_SERVER: &[Field] = &[
    supported("spec.bitbucketserver.{*}.webhookSecret.**"),
    supported("spec.bitbucketserver.{*}.oneEventPerChange"),
    supported_note(
        "spec.bitbucketserver.{*}.events[]",
        "where the webhook was added by hand; informative",
    ),
    supported_note(
        "spec.bitbucketserver.{*}.projectKey",
        "where the webhook was added by hand; informative",
    ),
    supported_note(
        "spec.bitbucketserver.{*}.repositorySlug",
        "where the webhook was added by hand; informative",
    ),
    supported_note(
        "spec.bitbucketserver.{*}.projects[]",
        "where the webhook was added by hand; informative",
    ),
    supported_note(
        "spec.bitbucketserver.{*}.repositories[].**",
        "where the webhook was added by hand; informative",
    ),
    supported_note(
        "spec.bitbucketserver.{*}.bitbucketserverBaseURL",
        "where the webhook was added by hand; informative",
    ),
    planned("spec.bitbucketserver.{*}.accessToken.**", HOOK),
    planned("spec.bitbucketserver.{*}.deleteHookOnFinish", HOOK),
    planned("spec.bitbucketserver.{*}.checkInterval", HOOK),
    planned("spec.bitbucketserver.{*}.tls.**", HOOK),
    planned(
        "spec.bitbucketserver.{*}.skipBranchRefsChangedOnOpenPR",
        "pushes to branches with an open pull request become events",
    ),
];

const GERRIT: &[Field] = &[
    supported_note(
        "spec.gerrit.{*}.events[]",
        "where the webhook was added by hand; informative",
    ),
    supported_note(
        "spec.gerrit.{*}.hookName",
        "where the webhook was added by hand; informative",
    ),
    supported_note(
        "spec.gerrit.{*}.projects[]",
        "where the webhook was added by hand; informative",
    ),
    supported_note(
        "spec.gerrit.{*}.gerritBaseURL",
        "where the webhook was added by hand; informative",
    ),
    supported_note(
        "spec.gerrit.{*}.sslVerify",
        "where the webhook was added by hand; informative",
    ),
    planned("spec.gerrit.{*}.auth.**", HOOK),
    planned("spec.gerrit.{*}.deleteHookOnFinish", HOOK),
];

const SLACK: &[Field] = &[
    supported_note("spec.slack.{*}.signingSecret.**", "required"),
    supported_note(
        "spec.slack.{*}.token.**",
        "the verification token of the Events API; optional here",
    ),
];

const STRIPE: &[Field] = &[
    supported_note(
        "spec.stripe.{*}.eventFilter[]",
        "other events are answered with 200 and dropped",
    ),
    planned("spec.stripe.{*}.apiKey.**", HOOK),
    planned("spec.stripe.{*}.createWebhook", HOOK),
];

const STORAGE_GRID: &[Field] = &[
    supported("spec.storageGrid.{*}.filter.prefix"),
    supported("spec.storageGrid.{*}.filter.suffix"),
    supported_note(
        "spec.storageGrid.{*}.topicArn",
        "where the webhook was added by hand; informative",
    ),
    supported_note(
        "spec.storageGrid.{*}.bucket",
        "where the webhook was added by hand; informative",
    ),
    supported_note(
        "spec.storageGrid.{*}.events[]",
        "where the webhook was added by hand; informative",
    ),
    supported_note(
        "spec.storageGrid.{*}.region",
        "where the webhook was added by hand; informative",
    ),
    supported_note(
        "spec.storageGrid.{*}.apiURL",
        "where the webhook was added by hand; informative",
    ),
    planned("spec.storageGrid.{*}.authToken.**", HOOK),
];

const SNS: &[Field] = &[
    supported_note(
        "spec.sns.{*}.topicArn",
        "messages of other topics are refused",
    ),
    supported("spec.sns.{*}.region"),
    supported_note("spec.sns.{*}.endpoint", "where subscriptions are confirmed"),
    supported_note("spec.sns.{*}.validateSignature", "SignatureVersion 1 and 2"),
    planned(
        "spec.sns.{*}.accessKey.**",
        "the endpoint is not subscribed: subscribe it at the topic by hand; the confirmation is answered",
    ),
    planned(
        "spec.sns.{*}.secretKey.**",
        "the endpoint is not subscribed: subscribe it at the topic by hand; the confirmation is answered",
    ),
    planned(
        "spec.sns.{*}.roleARN",
        "the endpoint is not subscribed: subscribe it at the topic by hand; the confirmation is answered",
    ),
];
