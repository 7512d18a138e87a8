//! Resources by kind.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use kube::{
    Client,
    api::ApiResource,
    core::GroupVersionKind,
    discovery::{self, Scope},
};
use parking_lot::Mutex;
use tokio::time::Instant;

/// How long the answer of discovery is used.
const DISCOVERED: Duration = Duration::from_secs(600);

/// Resources by kind, as the server names them.
#[derive(Clone, Default)]
pub struct Discovered(Arc<Mutex<Answers>>);

/// By kind: when it was asked for, the resource, and whether it has namespaces.
type Answers = BTreeMap<String, (Instant, ApiResource, bool)>;

impl Discovered {
    pub(super) async fn find(
        &self,
        client: &Client,
        gvk: &GroupVersionKind,
    ) -> Result<(ApiResource, bool), kube::Error> {
        let id = format!("{}/{}/{}", gvk.group, gvk.version, gvk.kind);
        if let Some((at, resource, namespaced)) = self.0.lock().get(&id)
            && at.elapsed() < DISCOVERED
        {
            return Ok((resource.clone(), *namespaced));
        }
        let (resource, capabilities) = discovery::pinned_kind(client, gvk).await?;
        let namespaced = capabilities.scope == Scope::Namespaced;
        self.0
            .lock()
            .insert(id, (Instant::now(), resource.clone(), namespaced));
        Ok((resource, namespaced))
    }
}
