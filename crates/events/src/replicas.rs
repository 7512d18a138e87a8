//! The replicas of this program: each serves, and says so under a lease of its own.
//!
//! ```text
//!   Replica   holds its lease ──► publishes an EndpointSlice for each Service of an EventSource
//!   Standby   runs for the leases of the other replicas; whoever gets one removes what its replica published
//! ```
//!
//! Requests need no leader: while one replica dies, the endpoints of the others stay as they are. A replica that
//! loses its lease without dying takes it back and publishes again.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
    time::Duration,
};

use futures::{StreamExt, TryStreamExt};
use k8s_openapi::api::{coordination::v1::Lease, discovery::v1::EndpointSlice};
use kube::{
    Api, Client, ResourceExt,
    api::{DeleteParams, ListParams, Preconditions},
};
use reconcile_core::{
    error::error_chain,
    object::ObjectKey,
    operator::{ClaimError, Claims, OnLoss, Role},
};
use sha2::{Digest, Sha256};
use tokio::sync::watch;

use crate::controller::eventsource::service::{self, MANAGED_BY, REPLICA};

/// Leases of replicas begin with this.
const LEASE: &str = "argo-events-replica-";
/// The replica of a process without leader election: there is only one.
const ONLY: &str = "only";
/// Pause between looks at the leases.
const PERIOD: Duration = Duration::from_secs(2);
/// Slices that are deleted at the same time.
const AT_ONCE: usize = 16;
/// Longest time that a stopping process spends on its slices.
const FAREWELL: Duration = Duration::from_secs(5);

/// What tells a replica from the others.
#[derive(Clone, Copy, Debug)]
pub enum ReplicaIdentity<'p> {
    /// The pod of this name: its process continues where an earlier one of the pod ended.
    Pod(&'p str),
    /// This process, which runs in no pod.
    Process,
    /// There is one replica only, because leader election is off.
    Only,
}

/// This process among the replicas. Clones share its lease.
#[derive(Clone, Debug)]
pub struct Replica {
    id: String,
    role: Role,
}

impl Replica {
    /// Competes for the lease of this replica.
    pub fn claim(claims: &Claims, identity: ReplicaIdentity<'_>) -> Result<Self, ClaimError> {
        let hashed = |name: &str| hex::encode(&Sha256::digest(name)[..5]);
        let id = match identity {
            ReplicaIdentity::Pod(name) => hashed(name),
            ReplicaIdentity::Process => hashed(&uuid::Uuid::new_v4().to_string()),
            ReplicaIdentity::Only => ONLY.to_owned(),
        };
        let role = claims.claim(&format!("{LEASE}{id}"), OnLoss::RunAgain)?;
        Ok(Self { id, role })
    }

    /// Names the replica in labels and names of objects.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Writes only while the lease is held.
    pub fn client(&self) -> &Client {
        self.role.client()
    }

    /// Whether the lease is held; receivers see every change.
    pub fn held(&self) -> watch::Receiver<bool> {
        self.role.held()
    }

    /// Removes what this replica published, because it ends: callers go to the others at once.
    pub async fn withdraw(&self, scope: Option<&str>) {
        let removed = remove_slices(self.client(), scope, &self.id);
        match tokio::time::timeout(FAREWELL, removed).await {
            Ok(Ok(count)) => tracing::info!(count, "removed the endpoints of this replica"),
            Ok(Err(error)) => {
                tracing::warn!(
                    error = error_chain(&error),
                    "cannot remove the endpoints of this replica"
                );
            }
            Err(_) => tracing::warn!("cannot remove the endpoints of this replica in time"),
        }
    }
}

/// Stands by for the other replicas.
pub struct Standby {
    /// Makes a role for each lease.
    pub claims: Claims,
    /// Writes without a lease: a Lease is deleted after its own was released.
    pub client: Client,
    /// Namespace of the leases.
    pub namespace: String,
    /// The namespace of EventSources; all of them when absent.
    pub scope: Option<String>,
    /// This replica.
    pub own: Replica,
}

