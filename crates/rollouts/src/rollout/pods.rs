//! Pods of a Rollout: read when a restart or metadata of a version needs them, evicted, and labelled.

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Pod;
use kube::{
    Api,
    api::{DeleteParams, EvictParams, ListParams, Patch, PatchParams, Preconditions},
};
use reconcile_core::{apply::ApplyError, object::ObjectKey};
use serde_json::json;

use super::{
    effects::{Applied, Effects},
    error::RolloutError,
    observed::{Observed, PodView},
    plan::{PodChange, PodRef},
    resources::MANAGER,
};
use crate::api::rollout::HASH_LABEL;

/// Pods per page of a list.
const PAGE: u32 = 500;

impl Effects {
    /// Reads the pods where the plan needs them.
    pub(super) async fn observe_pods(&self, observed: &mut Observed) -> Result<(), RolloutError> {
        let rules = &observed.spec.pods;
        let restarted = observed.status.restarted_at.as_ref().map(|at| at.0);
        let restarts = rules.restart_at.is_some_and(|at| Some(at) != restarted);
        let labels = rules.has_metadata()
            || observed
                .replica_sets
                .iter()
                .any(|set| set.metadata.is_some());
        if observed.root.is_deleting() || !(restarts || labels) {
            return Ok(());
        }
        let namespace = observed.root.key().namespace;
        let sets = observed.replica_sets.iter().filter(|set| set.current > 0);
        let (hashes, uids): (Vec<&str>, Vec<&str>) = sets
            .map(|set| (set.hash.as_str(), set.uid.as_str()))
            .unzip();
        let mut found = Vec::new();
        if !hashes.is_empty() {
            let selector = format!("{HASH_LABEL} in ({})", hashes.join(","));
            found = self.list_pods(&namespace, &selector).await?;
            found.retain(|pod: &PodView| uids.contains(&pod.set.as_str()));
        }
        observed.pods = Some(found);
        Ok(())
    }

    async fn list_pods(&self, namespace: &str, selector: &str) -> Result<Vec<PodView>, ApplyError> {
        let api: Api<Pod> = Api::namespaced(self.client.clone(), namespace);
        let mut params = ListParams::default().labels(selector).limit(PAGE);
        let mut found = Vec::new();
        loop {
            let page = api.list(&params).await.map_err(|error| {
                ApplyError::new("list", "Pod", &ObjectKey::new(namespace, ""), error)
            })?;
            found.extend(page.items.into_iter().map(pod_view));
            match page.metadata.continue_.filter(|token| !token.is_empty()) {
                Some(token) => params.continue_token = Some(token),
                None => return Ok(found),
            }
        }
    }

    /// Evicts a pod. A `PodDisruptionBudget` may hold it back; that is no error.
    pub(super) async fn evict(
        &self,
        namespace: &str,
        pod: &PodRef,
    ) -> Result<Applied, RolloutError> {
        let api: Api<Pod> = Api::namespaced(self.client.clone(), namespace);
        let only = Preconditions {
            uid: Some(pod.uid.clone()),
            resource_version: None,
        };
        let params = EvictParams {
            delete_options: Some(DeleteParams {
                preconditions: Some(only),
                ..DeleteParams::default()
            }),
            ..EvictParams::default()
        };
        match api.evict(&pod.name, &params).await {
            Ok(_) => Ok(Applied::Done),
            // The pod is gone, or another one has its name.
            Err(kube::Error::Api(status)) if matches!(status.code, 404 | 409) => Ok(Applied::Done),
            Err(kube::Error::Api(status)) if status.code == 429 => {
                tracing::info!(%namespace, pod = pod.name, reason = status.message, "the API server refuses the eviction for now");
                Ok(Applied::Held)
            }
            Err(error) => {
                let key = ObjectKey::new(namespace, &pod.name);
                Err(ApplyError::new("evict", "Pod", &key, error).into())
            }
        }
    }

    /// Sets and removes labels and annotations of a pod.
    pub(super) async fn change_pod(
        &self,
        namespace: &str,
        change: &PodChange,
    ) -> Result<(), RolloutError> {
        let api: Api<Pod> = Api::namespaced(self.client.clone(), namespace);
        let mut metadata = json!({"uid": change.pod.uid});
        for (field, changes) in [
            ("labels", &change.labels),
            ("annotations", &change.annotations),
        ] {
            if !changes.is_empty() {
                metadata[field] = json!(changes);
            }
        }
        let params = PatchParams {
            field_manager: Some(MANAGER.to_owned()),
            ..PatchParams::default()
        };
        let body = json!({"metadata": metadata});
        match api
            .patch_metadata(&change.pod.name, &params, &Patch::Merge(&body))
            .await
        {
            Ok(_) => Ok(()),
            Err(kube::Error::Api(status)) if matches!(status.code, 404 | 409) => Ok(()),
            Err(error) => {
                let key = ObjectKey::new(namespace, &change.pod.name);
                Err(ApplyError::new("patch", "Pod", &key, error).into())
            }
        }
    }
}

fn pod_view(pod: Pod) -> PodView {
    let meta = pod.metadata;
    let mut owners = meta.owner_references.into_iter().flatten();
    let conditions = pod.status.and_then(|status| status.conditions);
    let mut conditions = conditions.into_iter().flatten();
    let ready =
        conditions.find(|condition| condition.type_ == "Ready" && condition.status == "True");
    PodView {
        name: meta.name.unwrap_or_default(),
        uid: meta.uid.unwrap_or_default(),
        set: owners
            .find(|owner| owner.controller == Some(true))
            .map(|owner| owner.uid)
            .unwrap_or_default(),
        created: meta.creation_timestamp.map(|at| at.0),
        deleting: meta.deletion_timestamp.is_some(),
        ready_since: ready
            .map(|ready| ready.last_transition_time.map_or(Timestamp::MIN, |at| at.0)),
        labels: meta.labels.unwrap_or_default(),
        annotations: meta.annotations.unwrap_or_default(),
    }
}
