//! The support ledger of EventBus.

use reconcile_core::fields::{Field, Ledger, reported, supported, supported_note};

/// EventBus.
pub const EVENT_BUS: Ledger = Ledger {
    kind: "EventBus",
    tables: &[
        BUS,
        JETSTREAM,
        NATIVE,
        BUS_NOTED,
        BUS_SELECTORS,
        BUS_CONTAINERS,
    ],
};
const BUS: &[Field] = &[
    supported("spec.jetstreamExotic.url"),
    supported_note(
        "spec.jetstreamExotic.accessSecret",
        "YAML with username and password, token or nkey (a seed); or a credentials file",
    ),
    supported_note(
        "spec.jetstreamExotic.streamConfig",
        "maxMsgs maxAge maxBytes replicas duplicates retention discard; an existing stream is changed where the server permits it",
    ),
    supported("spec.jetstreamExotic.tls.insecureSkipVerify"),
    reported("spec.nats.exotic.**", NO_STREAMING),
    reported("spec.kafka.**", NO_KAFKA),
];

const NO_STREAMING: &str =
    "refused: NATS Streaming has no maintained client; use jetstreamExotic with a JetStream server";
const NO_KAFKA: &str = "refused: buses are JetStream";
const BY_JETSTREAM: &str = "without effect: the bus is served by JetStream";

const JETSTREAM: &[Field] = &[
    supported_note(
        "spec.jetstream.version",
        "one of configs.jetstream.versions of the chart",
    ),
    supported_note("spec.jetstream.replicas", "1, or 3 and more; 3 when absent"),
    supported("spec.jetstream.settings"),
    supported_note(
        "spec.jetstream.streamConfig",
        "maxMsgs maxAge maxBytes replicas duplicates retention discard, over those of the chart",
    ),
    supported("spec.jetstream.maxPayload"),
    supported("spec.jetstream.startArgs[]"),
    supported("spec.jetstream.persistence.storageClassName"),
    supported("spec.jetstream.persistence.accessMode"),
    supported("spec.jetstream.persistence.volumeSize"),
    supported("spec.jetstream.metadata.labels.{*}"),
    supported("spec.jetstream.metadata.annotations.{*}"),
    supported("spec.jetstream.nodeSelector.{*}"),
    supported("spec.jetstream.tolerations[].**"),
    supported("spec.jetstream.securityContext.**"),
    supported("spec.jetstream.imagePullSecrets[].**"),
    supported("spec.jetstream.priorityClassName"),
    supported("spec.jetstream.priority"),
    supported("spec.jetstream.serviceAccountName"),
    supported("spec.jetstream.affinity.**"),
];

const NATIVE: &[Field] = &[
    supported_note(
        "spec.nats.native.replicas",
        "served by JetStream; at least 3, as upstream",
    ),
    supported("spec.nats.native.antiAffinity"),
    supported("spec.nats.native.maxAge"),
    supported("spec.nats.native.maxBytes"),
    supported("spec.nats.native.maxMsgs"),
    supported("spec.nats.native.maxPayload"),
    reported(
        "spec.nats.native.auth",
        "user and password, as of jetstream",
    ),
    reported("spec.nats.native.maxSubs", BY_JETSTREAM),
    reported("spec.nats.native.raftCommitTimeout", BY_JETSTREAM),
    reported("spec.nats.native.raftElectionTimeout", BY_JETSTREAM),
    reported("spec.nats.native.raftHeartbeatTimeout", BY_JETSTREAM),
    reported("spec.nats.native.raftLeaseTimeout", BY_JETSTREAM),
    supported("spec.nats.native.persistence.storageClassName"),
    supported("spec.nats.native.persistence.accessMode"),
    supported("spec.nats.native.persistence.volumeSize"),
    supported("spec.nats.native.metadata.labels.{*}"),
    supported("spec.nats.native.metadata.annotations.{*}"),
    supported("spec.nats.native.nodeSelector.{*}"),
    supported("spec.nats.native.tolerations[].**"),
    supported("spec.nats.native.securityContext.**"),
    supported("spec.nats.native.imagePullSecrets[].**"),
    supported("spec.nats.native.priorityClassName"),
    supported("spec.nats.native.priority"),
    supported("spec.nats.native.serviceAccountName"),
    supported("spec.nats.native.affinity.**"),
];

const BUS_CONTAINERS: &[Field] = bus_containers![
    "spec.jetstream.containerTemplate",
    "spec.jetstream.reloaderContainerTemplate",
    "spec.jetstream.metricsContainerTemplate",
    "spec.nats.native.containerTemplate",
    "spec.nats.native.metricsContainerTemplate",
];

const BUS_NOTED: &[Field] = noted_selectors!["spec.jetstreamExotic.accessSecret"];

const BUS_SELECTORS: &[Field] = selectors![
    "spec.jetstreamExotic.tls.caCertSecret",
    "spec.jetstreamExotic.tls.clientCertSecret",
    "spec.jetstreamExotic.tls.clientKeySecret",
];
