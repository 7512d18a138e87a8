//! The support ledger of event sources that subscribe at message brokers.

use reconcile_core::fields::{Field, supported, supported_note};

/// The fields of the sources that are neither Secrets nor back-offs.
pub(super) const BROKERS: &[Field] = &[
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
];

/// Their Secrets.
pub(super) const BROKER_SELECTORS: &[Field] = selectors![
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
];

/// Their back-offs. A source never gives up: after `steps` the pause stays.
pub(super) const BROKER_BACKOFFS: &[Field] = backoffs![
    "spec.nats.{*}.connectionBackoff",
    "spec.mqtt.{*}.connectionBackoff",
    "spec.emitter.{*}.connectionBackoff",
];
