//! `amqp`: the messages of a queue of an AMQP 0.9.1 broker, such as RabbitMQ.
//!
//! A message is acknowledged after the bus has stored it, whatever `consume.autoAck` says: the broker keeps what was
//! not acknowledged, if the queue is durable, and delivers it again.

mod broker;
mod config;
mod consume;
mod transport;

use std::sync::Arc;

use super::kind::SourceKind;

/// The kind.
pub(super) const KIND: SourceKind = SourceKind {
    key: "amqp",
    check: |input| Ok(Arc::new(config::check(input)?)),
};
