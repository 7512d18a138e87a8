//! The support ledger of event sources that subscribe at message brokers.

use reconcile_core::fields::{Field, reported, supported, supported_note};

/// What becomes of `tlsValidateHostname`.
pub(super) const PULSAR_NAME: &str = "the name in the certificate is always checked, as upstream's client does too, unless tlsAllowInsecureConnection is set";

/// Why there is no Athenz.
pub(super) const ATHENZ: &str = "refused: use authTokenSecret, or a client certificate in tls";

/// The fields of the sources that are neither Secrets nor back-offs.
pub(super) const BROKERS: &[Field] = &[
    supported_note(
        "spec.amqp.{*}.url",
        "amqp:// or amqps://; link-local addresses are refused",
    ),
    supported_note(
        "spec.amqp.{*}.exchangeName",
        "empty with queueDeclare.name: the queue alone",
    ),
    supported_note(
        "spec.amqp.{*}.exchangeType",
        "one of a plugin, such as x-delayed-message, may exist already",
    ),
    supported("spec.amqp.{*}.routingKey"),
    supported("spec.amqp.{*}.jsonBody"),
    supported("spec.amqp.{*}.exchangeDeclare.durable"),
    supported("spec.amqp.{*}.exchangeDeclare.autoDelete"),
    supported("spec.amqp.{*}.exchangeDeclare.internal"),
    supported("spec.amqp.{*}.exchangeDeclare.noWait"),
    supported("spec.amqp.{*}.queueDeclare.name"),
    supported("spec.amqp.{*}.queueDeclare.durable"),
    supported("spec.amqp.{*}.queueDeclare.autoDelete"),
    supported("spec.amqp.{*}.queueDeclare.exclusive"),
    supported("spec.amqp.{*}.queueDeclare.noWait"),
    supported_note(
        "spec.amqp.{*}.queueDeclare.arguments",
        "a YAML map of strings, numbers and booleans",
    ),
    supported("spec.amqp.{*}.queueBind.noWait"),
    supported("spec.amqp.{*}.consume.consumerTag"),
    reported(
        "spec.amqp.{*}.consume.autoAck",
        "a message is always acknowledged after the bus has stored it",
    ),
    supported("spec.amqp.{*}.consume.exclusive"),
    supported("spec.amqp.{*}.consume.noLocal"),
    supported("spec.amqp.{*}.consume.noWait"),
    supported("spec.amqp.{*}.tls.insecureSkipVerify"),
    supported("spec.amqp.{*}.metadata.**"),
    supported("spec.amqp.{*}.filter.expression"),
    supported_note(
        "spec.kafka.{*}.url",
        "HOST:PORT, several with commas; link-local addresses are refused",
    ),
    supported("spec.kafka.{*}.topic"),
    supported_note(
        "spec.kafka.{*}.partition",
        "without consumerGroup; the next offset is kept on the bus",
    ),
    supported("spec.kafka.{*}.consumerGroup.groupName"),
    supported("spec.kafka.{*}.consumerGroup.oldest"),
    supported_note(
        "spec.kafka.{*}.consumerGroup.rebalanceStrategy",
        "range, roundrobin or sticky",
    ),
    supported("spec.kafka.{*}.limitEventsPerSecond"),
    supported("spec.kafka.{*}.jsonBody"),
    supported_note(
        "spec.kafka.{*}.sasl.mechanism",
        "PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512",
    ),
    reported(
        "spec.kafka.{*}.version",
        "one protocol is spoken, which brokers from 2.1 to 4 know",
    ),
    reported(
        "spec.kafka.{*}.config",
        "settings of a library in Go; use the fields above",
    ),
    reported(
        "spec.kafka.{*}.schemaRegistry.**",
        "refused: records are not decoded by a registry",
    ),
    supported("spec.kafka.{*}.tls.insecureSkipVerify"),
    supported("spec.kafka.{*}.metadata.**"),
    supported("spec.kafka.{*}.filter.expression"),
    supported_note(
        "spec.mqtt.{*}.url",
        "tcp:// or ssl://; link-local addresses are refused",
    ),
    supported_note("spec.mqtt.{*}.topic", "subscribed with QoS 1"),
    supported_note(
        "spec.mqtt.{*}.clientId",
        "the broker keeps the session of this client",
    ),
    supported("spec.mqtt.{*}.jsonBody"),
    supported("spec.mqtt.{*}.tls.insecureSkipVerify"),
    supported("spec.mqtt.{*}.metadata.**"),
    supported("spec.mqtt.{*}.filter.expression"),
    supported_note(
        "spec.emitter.{*}.broker",
        "tcp:// or ssl://; link-local addresses are refused",
    ),
    supported("spec.emitter.{*}.channelKey"),
    supported_note(
        "spec.emitter.{*}.channelName",
        "the broker keeps nothing while nobody listens",
    ),
    supported("spec.emitter.{*}.jsonBody"),
    supported("spec.emitter.{*}.tls.insecureSkipVerify"),
    supported("spec.emitter.{*}.metadata.**"),
    supported("spec.emitter.{*}.filter.expression"),
    supported_note(
        "spec.nsq.{*}.hostAddress",
        "HOST:PORT of nsqlookupd; link-local addresses are refused, also for the servers that it names",
    ),
    supported("spec.nsq.{*}.topic"),
    supported("spec.nsq.{*}.channel"),
    supported("spec.nsq.{*}.jsonBody"),
    supported("spec.nsq.{*}.tls.insecureSkipVerify"),
    supported("spec.nsq.{*}.metadata.**"),
    supported("spec.nsq.{*}.filter.expression"),
    supported_note(
        "spec.pulsar.{*}.url",
        "pulsar:// or pulsar+ssl://, several hosts with commas; link-local addresses are refused, also for the brokers that these name",
    ),
    supported_note(
        "spec.pulsar.{*}.topics[]",
        "all partitions of them; the subscription has the name of the event",
    ),
    supported_note("spec.pulsar.{*}.type", "exclusive or shared"),
    supported("spec.pulsar.{*}.jsonBody"),
    supported("spec.pulsar.{*}.tlsAllowInsecureConnection"),
    reported("spec.pulsar.{*}.tlsValidateHostname", PULSAR_NAME),
    supported("spec.pulsar.{*}.tls.insecureSkipVerify"),
    reported("spec.pulsar.{*}.authAthenzParams.{*}", ATHENZ),
    reported("spec.pulsar.{*}.authAthenzSecret.**", ATHENZ),
    supported("spec.pulsar.{*}.metadata.**"),
    supported("spec.pulsar.{*}.filter.expression"),
];

