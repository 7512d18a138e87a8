//! Which kinds the API server serves, and where.

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use jiff::Timestamp;
use kube::{
    Client,
    api::ApiResource,
    core::{GroupVersionKind, discovery::v2::APIGroupDiscoveryList},
    discovery::{Scope as KubeScope, verbs},
};
use parking_lot::RwLock;
use reconcile_core::{
    clock::Clock,
    error::{Classify, ErrorClass, classify_kube},
};
use thiserror::Error;

use super::GroupKind;
use crate::render::Scope;

/// Seconds within which discovery is not repeated for a kind that is still missing; an application that
/// waits for a kind looks again by itself.
const FRESH: i64 = 3;
/// Numbers states of discovery over all clusters, so that what was rendered for one is not taken for another.
static GENERATIONS: AtomicU64 = AtomicU64::new(1);

/// Discovery failed.
#[derive(Debug, Error)]
#[error("cannot ask the API server for its kinds")]
pub struct DiscoveryError(#[from] kube::Error);

impl Classify for DiscoveryError {
    fn class(&self) -> ErrorClass {
        classify_kube(&self.0)
    }
}

/// One version of a kind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Served {
    /// Names for URLs.
    pub resource: ApiResource,
    /// Whether objects live in namespaces.
    pub namespaced: bool,
}

type Kinds = HashMap<GroupKind, Vec<Arc<Served>>>;

/// The kinds that the API server serves. Cloning shares them.
#[derive(Clone)]
pub struct Discovery(Arc<DiscoveryState>);

struct DiscoveryState {
    client: Client,
    clock: Clock,
    kinds: RwLock<Arc<Kinds>>,
    /// Number of the state of the kinds.
    generation: AtomicU64,
    gate: tokio::sync::Mutex<Option<Timestamp>>,
}

impl Discovery {
    /// Knows nothing until [`Discovery::refresh`].
    pub fn new(client: Client, clock: Clock) -> Self {
        Self(Arc::new(DiscoveryState {
            client,
            clock,
            kinds: RwLock::default(),
            generation: AtomicU64::new(0),
            gate: tokio::sync::Mutex::new(None),
        }))
    }

    /// Number of the state of this cluster's kinds; equal numbers mean equal kinds of the same cluster. 0 before the first.
    pub fn generation(&self) -> u64 {
        self.0.generation.load(Ordering::SeqCst)
    }

    /// The exact version of a kind.
    pub fn version(&self, kind: &GroupKind, version: &str) -> Option<Arc<Served>> {
        let kinds = self.0.kinds.read().clone();
        kinds
            .get(kind)?
            .iter()
            .find(|served| served.resource.version == version)
            .cloned()
    }

    /// The version of a kind that the server likes best.
    pub fn preferred(&self, kind: &GroupKind) -> Option<Arc<Served>> {
        self.0.kinds.read().get(kind)?.first().cloned()
    }

    /// Every kind with objects in namespaces, in the version that the server likes best.
    pub fn namespaced(&self) -> Vec<(GroupKind, Arc<Served>)> {
        let kinds = self.0.kinds.read().clone();
        let preferred = kinds
            .iter()
            .filter_map(|(kind, versions)| Some((kind.clone(), versions.first()?.clone())));
        preferred.filter(|(_, served)| served.namespaced).collect()
    }

    /// Where objects of a kind live.
    pub fn scope(&self, group: &str, kind: &str) -> Scope {
        match self.preferred(&GroupKind::new(group, kind)) {
            None => Scope::Unserved,
            Some(served) if served.namespaced => Scope::Namespaced,
            Some(_) => Scope::Cluster,
        }
    }

    /// `group/version` and `group/version/Kind` of all kinds, sorted.
    pub fn api_versions(&self) -> Vec<String> {
        let kinds = self.0.kinds.read().clone();
        let resources = kinds.values().flatten().map(|served| &served.resource);
        let mut versions: Vec<String> = resources
            .flat_map(|resource| {
                let version = resource.api_version.clone();
                let kind = format!("{version}/{}", resource.kind);
                [version, kind]
            })
            .collect();
        versions.sort();
        versions.dedup();
        versions
    }

    /// Namespaced kinds that definitions bring.
    pub fn custom_kinds(&self) -> Vec<GroupKind> {
        let kinds = self.0.kinds.read().clone();
        let custom = kinds.iter().filter(|(kind, served)| {
            let is_custom = kind.group.contains('.') && !kind.group.ends_with(".k8s.io");
            is_custom && served.iter().any(|served| served.namespaced)
        });
        custom.map(|(kind, _)| kind.clone()).collect()
    }

    /// Versions of kinds.
    pub fn count(&self) -> usize {
        self.0.kinds.read().values().map(Vec::len).sum()
    }

    /// Makes sure that discovery was asked at least once.
    pub async fn ensure(&self) -> Result<(), DiscoveryError> {
        if self.generation() > 0 {
            Ok(())
        } else {
            self.refresh_now().await
        }
    }

    /// Asks again, unless that happened within the last seconds.
    pub async fn refresh(&self) -> Result<(), DiscoveryError> {
        self.refresh_unless(|last, now| now.as_second() - last.as_second() < FRESH)
            .await
    }

