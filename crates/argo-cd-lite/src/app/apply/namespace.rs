//! The destination namespace.

use kube::{api::PatchParams, core::GroupVersionKind};
use reconcile_core::{
    apply::{apply_with, resource_of},
    object::ObjectKey,
};
use serde_json::json;

use super::{
    super::{ObserveError, Place},
    refusal::TaskError,
};
use crate::api::{FIELD_MANAGER, ManagedNamespaceMetadata, Phase, ResourceResult};

/// Creates the namespace, or gives it labels and annotations. It is not tracked: it outlives the
/// application.
pub(super) async fn ensure(
    at: Place<'_>,
    name: &str,
    metadata: Option<&ManagedNamespaceMetadata>,
) -> Result<ResourceResult, ObserveError> {
    let resource = resource_of(&GroupVersionKind::gvk("", "v1", "Namespace"), "namespaces");
    let mut wanted = json!({
        "apiVersion": "v1",
        "kind": "Namespace",
        "metadata": { "name": name },
    });
    if let Some(metadata) = metadata {
        wanted["metadata"]["labels"] = json!(metadata.labels);
        wanted["metadata"]["annotations"] = json!(metadata.annotations);
    }
    let existed = at.cluster.knows_namespace(name);
    let key = ObjectKey::new("", name);
    let params = PatchParams::apply(FIELD_MANAGER).force();
    let applied = apply_with(at.client, &resource, &key, &wanted, &params).await;
    let mut row = ResourceResult {
        version: "v1".to_owned(),
        kind: "Namespace".to_owned(),
        name: name.to_owned(),
        sync_phase: "PreSync".to_owned(),
        ..ResourceResult::default()
    };
    if let Err(error) = applied {
        // The objects that need it will be refused, too; this says why.
        row.message = TaskError::from(error).refusal()?;
        "SyncFailed".clone_into(&mut row.status);
        row.hook_phase = Some(Phase::Failed);
        return Ok(row);
    }
    at.cluster.namespace_exists(name);
    let verb = if existed { "configured" } else { "created" };
    row.message = format!("namespace/{name} {verb}");
    "Synced".clone_into(&mut row.status);
    row.hook_phase = Some(Phase::Succeeded);
    Ok(row)
}
