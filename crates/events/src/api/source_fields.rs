//! The support ledger of event sources.

use reconcile_core::fields::{Field, Level, reported, supported, supported_note};

use super::{
    broker_fields::{BROKER_BACKOFFS, BROKER_SELECTORS, BROKERS},
    cloud_fields::{
        AZURE_EVENTS_HUB, AZURE_QUEUE_STORAGE, AZURE_SERVICE_BUS, CLOUD_NOTED_SELECTORS,
        CLOUD_SELECTORS, MINIO, PUB_SUB, SQS,
    },
    hook_fields::{
        BITBUCKET, BITBUCKET_SERVER, GERRIT, GITHUB, GITLAB, SLACK, SNS, STORAGE_GRID, STRIPE,
    },
};

/// Why pod settings have no effect.
pub(super) const NO_POD: &str = "events run in the shared data plane; there is no pod of its own";

/// Where pod settings have an effect.
pub(super) const OWN_POD: &str =
    "heeded in a pod of its own, which the controller gives with --dedicated-template";

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
            supported_note(
                concat!($event, ".webhook.url"),
                "what the service is registered to call, where credentials are given",
            ),
            supported(concat!($event, ".webhook.serverCertSecret")),
            supported(concat!($event, ".webhook.serverCertSecret.name")),
            supported(concat!($event, ".webhook.serverCertSecret.key")),
            supported(concat!($event, ".webhook.serverCertSecret.optional")),
            supported(concat!($event, ".webhook.serverKeySecret")),
            supported(concat!($event, ".webhook.serverKeySecret.name")),
            supported(concat!($event, ".webhook.serverKeySecret.key")),
            supported(concat!($event, ".webhook.serverKeySecret.optional")),
            supported(concat!($event, ".webhook.authSecret")),
            supported(concat!($event, ".webhook.authSecret.name")),
            supported(concat!($event, ".webhook.authSecret.key")),
            supported(concat!($event, ".webhook.authSecret.optional")),
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

const STATUS: &[Field] = &[supported_note(
    "status.registered[].**",
    "what is removed at a service with its event; no secret values",
)];

/// All rows of an EventSource.
pub(super) const TABLES: &[&[Field]] = &[
    STATUS,
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
    REDIS,
    REDIS_STREAM,
    SELECTORS,
    RESOURCE,
    BROKERS,
    BROKER_SELECTORS,
    BROKER_BACKOFFS,
    SQS,
    MINIO,
    PUB_SUB,
    AZURE_SERVICE_BUS,
    AZURE_QUEUE_STORAGE,
    AZURE_EVENTS_HUB,
    CLOUD_SELECTORS,
    CLOUD_NOTED_SELECTORS,
    GENERIC,
    FILE,
    SFTP,
    NOTED_SELECTORS,
];

