//! Writing of a report, and what its answers say.

use std::{collections::BTreeMap, sync::Arc};

use kube::{
    Resource,
    api::{Patch, PatchParams, Request},
};
use serde_json::{Value, json};

use super::{Driver, pass::Failure};
use crate::{
    object::{Kind, ObjectKey, Root},
    reconcile::{Controller, Report, RootPatch, Target},
};

impl<C: Controller> Driver<C> {
    pub(super) async fn write(&self, root: &Root<C::Kind>, report: &Report) -> Result<(), Failure> {
        let mut expected = Watched::of(root);
        let mut version = root.metadata.resource_version.clone();
        // What a guarded patch is guarded by: the version that was observed, or that of an own write on top of it.
        let mut guard = version.clone();
        for patch in &report.patches {
            match self.patch(root, patch, guard.as_deref()).await {
                Ok(written) => {
                    expected.patch(&patch.body);
                    let found = Watched::of(&written);
                    let now = written.metadata.resource_version.clone();
                    let before = std::mem::replace(&mut version, now);
                    drop(self.remember(written));
                    // An unchanged version means that the server made nothing of the patch, as when the
                    // schema drops a field: no reason to try again.
                    if found == expected || version == before {
                        guard.clone_from(&version);
                    } else {
                        // Somebody else wrote meanwhile. The event of that write is older than this
                        // answer and will be dropped, so the pass it calls for is asked for here.
                        self.queue.add(root.key());
                        expected = found;
                    }
                }
                Err(kube::Error::Api(status)) if status.code == 404 => return Ok(()),
                Err(error) => {
                    return Err(Failure::of(&error).during(&"writing the status"));
                }
            }
        }
        for event in &report.events {
            self.events
                .emit(C::NAME, root.object_reference(), event.clone());
        }
        Ok(())
    }

    async fn patch(
        &self,
        root: &Root<C::Kind>,
        patch: &RootPatch,
        guard: Option<&str>,
    ) -> Result<Root<C::Kind>, kube::Error> {
        let mut body = patch.body.clone();
        if let (true, Some(version)) = (patch.guarded, guard) {
            body["metadata"]["resourceVersion"] = version.into();
        }
        let key = root.key();
        let (params, merge) = (PatchParams::default(), Patch::Merge(&body));
        let request = Request::new(Self::url(&key));
        let request = match patch.target {
            Target::Main => request.patch(&key.name, &params, &merge),
            Target::Status => request.patch_subresource("status", &key.name, &params, &merge),
        };
        self.client
            .request(request.map_err(kube::Error::BuildRequest)?)
            .await
    }

    /// Takes an answer of the API server into the index.
    pub(super) fn remember(&self, mut root: Root<C::Kind>) -> Arc<Root<C::Kind>> {
        // As the watch keeps it; the watch event of this write does not replace an equal version.
        root.slim();
        let meta = root.metadata.clone();
        let key = ObjectKey::of_meta(&meta);
        // An own write is no reason for another pass by itself; `write` looks for foreign changes.
        drop(self.roots.store(&meta, root.clone()));
        self.roots.get(&key).unwrap_or_else(|| Arc::new(root))
    }

    pub(super) fn url(key: &ObjectKey) -> String {
        let namespace = (!key.namespace.is_empty()).then_some(key.namespace.as_str());
        Root::<C::Kind>::url_path(&(), namespace)
    }
}

/// The parts of a root object whose change calls for a pass.
#[derive(PartialEq)]
struct Watched(Value);

impl Watched {
    fn of<K: Kind>(root: &Root<K>) -> Self {
        let meta = &root.metadata;
        Self(json!({
            "metadata": {
                "annotations": meta.annotations.iter().flatten()
                    .filter(|(key, _)| *key != "kubectl.kubernetes.io/last-applied-configuration")
                    .collect::<BTreeMap<_, _>>(),
                "labels": meta.labels.iter().flatten().collect::<BTreeMap<_, _>>(),
                "finalizers": meta.finalizers.iter().flatten().collect::<Vec<_>>(),
                "deletionTimestamp": meta.deletion_timestamp,
            },
            "spec": root.spec_value(),
            "status": root.status_value(),
            "operation": root.operation_value(),
        }))
    }

    fn patch(&mut self, body: &Value) {
        let mut body = body.clone();
        if let Some(metadata) = body
            .get_mut("metadata")
            .and_then(|meta| meta.as_object_mut())
        {
            metadata.remove("resourceVersion");
        }
        json_patch::merge(&mut self.0, &body);
        for part in ["spec", "status", "operation"] {
            // A removed part reads as null.
            if self.0.get(part).is_none() {
                self.0[part] = Value::Null;
            }
        }
    }
}