    /// Asks again; an answer to a question that began after this call is new enough.
    pub async fn refresh_now(&self) -> Result<(), DiscoveryError> {
        self.refresh_unless(|last, now| last >= now).await
    }

    async fn refresh_unless(
        &self,
        is_fresh: impl Fn(Timestamp, Timestamp) -> bool,
    ) -> Result<(), DiscoveryError> {
        let asked = self.0.clock.now();
        let mut last = self.0.gate.lock().await;
        if last.is_some_and(|at| is_fresh(at, asked)) {
            return Ok(());
        }
        let began = self.0.clock.now();
        let known = self.0.kinds.read().clone();
        let mut kinds = Kinds::new();
        for list in [
            self.0.client.list_core_api_versions_aggregated().await?,
            self.0.client.list_api_groups_aggregated().await?,
        ] {
            read(&list, &known, &mut kinds);
        }
        if kinds.is_empty() {
            // Servers before 1.27 answer with another form, which has no such items.
            read_each(&self.0.client, &mut kinds).await?;
        }
        *last = Some(began);
        if *known != kinds {
            *self.0.kinds.write() = Arc::new(kinds);
            let generation = GENERATIONS.fetch_add(1, Ordering::SeqCst);
            self.0.generation.store(generation, Ordering::SeqCst);
        }
        Ok(())
    }
}

async fn read_each(client: &Client, kinds: &mut Kinds) -> Result<(), kube::Error> {
    let discovery = kube::discovery::Discovery::new(client.clone())
        .run()
        .await?;
    for group in discovery.groups() {
        for version in group.versions() {
            for (resource, capabilities) in group.versioned_resources(version) {
                let usable = [verbs::LIST, verbs::WATCH]
                    .iter()
                    .all(|verb| capabilities.supports_operation(verb));
                if usable {
                    let kind = GroupKind::new(resource.group.as_str(), resource.kind.as_str());
                    let served = Served {
                        resource,
                        namespaced: capabilities.scope == KubeScope::Namespaced,
                    };
                    kinds.entry(kind).or_default().push(Arc::new(served));
                }
            }
        }
    }
    Ok(())
}

/// Adds the kinds of a discovery document. A version whose own server is unavailable is listed as stale and
/// without kinds; what was known of it stays, so that its objects are not taken for objects of an unknown
/// kind.
fn read(list: &APIGroupDiscoveryList, known: &Kinds, kinds: &mut Kinds) {
    for group in &list.items {
        let name = group
            .metadata
            .as_ref()
            .and_then(|meta| meta.name.as_deref())
            .unwrap_or_default();
        for version in &group.versions {
            let Some(number) = &version.version else {
                continue;
            };
            if version.resources.is_empty() && version.freshness.as_deref() == Some("Stale") {
                for (kind, served) in known.iter().filter(|(kind, _)| &*kind.group == name) {
                    let same = |served: &&Arc<Served>| served.resource.version == *number;
                    let served = served.iter().filter(same).cloned();
                    kinds.entry(kind.clone()).or_default().extend(served);
                }
            }
            for resource in &version.resources {
                let (Some(plural), Some(kind)) = (&resource.resource, &resource.response_kind)
                else {
                    continue;
                };
                let usable = ["list", "watch"]
                    .iter()
                    .all(|verb| resource.verbs.iter().any(|known| known == verb));
                let Some(kind) = kind
                    .kind
                    .as_deref()
                    .filter(|kind| usable && !kind.is_empty())
                else {
                    continue;
                };
                let gvk = GroupVersionKind::gvk(name, number, kind);
                let served = Served {
                    resource: ApiResource::from_gvk_with_plural(&gvk, plural),
                    namespaced: resource.scope.as_deref() == Some("Namespaced"),
                };
                kinds
                    .entry(GroupKind::new(name, kind))
                    .or_default()
                    .push(Arc::new(served));
            }
        }
    }
    kinds.retain(|_, served| !served.is_empty());
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn document(freshness: &str, resources: &serde_json::Value) -> APIGroupDiscoveryList {
        serde_json::from_value(json!({
            "metadata": {},
            "items": [{
                "metadata": {"name": "things.example.com"},
                "versions": [{"version": "v1", "freshness": freshness, "resources": resources}],
            }],
        }))
        .expect("a discovery document")
    }

    #[test]
    fn kinds_of_an_unavailable_server_stay_and_removed_ones_go() {
        let resources = json!([{
            "resource": "things", "scope": "Cluster", "singularResource": "thing", "verbs": ["list", "watch"],
            "responseKind": {"group": "things.example.com", "version": "v1", "kind": "Thing"},
        }]);
        let read_after = |known: &Kinds, list: &APIGroupDiscoveryList| {
            let mut kinds = Kinds::new();
            read(list, known, &mut kinds);
            kinds
        };
        let known = read_after(&Kinds::new(), &document("Current", &resources));
        assert_eq!(known.len(), 1);
        assert_eq!(read_after(&known, &document("Stale", &json!([]))), known);
        assert!(read_after(&known, &document("Current", &json!([]))).is_empty());
    }
}