impl Standby {
    /// Looks at the leases of the other replicas until it is dropped.
    pub async fn run(&self) {
        let mut others = Others::default();
        let mut reported = String::new();
        loop {
            match self.look(&mut others).await {
                Ok(()) => reported.clear(),
                Err(error) => {
                    let reason = error_chain(&error);
                    if reported != reason {
                        tracing::warn!(reason, "cannot check the leases of other replicas");
                        reported = reason;
                    }
                }
            }
            tokio::time::sleep(PERIOD).await;
        }
    }

    async fn look(&self, others: &mut Others) -> Result<(), kube::Error> {
        let leases: Api<Lease> = Api::namespaced(self.client.clone(), &self.namespace);
        let found: BTreeMap<String, Lease> = leases
            .list(&ListParams::default())
            .await?
            .into_iter()
            .filter_map(|lease| Some((lease.name_any().strip_prefix(LEASE)?.to_owned(), lease)))
            .filter(|(id, _)| *id != self.own.id)
            .collect();
        others.roles.retain(|id, role| {
            let there = found.contains_key(id);
            if !there {
                role.release();
            }
            there
        });
        for (id, lease) in found {
            match others.next(&id, &lease) {
                Next::Wait => {}
                Next::StandBy => match self.claims.claim(&lease.name_any(), OnLoss::RunAgain) {
                    Ok(role) => drop(others.roles.insert(id, role)),
                    Err(error) => {
                        tracing::warn!(%error, "cannot compete for the lease of another replica");
                    }
                },
                Next::Clear(role) => {
                    let scope = self.scope.as_deref();
                    let count = remove_slices(role.client(), scope, &id).await?;
                    tracing::info!(
                        replica = id,
                        count,
                        "removed the endpoints of a replica that is gone"
                    );
                    role.release();
                    others.roles.remove(&id);
                    others.cleared.insert(id);
                }
                Next::Delete => {
                    delete_lease(&leases, &lease).await?;
                    others.cleared.remove(&id);
                }
            }
        }
        Ok(())
    }

    /// Removes slices whose replica has no lease any more, once; for the leader.
    pub async fn remove_orphans(&self, leader: &Client) -> Result<usize, kube::Error> {
        let leases: Api<Lease> = Api::namespaced(self.client.clone(), &self.namespace);
        let mut known = BTreeSet::from([self.own.id.clone()]);
        if self.own.id != ONLY {
            let all = leases.list(&ListParams::default()).await?;
            let names = all.iter().map(ResourceExt::name_any);
            known.extend(names.filter_map(|name| name.strip_prefix(LEASE).map(str::to_owned)));
        }
        let known: Vec<String> = known.into_iter().collect();
        // `notin` selects slices without the label too, as earlier versions wrote them.
        let selector = format!("{REPLICA} notin ({})", known.join(","));
        remove_selected(leader, self.scope.as_deref(), &selector).await
    }
}

/// What a slice of this program says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublishedSlice {
    /// The EventSource that it leads to.
    pub source: ObjectKey,
    /// The replica that published it.
    pub replica: Option<String>,
    /// The addresses of the replica.
    pub addresses: Vec<IpAddr>,
    /// The ports there.
    pub ports: BTreeSet<u16>,
}

impl PublishedSlice {
    /// Reads a slice; `None` when it leads to no EventSource.
    fn of(slice: &EndpointSlice) -> Option<Self> {
        let labels = slice.labels();
        let service = labels.get("kubernetes.io/service-name")?;
        let source = service::source_of(service)?.to_owned();
        let replica = labels.get(REPLICA).cloned();
        let addresses = slice
            .endpoints
            .iter()
            .flatten()
            .flat_map(|one| &one.addresses);
        let ports = slice.ports.iter().flatten();
        Some(Self {
            source: ObjectKey::new(slice.namespace()?, source),
            replica,
            addresses: addresses.filter_map(|text| text.parse().ok()).collect(),
            ports: ports
                .filter_map(|port| u16::try_from(port.port?).ok())
                .collect(),
        })
    }
}

/// All slices of this program, of every replica.
pub async fn published(
    client: &Client,
    scope: Option<&str>,
) -> Result<Vec<PublishedSlice>, kube::Error> {
    let selector = format!("endpointslice.kubernetes.io/managed-by={MANAGED_BY}");
    let all = slices(client, scope)
        .list(&ListParams::default().labels(&selector))
        .await?;
    Ok(all.iter().filter_map(PublishedSlice::of).collect())
}

