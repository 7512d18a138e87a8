//! The support ledger of triggers that publish at message brokers.

use reconcile_core::fields::{Field, reported, supported, supported_note};

use super::broker_fields::{ATHENZ, PULSAR_NAME};

/// The trigger `kafka`, without its Secrets and parameters.
pub(super) const KAFKA: &[Field] = &[
    supported_note(
        "spec.triggers[].template.kafka.url",
        "HOST:PORT, several with commas; link-local addresses are refused",
    ),
    supported("spec.triggers[].template.kafka.topic"),
    supported_note(
        "spec.triggers[].template.kafka.requiredAcks",
        "1 for the leader; all replicas when 0 or -1",
    ),
    supported_note("spec.triggers[].template.kafka.compress", "with Snappy"),
    supported_note(
        "spec.triggers[].template.kafka.partitioningKey",
        "the key of the record",
    ),
    supported("spec.triggers[].template.kafka.headers.{*}"),
    supported("spec.triggers[].template.kafka.secureHeaders[].name"),
    supported_note(
        "spec.triggers[].template.kafka.sasl.mechanism",
        "PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512",
    ),
    supported("spec.triggers[].template.kafka.tls.insecureSkipVerify"),
    reported(
        "spec.triggers[].template.kafka.flushFrequency",
        "each record is sent at once and confirmed",
    ),
    reported(
        "spec.triggers[].template.kafka.partition",
        "without effect upstream too; the key chooses",
    ),
    reported(
        "spec.triggers[].template.kafka.version",
        "one protocol is spoken, which brokers from 2.1 to 4 know",
    ),
    reported(
        "spec.triggers[].template.kafka.schemaRegistry.**",
        "refused: records are not encoded by a registry",
    ),
];

/// The trigger `pulsar`, without its Secrets, its back-off and parameters.
pub(super) const PULSAR: &[Field] = &[
    supported_note(
        "spec.triggers[].template.pulsar.url",
        "pulsar:// or pulsar+ssl://, several hosts with commas; link-local addresses are refused, also for the brokers that these name",
    ),
    supported_note(
        "spec.triggers[].template.pulsar.topic",
        "any partition of it",
    ),
    supported("spec.triggers[].template.pulsar.tlsAllowInsecureConnection"),
    reported(
        "spec.triggers[].template.pulsar.tlsValidateHostname",
        PULSAR_NAME,
    ),
    supported("spec.triggers[].template.pulsar.tls.insecureSkipVerify"),
    reported(
        "spec.triggers[].template.pulsar.authAthenzParams.{*}",
        ATHENZ,
    ),
    reported(
        "spec.triggers[].template.pulsar.authAthenzSecret.**",
        ATHENZ,
    ),
];
