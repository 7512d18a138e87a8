//! All kinds of event sources that a task brings in.

use super::{kind::SourceKind, nats, redis, resource, schedule};

/// The kinds, in the order in which their events are checked.
pub const ALL: &[&SourceKind] = &[
    &schedule::KIND,
    &nats::KIND,
    &redis::CHANNELS,
    &redis::STREAMS,
    &resource::KIND,
];