fn slices(client: &Client, scope: Option<&str>) -> Api<EndpointSlice> {
    match scope {
        Some(namespace) => Api::namespaced(client.clone(), namespace),
        None => Api::all(client.clone()),
    }
}

/// What is known about the other replicas.
#[derive(Default)]
struct Others {
    /// Leases that this process runs for.
    roles: BTreeMap<String, Role>,
    /// Replicas whose slices this process has removed.
    cleared: BTreeSet<String>,
}

/// What to do about the lease of another replica.
enum Next {
    /// Its replica lives, as far as is known.
    Wait,
    /// Run for it.
    StandBy,
    /// It is ours now: its replica is gone.
    Clear(Box<Role>),
    /// Its replica is gone, and nothing of it is left.
    Delete,
}

impl Others {
    fn next(&mut self, id: &str, lease: &Lease) -> Next {
        let holder = lease
            .spec
            .as_ref()
            .and_then(|spec| spec.holder_identity.as_deref());
        let released = holder.is_none_or(str::is_empty);
        match self.roles.get(id) {
            Some(role) if *role.held().borrow() => return Next::Clear(Box::new(role.clone())),
            Some(_) => return Next::Wait,
            None => {}
        }
        if !self.cleared.contains(id) {
            return Next::StandBy;
        }
        if released {
            return Next::Delete;
        }
        // Its replica is back, or a role of this process is still giving the lease back.
        self.cleared.remove(id);
        Next::Wait
    }
}

/// Deletes the lease unless somebody holds it by now.
async fn delete_lease(leases: &Api<Lease>, lease: &Lease) -> Result<(), kube::Error> {
    let params = DeleteParams {
        preconditions: Some(Preconditions {
            uid: lease.uid(),
            resource_version: lease.resource_version(),
        }),
        ..DeleteParams::default()
    };
    match leases.delete(&lease.name_any(), &params).await {
        Ok(_) => Ok(()),
        Err(kube::Error::Api(status)) if matches!(status.code, 404 | 409) => Ok(()),
        Err(error) => Err(error),
    }
}

async fn remove_slices(
    client: &Client,
    scope: Option<&str>,
    replica: &str,
) -> Result<usize, kube::Error> {
    let selector = format!("{REPLICA}={replica}");
    remove_selected(client, scope, &selector).await
}

/// Removes the slices of this program that a selector of replicas selects; how many there were.
async fn remove_selected(
    client: &Client,
    scope: Option<&str>,
    replicas: &str,
) -> Result<usize, kube::Error> {
    let selector = format!("endpointslice.kubernetes.io/managed-by={MANAGED_BY},{replicas}");
    let found = slices(client, scope)
        .list_metadata(&ListParams::default().labels(&selector))
        .await?;
    let count = found.items.len();
    futures::stream::iter(found)
        .map(Ok)
        .try_for_each_concurrent(AT_ONCE, |slice| async move {
            let namespace = slice.namespace().unwrap_or_default();
            let api: Api<EndpointSlice> = Api::namespaced(client.clone(), &namespace);
            match api
                .delete(&slice.name_any(), &DeleteParams::default())
                .await
            {
                Err(kube::Error::Api(status)) if status.code == 404 => Ok(()),
                other => other.map(drop),
            }
        })
        .await?;
    Ok(count)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_slice_says_whose_callers_come_in_by_which_port() {
        let slice = |service: &str| {
            let slice = json!({
                "addressType": "IPv4",
                "metadata": {
                    "namespace": "shop",
                    "name": "x",
                    "labels": {"kubernetes.io/service-name": service, REPLICA: "b5bb9d8014"},
                },
                "endpoints": [{"addresses": ["10.0.0.7"]}],
                "ports": [{"name": "http", "port": 20077}, {"name": "other", "port": 20100}],
            });
            PublishedSlice::of(&serde_json::from_value(slice).expect("a slice"))
        };
        assert_eq!(
            slice("orders-eventsource-svc"),
            Some(PublishedSlice {
                source: ObjectKey::new("shop", "orders"),
                replica: Some("b5bb9d8014".to_owned()),
                addresses: vec!["10.0.0.7".parse().expect("an address")],
                ports: BTreeSet::from([20077, 20100]),
            })
        );
        assert_eq!(slice("something-else"), None);
    }
}
