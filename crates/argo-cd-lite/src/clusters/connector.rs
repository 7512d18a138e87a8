//! Makes the clients of a cluster. No request is sent yet.

use std::sync::Arc;

use kube::Client;
use reconcile_core::{
    client::{ClientPolicy, Connection, Deadlines, GuardError},
    clock::Clock,
    egress::EgressPolicy,
    operator::Role,
};
use thiserror::Error;

use super::{
    credentials::ConfigError,
    exec::ExecTokens,
    spec::{Access, ClusterSpec},
};

/// A cluster that no client can be made for.
#[derive(Debug, Error)]
pub enum ConnectError {
    /// The Secret.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The address of the server, or the certificates.
    #[error(transparent)]
    Client(#[from] GuardError),
}

/// The clients of one cluster, on one set of connections. Their writes pass the fence of the leader.
#[derive(Clone)]
pub struct ClusterClients {
    /// For everything but syncs.
    pub reads: Client,
    /// For syncs: its requests may take as long as admission webhooks do.
    pub syncs: Client,
}

/// Makes clients.
#[derive(Clone)]
pub struct Connector {
    /// The role whose lease allows writes.
    pub role: Role,
    /// The clients of the control plane's cluster.
    pub control_plane: ClusterClients,
    /// The deadlines of syncs.
    pub sync_deadlines: Deadlines,
    /// Which addresses a Secret may name.
    pub egress: EgressPolicy,
    /// When tokens end.
    pub clock: Clock,
}

impl Connector {
    /// The clients of a cluster.
    pub fn connect(&self, spec: &ClusterSpec) -> Result<ClusterClients, ConnectError> {
        let remote = match &spec.access {
            Access::ControlPlane => return Ok(self.control_plane.clone()),
            Access::Remote(remote) => remote,
        };
        let mut connection = Connection::guarded(&remote.client_config()?, self.egress)?;
        if let Some(provider) = remote.exec() {
            let tokens = ExecTokens::new(provider.clone(), self.clock.clone());
            connection = connection.with_tokens(Arc::new(tokens));
        }
        let policy = self.role.policy();
        Ok(ClusterClients {
            reads: connection.client(policy.clone()),
            syncs: connection.client(ClientPolicy {
                deadlines: self.sync_deadlines,
                ..policy.clone()
            }),
        })
    }
}
