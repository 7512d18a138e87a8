//! Event sources: what turns the outside world into events on the bus.

#[cfg(feature = "amqp")]
mod amqp;
mod azure_events_hub;
mod azure_queue_storage;
mod azure_service_bus;
pub mod backlog;
mod body;
pub mod calendar;
pub mod certificate;
pub mod checkpoint;
pub mod emitter;
pub mod files;
pub mod filter;
mod generic;
pub mod hook;
mod http_server;
mod kafka;
pub mod kind;
pub mod listener;
mod minio;
mod mqtt;
mod nats;
pub mod nsq;
mod open_error;
mod pub_sub;
mod pulsar;
mod reconnect;
pub mod redis;
pub mod registered;
pub mod registry;
pub mod request;
mod resource;
mod rounds;
pub mod routes;
mod schedule;
mod served;
pub(crate) mod server;
pub mod service_context;
#[cfg(feature = "sftp")]
pub mod sftp;
mod sqs;
mod targets;
mod tokens;
pub mod webhook;

use std::collections::BTreeSet;

use reconcile_core::object::ObjectKey;

pub use calendar::Calendar;
pub use certificate::ServerCertificate;
pub use emitter::{EmitError, Emitted, Emitter};
pub use filter::EventFilter;
pub use hook::BoundHook;
pub use kind::{Source, SourceContext, SourceLimits, TaskEvent};
pub use listener::Listeners;
pub use registered::Registered;
pub use routes::Endpoint;
pub use service_context::ServiceContext;
pub use webhook::Webhook;

/// An EventSource with everything checked and every secret read.
#[derive(Clone, Debug, PartialEq)]
pub struct CheckedSource {
    /// The object.
    pub key: ObjectKey,
    /// Its uid, part of deterministic event ids.
    pub uid: String,
    /// HTTP endpoints.
    pub webhooks: Vec<Webhook>,
    /// Events that tasks bring in.
    pub tasks: Vec<TaskEvent>,
    /// A Service leads to the endpoints.
    pub service: bool,
    /// Ports of the endpoints that EventSources of other namespaces name too.
    pub contested: BTreeSet<u16>,
}

impl CheckedSource {
    /// The names of all events.
    pub fn events(&self) -> impl Iterator<Item = &str> {
        let webhooks = self.webhooks.iter().map(|webhook| webhook.event.as_str());
        // Some tasks register the webhook of an event.
        let known = |name: &&str| self.webhooks.iter().all(|webhook| webhook.event != *name);
        let tasks = self.tasks.iter().map(|task| task.event.as_str());
        webhooks.chain(tasks.filter(known))
    }
}
