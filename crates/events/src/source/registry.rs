//! All kinds of event sources that a task brings in.

use super::{kind::SourceKind, mqtt, nats, redis, resource, schedule};

/// The kinds, in the order in which their events are checked.
pub const ALL: &[&SourceKind] = &[
    &schedule::KIND,
    &nats::KIND,
    &mqtt::MQTT,
    &mqtt::EMITTER,
    &redis::CHANNELS,
    &redis::STREAMS,
    &resource::KIND,
];
