//! The project `default`.

use std::time::Duration;

use kube::{api::DynamicObject, core::GroupVersionKind};
use reconcile_core::{
    apply::{ApplyError, create, get, resource_of},
    object::{Kind, ObjectKey, Root},
};
use tokio::sync::{oneshot, watch};

use crate::{
    api::{AppProject, FIELD_MANAGER},
    app::{Context, KnownProject},
    project::{DEFAULT_PROJECT, default_spec},
};

/// First pause after the project could not be made.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
/// Longest pause between two tries.
const LONGEST_PAUSE: Duration = Duration::from_secs(15);

/// The project `default` always exists; like upstream we make it when it is missing, and try until it is
/// there, because without it most Applications are invalid. Others need not wait for it longer than for
/// the first try, whose end `tried` reports.
pub(super) async fn ensure(
    context: &Context,
    mut leader: watch::Receiver<bool>,
    tried: oneshot::Sender<()>,
) {
    if leader.wait_for(|leads| *leads).await.is_err() {
        return;
    }
    let mut tried = Some(tried);
    if context.original.pod().is_some() {
        // It makes the project itself.
        drop(tried.take());
        context.original.gone().await;
    }
    let mut pause = FIRST_PAUSE;
    while let Err(error) = create_project(context).await {
        tracing::warn!(%error, "cannot create the project default");
        drop(tried.take());
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

async fn create_project(context: &Context) -> Result<(), ApplyError> {
    let gvk = GroupVersionKind::gvk(AppProject::GROUP, AppProject::VERSION, AppProject::KIND);
    let resource = resource_of(&gvk, AppProject::PLURAL);
    let key = ObjectKey::new(&*context.settings.control_plane, DEFAULT_PROJECT);
    if get(&context.client, &resource, &key).await?.is_some() {
        return Ok(());
    }
    let mut project = DynamicObject::new(DEFAULT_PROJECT, &resource).within(&key.namespace);
    let spec = serde_json::to_value(default_spec()).unwrap_or_default();
    project.data = serde_json::json!({ "spec": spec });
    match create(&context.client, &resource, &key, &project, FIELD_MANAGER).await {
        Err(error) if error.code() == Some(409) => Ok(()),
        other => other.map(|object| {
            if let Ok(root) = serde_json::to_value(&object)
                && let Ok(root) = Root::<AppProject>::from_value(&root)
            {
                let known = KnownProject::read(&root);
                drop(context.projects.written(&root.metadata, known));
            }
        }),
    }
}
