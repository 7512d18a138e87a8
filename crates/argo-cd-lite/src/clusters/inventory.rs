//! What is in a namespace, whether or not an Application manages it: names and marks only.

use std::{collections::HashMap, sync::Arc};

use futures::{StreamExt, stream};
use jiff::{SignedDuration, Timestamp};
use kube::{
    Api, Client,
    api::{DynamicObject, ListParams},
};
use parking_lot::Mutex;

use super::{Discovery, GroupKind, ResourceId, Served, Tracking};
use crate::settings::ManagementRules;

/// Time between two reads of a namespace.
const INTERVAL: SignedDuration = SignedDuration::from_secs(180);
/// Lists at the same time.
const LISTS: usize = 8;
/// Objects of one answer.
const PAGE: u32 = 500;
/// Objects of one kind that are read.
const MAX_OF_KIND: usize = 10_000;

/// Kinds that controllers fill by themselves: nobody describes them in Git.
const BY_CONTROLLERS: &[(&str, &str)] = &[
    ("", "Endpoints"),
    ("", "Event"),
    ("apps", "ControllerRevision"),
    ("coordination.k8s.io", "Lease"),
    ("discovery.k8s.io", "EndpointSlice"),
    ("events.k8s.io", "Event"),
    ("metrics.k8s.io", "PodMetrics"),
];

/// Objects of a namespace that no other object owns and that carry no mark of an Application.
#[derive(Clone, Debug, Default)]
pub struct Unmanaged {
    /// The objects, sorted.
    pub objects: Arc<Vec<ResourceId>>,
    /// When the namespace is read again.
    pub next: Timestamp,
}

/// The namespaces of a cluster that were read.
pub struct Inventory {
    client: Client,
    discovery: Discovery,
    known: Mutex<HashMap<String, Unmanaged>>,
    /// One read at a time.
    gate: tokio::sync::Mutex<()>,
}

impl Inventory {
    pub(super) fn new(client: Client, discovery: Discovery) -> Self {
        Self {
            client,
            discovery,
            known: Mutex::default(),
            gate: tokio::sync::Mutex::new(()),
        }
    }

    /// What is in the namespace, as of a few minutes ago at most. A kind that cannot be listed is left out.
    pub async fn unmanaged(
        &self,
        namespace: &str,
        rules: &ManagementRules,
        server: &str,
        now: Timestamp,
    ) -> Unmanaged {
        let known = || {
            let known = self.known.lock();
            known
                .get(namespace)
                .filter(|known| now < known.next)
                .cloned()
        };
        if let Some(known) = known() {
            return known;
        }
        let _turn = self.gate.lock().await;
        if let Some(known) = known() {
            return known;
        }
        let kinds: Vec<(GroupKind, Arc<Served>)> = (self.discovery.namespaced().into_iter())
            .filter(|(kind, _)| {
                let by_controller =
                    (BY_CONTROLLERS.iter()).any(|(group, name)| kind.is(group, name));
                !by_controller && !rules.kinds.excludes(&kind.group, &kind.kind, server)
            })
            .collect();
        let lists = stream::iter(kinds)
            .map(|(kind, served)| self.list(kind, served, namespace, rules))
            .buffer_unordered(LISTS);
        let mut objects: Vec<ResourceId> = lists.concat().await;
        objects.sort();
        let found = Unmanaged {
            objects: Arc::new(objects),
            next: now.saturating_add(INTERVAL).unwrap_or(Timestamp::MAX),
        };
        let mut known = self.known.lock();
        // Namespaces that nobody asks for any more go.
        known.retain(|_, old| now < old.next);
        known.insert(namespace.to_owned(), found.clone());
        found
    }

    async fn list(
        &self,
        kind: GroupKind,
        served: Arc<Served>,
        namespace: &str,
        rules: &ManagementRules,
    ) -> Vec<ResourceId> {
        let api: Api<DynamicObject> =
            Api::namespaced_with(self.client.clone(), namespace, &served.resource);
        let mut found = Vec::new();
        let mut params = ListParams::default().limit(PAGE);
        loop {
            let page = match api.list_metadata(&params).await {
                Ok(page) => page,
                Err(error) => {
                    tracing::debug!(%kind, namespace, %error, "cannot list objects");
                    return found;
                }
            };
            for object in page.items {
                let metadata = object.metadata;
                let owned = metadata.owner_references.as_ref();
                let owned = owned.is_some_and(|owners| !owners.is_empty());
                if !owned
                    && metadata.deletion_timestamp.is_none()
                    && Tracking::of(&rules.tracking, &metadata).is_none()
                {
                    found.push(ResourceId {
                        kind: kind.clone(),
                        namespace: namespace.into(),
                        name: metadata.name.unwrap_or_default().as_str().into(),
                    });
                }
            }
            let token = page.metadata.continue_.filter(|token| !token.is_empty());
            let Some(token) = token.filter(|_| found.len() < MAX_OF_KIND) else {
                return found;
            };
            params = params.continue_token(&token);
        }
    }
}
