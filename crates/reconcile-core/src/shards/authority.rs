//! For which objects a process may act.

use tokio::sync::watch;

use super::{Claim, ShardConfig, Shards};
use crate::{
    object::ObjectKey,
    operator::{Operator, StartError},
};

/// For which objects a process may act.
#[derive(Clone, Debug)]
pub enum Authority {
    /// For all, while the lease of a role is held.
    Lease(Claim),
    /// For those of the shards that are held.
    Shards(Shards),
    /// For none: only what every replica does.
    Nobody,
}

impl Authority {
    /// That of the leader: for all objects.
    pub fn leader(operator: &Operator) -> Self {
        Self::Lease(Claim::of_role(operator.leader_role().clone()))
    }

    /// That of a process of a pool, or of the leader without one.
    pub fn start(operator: &Operator, pool: Option<ShardConfig>) -> Result<Self, StartError> {
        match pool {
            None => Ok(Self::leader(operator)),
            Some(config) => Shards::start(operator, config).map(Self::Shards),
        }
    }

    /// The claim by which this process may act for an object now. Take it once for what must not be done half.
    pub fn claim_of(&self, key: &ObjectKey) -> Option<Claim> {
        match self {
            Self::Lease(claim) => claim.role().is_held().then(|| claim.clone()),
            Self::Shards(shards) => shards.claim_of(key),
            Self::Nobody => None,
        }
    }

    /// When the answers of [`Authority::claim_of`] change.
    pub fn changes(&self) -> AuthorityChanges {
        AuthorityChanges(match self {
            Self::Lease(claim) => Inner::Lease(claim.role().held()),
            Self::Shards(shards) => Inner::Shards(shards.changes()),
            Self::Nobody => Inner::Never,
        })
    }
}

/// Changes of an [`Authority`].
#[derive(Clone, Debug)]
pub struct AuthorityChanges(Inner);

#[derive(Clone, Debug)]
enum Inner {
    Lease(watch::Receiver<bool>),
    Shards(watch::Receiver<()>),
    Never,
}

impl AuthorityChanges {
    /// Ends at the next change; never when there can be none any more.
    pub async fn changed(&mut self) {
        let changed = match &mut self.0 {
            Inner::Lease(held) => held.changed().await,
            Inner::Shards(changes) => changes.changed().await,
            Inner::Never => std::future::pending().await,
        };
        if changed.is_err() {
            std::future::pending::<()>().await;
        }
    }

    /// Ends when this process may act for some object.
    pub async fn some(&mut self) {
        let ended = match &mut self.0 {
            Inner::Lease(held) => held.wait_for(|held| *held).await.is_err(),
            Inner::Shards(_) => false,
            Inner::Never => true,
        };
        if ended {
            std::future::pending::<()>().await;
        }
    }
}
