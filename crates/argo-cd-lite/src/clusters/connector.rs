//! Makes the clients of a cluster. No request is sent yet.

use std::sync::Arc;

use kube::Client;
use reconcile_core::{
    aws::Environment,
    client::{ClientPolicy, Connection, Deadlines, GuardError},
    clock::Clock,
    egress::EgressPolicy,
    operator::Role,
    shards::{ByClaim, Claim},
};
use thiserror::Error;

use super::{
    credentials::{ConfigError, Login},
    spec::{Access, ClusterSpec},
    tokens::{KeptTokens, TokenProvider},
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

/// The clients of one cluster, on one set of connections.
#[derive(Clone)]
pub struct ClusterClients {
    /// For everything but syncs.
    pub reads: Client,
    /// For syncs.
    pub syncs: SyncClients,
}

/// The clients of syncs on one cluster. Cloning shares them.
#[derive(Clone)]
pub struct SyncClients(Arc<SyncAccess>);

struct SyncAccess {
    /// `None` for the cluster of the control plane, which roles are connected to already.
    remote: Option<Connection>,
    deadlines: Deadlines,
    clients: ByClaim<Client>,
}

impl SyncClients {
    fn new(remote: Option<Connection>, deadlines: Deadlines) -> Self {
        Self(Arc::new(SyncAccess {
            remote,
            deadlines,
            clients: ByClaim::default(),
        }))
    }

    /// The client for what is written by a claim; its writes pass the fence of the claim's lease.
    pub(super) fn of(&self, claim: &Claim) -> Client {
        let SyncAccess {
            remote,
            deadlines,
            clients,
        } = &*self.0;
        clients.of(claim, || match remote {
            None => claim.role().with_deadlines(*deadlines),
            Some(connection) => connection.client(ClientPolicy {
                deadlines: *deadlines,
                ..claim.role().policy().clone()
            }),
        })
    }
}

/// Makes clients.
#[derive(Clone)]
pub struct Connector {
    /// The role of the clients that read.
    pub role: Role,
    /// The deadlines of syncs, whose requests may take as long as admission webhooks do.
    pub sync_deadlines: Deadlines,
    /// Which addresses a Secret may name.
    pub egress: EgressPolicy,
    /// When tokens end.
    pub clock: Clock,
    /// Where the credentials of AWS are.
    pub environment: Environment,
}

impl Connector {
    fn provider(&self, login: &Login) -> Box<dyn TokenProvider> {
        match login {
            Login::Exec(program) => Box::new(program.clone()),
            Login::Aws(login) => {
                Box::new(login.provider(self.environment.clone(), self.clock.clone()))
            }
        }
    }

    /// The clients of a cluster.
    pub fn connect(&self, spec: &ClusterSpec) -> Result<ClusterClients, ConnectError> {
        let remote = match &spec.access {
            Access::ControlPlane => {
                return Ok(ClusterClients {
                    reads: self.role.client().clone(),
                    syncs: SyncClients::new(None, self.sync_deadlines),
                });
            }
            Access::Remote(remote) => remote,
        };
        let mut connection = Connection::guarded(&remote.client_config()?, self.egress)?;
        if let Some(login) = remote.login() {
            let tokens = KeptTokens::new(self.provider(login), self.clock.clone());
            connection = connection.with_tokens(Arc::new(tokens));
        }
        Ok(ClusterClients {
            reads: connection.client(self.role.policy().clone()),
            syncs: SyncClients::new(Some(connection), self.sync_deadlines),
        })
    }
}
