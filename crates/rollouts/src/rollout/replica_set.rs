//! ReplicaSets as they are created and changed.

use reconcile_core::{apply, object::ObjectKey};
use serde_json::{Map, Value, json};

use super::{
    effects::Effects,
    error::RolloutError,
    injected,
    observed::Observed,
    plan::{NewReplicaSet, ReplicaSetChange, TemplateChange, copied_annotations},
    resources::replica_sets,
};
use crate::api::rollout::{DESIRED_REPLICAS, HASH_LABEL, INSTANCE_ID, REVISION};

impl Effects {
    /// Scales, annotates or labels a ReplicaSet.
    pub(super) async fn change_replica_set(
        &self,
        key: &ObjectKey,
        change: &ReplicaSetChange,
    ) -> Result<(), RolloutError> {
        let mut body = json!({"metadata": {"uid": change.uid}});
        if !change.annotations.is_empty() {
            body["metadata"]["annotations"] = json!(change.annotations);
        }
        if let Some(replicas) = change.replicas {
            body["spec"]["replicas"] = replicas.into();
        }
        if let Some(seconds) = change.min_ready {
            body["spec"]["minReadySeconds"] = seconds.into();
        }
        if let Some(template) = &change.template {
            self.add_template(key, template, &mut body).await?;
        }
        Ok(self.patch_replica_set(key, &body).await?)
    }

    /// Adds a change of the template to a patch. A list of rules can only be written whole, so it is read before.
    async fn add_template(
        &self,
        key: &ObjectKey,
        change: &TemplateChange,
        body: &mut Value,
    ) -> Result<(), RolloutError> {
        body["metadata"]["annotations"][injected::EPHEMERAL_METADATA] =
            json!(injected::annotation_of(&change.metadata));
        for (field, changes) in [
            ("labels", &change.labels),
            ("annotations", &change.annotations),
        ] {
            if !changes.is_empty() {
                body["spec"]["template"]["metadata"][field] = json!(changes);
            }
        }
        let Some((how, hash)) = &change.avoids else {
            return Ok(());
        };
        let Some(set) = apply::get(&self.client, &replica_sets(), key).await? else {
            return Err(RolloutError::Stale);
        };
        let mut template = set.data["spec"]["template"].clone();
        injected::put_distance(&mut template, *how, hash);
        body["metadata"]["resourceVersion"] = json!(set.metadata.resource_version);
        body["spec"]["template"]["spec"]["affinity"]["podAntiAffinity"] =
            template["spec"]["affinity"]["podAntiAffinity"].take();
        Ok(())
    }
}

/// The ReplicaSet of the newest template as JSON.
pub(super) fn new_set(observed: &Observed, set: &NewReplicaSet) -> Value {
    let meta = &observed.root.metadata;
    let mut template = observed.spec.template.clone();
    let mut labels = template
        .pointer("/metadata/labels")
        .cloned()
        .unwrap_or_else(|| json!({}));
    labels[HASH_LABEL] = set.hash.clone().into();
    if !template["metadata"].is_object() {
        template["metadata"] = json!({});
    }
    template["metadata"]["labels"] = labels.clone();
    injected::put_metadata(&mut template, &set.metadata);
    if let Some((how, hash)) = &set.avoids {
        injected::put_distance(&mut template, *how, hash);
    }
    if let Some(instance) = meta
        .labels
        .as_ref()
        .and_then(|labels| labels.get(INSTANCE_ID))
    {
        labels[INSTANCE_ID] = instance.clone().into();
    }
    let mut selector = json!(observed.spec.selector);
    if !selector["matchLabels"].is_object() {
        selector["matchLabels"] = json!({});
    }
    selector["matchLabels"][HASH_LABEL] = set.hash.clone().into();
    let mut annotations: Map<String, Value> = copied_annotations(&observed.root)
        .map(|(key, value)| (key.clone(), Value::String(value.clone())))
        .collect();
    annotations.insert(REVISION.to_owned(), set.revision.to_string().into());
    annotations.insert(
        DESIRED_REPLICAS.to_owned(),
        observed.spec.replicas.to_string().into(),
    );
    if let Some(metadata) = injected::annotation_of(&set.metadata) {
        annotations.insert(injected::EPHEMERAL_METADATA.to_owned(), metadata.into());
    }
    json!({
        "apiVersion": "apps/v1",
        "kind": "ReplicaSet",
        "metadata": {
            "name": set.name,
            "namespace": meta.namespace,
            "labels": labels,
            "annotations": annotations,
            "ownerReferences": [observed.root.controller_reference()],
        },
        "spec": {
            "replicas": set.replicas,
            "minReadySeconds": observed.spec.min_ready,
            "selector": selector,
            "template": template,
        },
    })
}
