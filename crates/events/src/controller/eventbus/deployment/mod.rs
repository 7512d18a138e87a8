//! The servers of an EventBus that the controller deploys.

mod check;
pub mod config;
pub mod live;
pub mod native;
pub mod objects;
pub mod secrets;
pub mod server;
#[cfg(test)]
mod tests;

use crate::api::jetstream::JetStreamSpec;

pub use check::{Asked, check};
pub use config::{BusDefaults, Version};
pub use live::Live;
pub use objects::{Managed, ManagedKind};

const CLIENT_PORT: u16 = 4222;
const CLUSTER_PORT: u16 = 6222;
const MONITOR_PORT: u16 = 8222;
const METRICS_PORT: u16 = 7777;

/// A bus to deploy, with everything checked.
#[derive(Clone, Debug, PartialEq)]
pub struct Deployment {
    /// Names of the objects.
    pub names: Names,
    /// What the manifest says.
    pub spec: JetStreamSpec,
    /// Number of servers.
    pub replicas: u16,
    /// The images.
    pub version: Version,
    /// Lines inside `jetstream {}` of the server's configuration.
    pub settings: String,
    /// Longest message.
    pub max_payload: String,
    /// The manifest asks for NATS Streaming.
    pub is_native: bool,
}

impl Deployment {
    /// True when the servers form a cluster.
    pub fn is_clustered(&self) -> bool {
        self.replicas > 2
    }
}

/// Names of the objects of a bus, as upstream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Names {
    /// Name of the EventBus.
    pub bus: String,
}

impl Names {
    /// The StatefulSet.
    pub fn stateful_set(&self) -> String {
        format!("eventbus-{}-js", self.bus)
    }

    /// The headless Service.
    pub fn service(&self) -> String {
        format!("eventbus-{}-js-svc", self.bus)
    }

    /// The ConfigMap with the server's configuration.
    pub fn config_map(&self) -> String {
        format!("eventbus-{}-js-config", self.bus)
    }

    /// The Secret of the servers.
    pub fn server_secret(&self) -> String {
        format!("eventbus-{}-js-server", self.bus)
    }

    /// The Secret of the clients.
    pub fn client_secret(&self) -> String {
        format!("eventbus-{}-js-client-auth", self.bus)
    }

    /// The template of the volume claims.
    pub fn volume(&self) -> String {
        format!("eventbus-{}-js-vol", self.bus)
    }

    /// Where clients connect.
    pub fn url(&self, namespace: &str) -> String {
        format!("nats://{}.{namespace}.svc:{CLIENT_PORT}", self.service())
    }

    /// Labels of all objects, which select the pods and the volume claims.
    pub fn labels(&self) -> [(&'static str, &str); 3] {
        [
            ("controller", "eventbus-controller"),
            ("eventbus-name", &self.bus),
            ("owner-name", &self.bus),
        ]
    }

    /// The labels as a selector.
    pub fn selector(&self) -> String {
        self.labels()
            .map(|(key, value)| format!("{key}={value}"))
            .join(",")
    }
}