const SOURCE: &[Field] = &[
    supported("spec.eventBusName"),
    supported("spec.service.ports[]"),
    supported("spec.service.ports[].name"),
    supported("spec.service.ports[].protocol"),
    supported("spec.service.ports[].appProtocol"),
    supported("spec.service.ports[].port"),
    supported("spec.service.ports[].targetPort"),
    supported("spec.service.ports[].nodePort"),
    supported("spec.service.clusterIP"),
    supported("spec.service.metadata.labels.{*}"),
    supported("spec.service.metadata.annotations.{*}"),
    supported_note("spec.replicas", "the shared data plane serves any number"),
    supported("spec.revisionHistoryLimit"),
    supported_note(
        "spec.template.serviceAccountName",
        "the account that resource acts as; default when absent",
    ),
    reported("spec.template.**", NO_POD),
    reported("spec.template.nodeSelector.{*}", OWN_POD),
    reported("spec.template.tolerations[].**", OWN_POD),
    reported("spec.template.affinity.**", OWN_POD),
    reported("spec.template.container.resources.**", OWN_POD),
    supported_note("spec.webhook.{*}.endpoint", "also {name} and {name:regex}"),
    supported("spec.webhook.{*}.method"),
    supported_note(
        "spec.webhook.{*}.port",
        "the Service leads to a port that only this EventSource has; the port itself is open while one namespace alone names it",
    ),
    supported_note("spec.webhook.{*}.url", "informative"),
    supported("spec.webhook.{*}.metadata.**"),
    supported("spec.webhook.{*}.maxPayloadSize"),
    supported("spec.webhook.{*}.filter.expression"),
    supported_note("spec.calendar.{*}.schedule", "five fields"),
    supported("spec.calendar.{*}.interval"),
    supported("spec.calendar.{*}.exclusionDates[]"),
    supported("spec.calendar.{*}.timezone"),
    supported("spec.calendar.{*}.metadata.**"),
    supported("spec.calendar.{*}.persistence.catchup.enabled"),
    supported("spec.calendar.{*}.persistence.catchup.maxDuration"),
    supported_note(
        "spec.calendar.{*}.persistence.configMap.name",
        "the last tick is kept on the bus instead",
    ),
    supported_note(
        "spec.calendar.{*}.persistence.configMap.createIfNotExist",
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
    supported("spec.nats.{*}.tls.insecureSkipVerify"),
    supported("spec.nats.{*}.metadata.**"),
    supported("spec.nats.{*}.filter.expression"),
];

const HDFS: &str = "refused: it needs a client of Hadoop with Kerberos; let the job that writes the files call a webhook";

const MNS: &str = "refused: there is no kept client of Alibaba's queues; let a subscription of theirs call a webhook";

const SOURCE_TYPES: &[Field] = &[reported("spec.hdfs.**", HDFS), reported("spec.mns.**", MNS)];

/// Keys of an EventSource's `spec` that are source types this crate does not serve, and why where it never will.
pub fn unserved_source_types() -> impl Iterator<Item = (&'static str, Option<&'static str>)> {
    SOURCE_TYPES.iter().filter_map(|field| {
        let key = field.path.strip_prefix("spec.")?.strip_suffix(".**")?;
        Some((key, (field.level == Level::Reported).then_some(field.note)))
    })
}

const REDIS: &[Field] = &[
    supported_note(
        "spec.redis.{*}.hostAddress",
        "HOST:PORT; link-local addresses are refused",
    ),
    supported("spec.redis.{*}.username"),
    supported("spec.redis.{*}.db"),
    supported_note(
        "spec.redis.{*}.channels[]",
        "Redis keeps nothing while nobody listens",
    ),
    supported("spec.redis.{*}.jsonBody"),
    reported(
        "spec.redis.{*}.namespace",
        "Secrets are read in the namespace of the EventSource",
    ),
    supported("spec.redis.{*}.tls.insecureSkipVerify"),
    supported("spec.redis.{*}.metadata.**"),
    supported("spec.redis.{*}.filter.expression"),
];

const REDIS_STREAM: &[Field] = &[
    supported_note(
        "spec.redisStream.{*}.hostAddress",
        "HOST:PORT; link-local addresses are refused",
    ),
    supported("spec.redisStream.{*}.username"),
    supported("spec.redisStream.{*}.db"),
    supported_note("spec.redisStream.{*}.streams[]", "a missing one is created"),
    supported("spec.redisStream.{*}.consumerGroup"),
    supported_note("spec.redisStream.{*}.maxMsgCountPerRead", "100 when absent"),
    supported("spec.redisStream.{*}.tls.insecureSkipVerify"),
    supported("spec.redisStream.{*}.metadata.**"),
    supported("spec.redisStream.{*}.filter.expression"),
];

const SELECTORS: &[Field] = selectors![
    "spec.webhook.{*}.serverCertSecret",
    "spec.webhook.{*}.serverKeySecret",
    "spec.webhook.{*}.authSecret",
    "spec.nats.{*}.auth.basic.username",
    "spec.nats.{*}.auth.basic.password",
    "spec.nats.{*}.auth.token",
    "spec.nats.{*}.auth.nkey",
    "spec.nats.{*}.auth.credential",
    "spec.nats.{*}.tls.caCertSecret",
    "spec.nats.{*}.tls.clientCertSecret",
    "spec.nats.{*}.tls.clientKeySecret",
    "spec.redis.{*}.password",
    "spec.redis.{*}.tls.caCertSecret",
    "spec.redis.{*}.tls.clientCertSecret",
    "spec.redis.{*}.tls.clientKeySecret",
    "spec.redisStream.{*}.password",
    "spec.redisStream.{*}.tls.caCertSecret",
    "spec.redisStream.{*}.tls.clientCertSecret",
    "spec.redisStream.{*}.tls.clientKeySecret",
    "spec.generic.{*}.authSecret",
    "spec.github.{*}.webhookSecret",
    "spec.bitbucketserver.{*}.webhookSecret",
    "spec.sftp.{*}.username",
    "spec.sftp.{*}.password",
];

const NOTED_SELECTORS: &[Field] = noted_selectors![
    "spec.gitlab.{*}.secretToken",
    "spec.slack.{*}.signingSecret",
    "spec.slack.{*}.token",
    "spec.sftp.{*}.address",
    "spec.sftp.{*}.sshKeySecret",
];

const GENERIC: &[Field] = &[
    supported_note(
        "spec.generic.{*}.url",
        "HOST:PORT; link-local addresses are refused",
    ),
    supported("spec.generic.{*}.config"),
    supported_note(
        "spec.generic.{*}.insecure",
        "when false, TLS with the certificates of the system",
    ),
    supported("spec.generic.{*}.jsonBody"),
    supported("spec.generic.{*}.metadata.**"),
    supported("spec.generic.{*}.filter.expression"),
];

const FILE: &[Field] = &[
    supported("spec.file.{*}.eventType"),
    supported_note(
        "spec.file.{*}.watchPathConfig.directory",
        "in the pod of the controller, where --watched-folders permits it",
    ),
    supported("spec.file.{*}.watchPathConfig.path"),
    supported("spec.file.{*}.watchPathConfig.pathRegexp"),
    supported_note("spec.file.{*}.polling", "once a second"),
    supported("spec.file.{*}.metadata.**"),
    supported("spec.file.{*}.filter.expression"),
];

const SFTP: &[Field] = &[
    supported_note(
        "spec.sftp.{*}.address",
        "HOST:PORT, and in further lines the host keys of the server; without any, the first one it shows is remembered; link-local addresses are refused",
    ),
    supported_note(
        "spec.sftp.{*}.sshKeySecret",
        "ed25519, ECDSA or RSA without a passphrase; host keys in further lines count too",
    ),
    supported_note(
        "spec.sftp.{*}.eventType",
        "CREATE, which a changed file is too; REMOVE; WRITE, which upstream never sends",
    ),
    supported("spec.sftp.{*}.watchPathConfig.directory"),
    supported("spec.sftp.{*}.watchPathConfig.path"),
    supported("spec.sftp.{*}.watchPathConfig.pathRegexp"),
    supported_note(
        "spec.sftp.{*}.pollIntervalDuration",
        "10s when absent, 1s at least; upstream takes 10s whatever it says",
    ),
    supported("spec.sftp.{*}.metadata.**"),
    supported("spec.sftp.{*}.filter.expression"),
];

const RESOURCE: &[Field] = &[
    supported("spec.resource.{*}.namespace"),
    supported("spec.resource.{*}.group"),
    supported("spec.resource.{*}.version"),
    supported("spec.resource.{*}.resource"),
    supported("spec.resource.{*}.eventTypes[]"),
    supported("spec.resource.{*}.filter.prefix"),
    supported("spec.resource.{*}.filter.labels[].key"),
    supported_note(
        "spec.resource.{*}.filter.labels[].operation",
        "= == != in notin exists !",
    ),
    supported("spec.resource.{*}.filter.labels[].value"),
    supported("spec.resource.{*}.filter.fields[].key"),
    supported_note("spec.resource.{*}.filter.fields[].operation", "= == !="),
    supported("spec.resource.{*}.filter.fields[].value"),
    supported("spec.resource.{*}.filter.createdBy"),
    supported_note(
        "spec.resource.{*}.filter.afterStart",
        "after the first start of the source, also over restarts",
    ),
    reported(
        "spec.resource.{*}.cluster",
        "without effect upstream too: the cluster of the controller is watched",
    ),
    supported("spec.resource.{*}.metadata.**"),
];