/// Their Secrets.
pub(super) const BROKER_SELECTORS: &[Field] = selectors![
    "spec.amqp.{*}.urlSecret",
    "spec.amqp.{*}.auth.username",
    "spec.amqp.{*}.auth.password",
    "spec.amqp.{*}.tls.caCertSecret",
    "spec.amqp.{*}.tls.clientCertSecret",
    "spec.amqp.{*}.tls.clientKeySecret",
    "spec.kafka.{*}.sasl.userSecret",
    "spec.kafka.{*}.sasl.passwordSecret",
    "spec.kafka.{*}.tls.caCertSecret",
    "spec.kafka.{*}.tls.clientCertSecret",
    "spec.kafka.{*}.tls.clientKeySecret",
    "spec.mqtt.{*}.auth.username",
    "spec.mqtt.{*}.auth.password",
    "spec.mqtt.{*}.tls.caCertSecret",
    "spec.mqtt.{*}.tls.clientCertSecret",
    "spec.mqtt.{*}.tls.clientKeySecret",
    "spec.emitter.{*}.username",
    "spec.emitter.{*}.password",
    "spec.emitter.{*}.tls.caCertSecret",
    "spec.emitter.{*}.tls.clientCertSecret",
    "spec.emitter.{*}.tls.clientKeySecret",
    "spec.nsq.{*}.tls.caCertSecret",
    "spec.nsq.{*}.tls.clientCertSecret",
    "spec.nsq.{*}.tls.clientKeySecret",
    "spec.pulsar.{*}.authTokenSecret",
    "spec.pulsar.{*}.tlsTrustCertsSecret",
    "spec.pulsar.{*}.tls.caCertSecret",
    "spec.pulsar.{*}.tls.clientCertSecret",
    "spec.pulsar.{*}.tls.clientKeySecret",
];

/// Their back-offs. A source never gives up: after `steps` the pause stays.
pub(super) const BROKER_BACKOFFS: &[Field] = backoffs![
    "spec.nats.{*}.connectionBackoff",
    "spec.amqp.{*}.connectionBackoff",
    "spec.kafka.{*}.connectionBackoff",
    "spec.mqtt.{*}.connectionBackoff",
    "spec.emitter.{*}.connectionBackoff",
    "spec.nsq.{*}.connectionBackoff",
    "spec.pulsar.{*}.connectionBackoff",
];
