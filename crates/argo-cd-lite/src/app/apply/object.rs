//! Applying one object.

use std::{sync::Arc, time::Duration};

use kube::api::{DynamicObject, PatchParams, PropagationPolicy, ValidationDirective};
use reconcile_core::apply::{ApplyError, apply_with, get};
use serde_json::{Value, json};

use super::{
    super::{Context, ObserveError, Place},
    refusal::TaskError,
    write::{LOOK, ObjectWrite},
};
use crate::{
    api::{ANNOTATION_OPERATION, ANNOTATION_TRACKING_ID, FIELD_MANAGER, HOOK_FINALIZER},
    clusters::{Live, ResourceId, Served},
    diff::{IgnoreRules, has_unknown_fields, repeats_list_items},
    render::Target,
    sync::plan::Task,
};

/// How objects are applied in this sync.
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a sync option of its own"
)]
pub(super) struct ApplyOptions {
    pub(super) replace: bool,
    pub(super) force: bool,
    pub(super) respect_ignored: bool,
    /// Refuse unknown fields.
    pub(super) validate: bool,
    /// Take over fields that client-side apply wrote.
    pub(super) take_over: bool,
    pub(super) propagation: PropagationPolicy,
}

/// Time that a definition gets to be established; upstream's is 3 s.
const ESTABLISHED: Duration = Duration::from_secs(3);

/// The object as kubectl names it, for example `deployment.apps/web`.
pub(super) fn title(id: &ResourceId) -> String {
    let kind = id.kind.kind.to_lowercase();
    match id.kind.group.as_ref() {
        "" => format!("{kind}/{}", id.name),
        group => format!("{kind}.{group}/{}", id.name),
    }
}

/// The manifest of a task. Hooks get their final name, the finalizer that keeps their result readable,
/// and the mark of the operation.
pub(super) fn manifest(task: &Task, target: &Target, operation: &str) -> Value {
    let mut manifest = target.value();
    if !task.is_hook() {
        return manifest;
    }
    name_hook(&mut manifest, &task.id, operation);
    let Some(metadata) = manifest.get_mut("metadata").and_then(Value::as_object_mut) else {
        return manifest;
    };
    let finalizers = metadata.entry("finalizers").or_insert_with(|| json!([]));
    if let Some(finalizers) = finalizers.as_array_mut()
        && !finalizers.iter().any(|name| name == HOOK_FINALIZER)
    {
        finalizers.push(json!(HOOK_FINALIZER));
    }
    manifest
}

/// Gives a hook its final name and the mark of the operation that creates it.
pub(super) fn name_hook(manifest: &mut Value, id: &ResourceId, operation: &str) {
    let Some(metadata) = manifest.get_mut("metadata").and_then(Value::as_object_mut) else {
        return;
    };
    let generated = metadata.remove("generateName").is_some()
        && metadata
            .get("name")
            .is_none_or(|name| name.as_str() == Some(""));
    metadata.insert("name".to_owned(), json!(&*id.name));
    let annotations = metadata.entry("annotations").or_insert_with(|| json!({}));
    if !annotations.is_object() {
        *annotations = json!({});
    }
    annotations[ANNOTATION_OPERATION] = json!(operation);
    let tracking = annotations
        .get(ANNOTATION_TRACKING_ID)
        .and_then(Value::as_str);
    if let Some(tracking) = tracking.filter(|_| generated) {
        // Stamped when the name was not known yet.
        annotations[ANNOTATION_TRACKING_ID] = json!(format!("{tracking}{}", id.name));
    }
}

async fn served(at: Place<'_>, task: &Task) -> Result<Arc<Served>, TaskError> {
    if let Some(served) = at.cluster.discovery.version(&task.id.kind, &task.version) {
        return Ok(served);
    }
    at.cluster.discovery.refresh().await?;
    let found = at.cluster.discovery.version(&task.id.kind, &task.version);
    found.ok_or_else(|| {
        TaskError::Refused(format!(
            "the cluster does not serve {} in version {}; is its definition installed?",
            task.id.kind, task.version
        ))
    })
}

/// Force, because what Git says wins; unknown fields are refused unless the application or the object says
/// `Validate=false`.
fn parameters(mode: &ApplyOptions, task: &Task) -> PatchParams {
    PatchParams {
        field_validation: Some(if is_validated(mode, task) {
            ValidationDirective::Strict
        } else {
            ValidationDirective::Ignore
        }),
        ..PatchParams::apply(FIELD_MANAGER).force()
    }
}

/// True when unknown fields are refused.
fn is_validated(mode: &ApplyOptions, task: &Task) -> bool {
    mode.validate && !task.settings.options.has("Validate=false")
}

/// True for refusals of server-side apply of what client-side apply accepts.
fn needs_client_side(error: &ApplyError, validated: bool) -> bool {
    repeats_list_items(error) || (!validated && has_unknown_fields(error))
}

/// True when the object is replaced instead of changed.
fn is_replaced(mode: &ApplyOptions, task: &Task) -> bool {
    let own = &task.settings.options;
    (mode.replace || own.has("Replace=true")) && !own.has("Replace=false")
}

/// True when an object that cannot be changed is deleted and created again.
fn is_forced(mode: &ApplyOptions, task: &Task) -> bool {
    mode.force || task.settings.options.has("Force=true")
}

/// True when a refusal of a dry run is one of the object itself. Others, such as that of a Pod whose ServiceAccount does
/// not exist, may be about what this sync is still to bring.
fn is_conclusive(error: &ApplyError) -> bool {
    match error.code() {
        Some(400 | 415 | 422) => true,
        Some(403) => error.reason.contains(" cannot ") && error.reason.contains("API group"),
        Some(500) => error.reason.contains("typed patch object"),
        _ => false,
    }
}

/// Tries without effect. Gives the message of a success.
pub(super) async fn dry_run(
    at: Place<'_>,
    task: &Task,
    manifest: &Value,
    mode: &ApplyOptions,
) -> Result<String, TaskError> {
    let served = served(at, task).await?;
    let mut params = parameters(mode, task);
    params.dry_run = true;
    let tried = apply_with(
        at.client,
        &served.resource,
        &task.id.key(),
        manifest,
        &params,
    )
    .await;
    let verb = if task.live.is_some() {
        "configured"
    } else {
        "created"
    };
    let fine = format!("{} {verb}", title(&task.id));
    let Err(error) = tried else {
        return Ok(fine);
    };
    // What is not applied in this way cannot be tried in this way.
    let another_way = task.live.is_some()
        && error.code() == Some(422)
        && (is_replaced(mode, task) || is_forced(mode, task));
    let conclusive = is_conclusive(&error)
        && !another_way
        && !needs_client_side(&error, is_validated(mode, task));
    match TaskError::from(error) {
        TaskError::Refused(reason) if !conclusive => {
            tracing::debug!(object = %task.id, reason, "the dry run cannot judge the object yet");
            Ok(fine)
        }
        error => Err(error),
    }
}

/// An object that was applied.
pub(super) struct AppliedObject {
    /// The object as it is now.
    pub(super) live: Arc<Live>,
    /// The message of the result, such as `deployment.apps/web configured`.
    pub(super) message: String,
}

/// Applies the object of a task.
pub(super) async fn apply(
    at: Place<'_>,
    task: &Task,
    mut manifest: Value,
    mode: &ApplyOptions,
    rules: &IgnoreRules,
) -> Result<AppliedObject, TaskError> {
    let served = served(at, task).await?;
    let (replace, force) = (is_replaced(mode, task), is_forced(mode, task));
    let ignored = rules.for_object(&task.id);
    let mut current = None;
    if task.live.is_some() && (replace || (mode.respect_ignored && !ignored.is_empty())) {
        current = get(at.client, &served.resource, &task.id.key()).await?;
    }
    if mode.respect_ignored
        && let Some(current) = &current
        && let Ok(live) = serde_json::to_value(current)
    {
        ignored.keep_live(&mut manifest, &live);
    }
    let write = ObjectWrite {
        at,
        task,
        served: &served,
        manifest: &manifest,
        params: parameters(mode, task),
    };
    let written = if task.is_hook() || !replace {
        let applied = if mode.take_over && task.live.is_some() {
            write.apply_and_take_over().await
        } else {
            write.apply().await
        };
        match applied {
            Err(error) if needs_client_side(&error, is_validated(mode, task)) => {
                write.apply_client_side().await
            }
            // Forced: what cannot be changed is deleted and created again.
            Err(error) if force && !task.is_hook() && error.code() == Some(422) => {
                write.create_again().await
            }
            other => other,
        }
    } else if force {
        write.create_again().await
    } else {
        write.replace(current.as_ref()).await
    };
    if let Err(error) = &written
        && error.code() == Some(404)
    {
        // Most likely the namespace has gone since it was seen.
        at.cluster.namespace_is_missing(&task.id.namespace);
    }
    let object = written?;
    let live = at
        .cluster
        .live
        .written(&task.id.kind, &object)
        .unwrap_or_else(|| Arc::new(live_of(at.context, &served, &object)));
    let verb = match &task.live {
        None => "created",
        Some(before) if before.uid != live.uid => "replaced",
        Some(before) if before.hash == live.hash => "unchanged",
        Some(_) => "configured",
    };
    Ok(AppliedObject {
        live,
        message: format!("{} {verb}", title(&task.id)),
    })
}

fn live_of(context: &Context, served: &Served, object: &DynamicObject) -> Live {
    Live::of(&context.checks(), &served.resource, object)
}

/// Waits until a definition is established. A late one is no error here: its objects fail to apply.
pub(super) async fn await_established(at: Place<'_>, id: &ResourceId) -> Result<(), ObserveError> {
    let Some(served) = at.cluster.discovery.preferred(&id.kind) else {
        return Ok(());
    };
    let looks = ESTABLISHED.as_millis() / LOOK.as_millis();
    for _ in 0..looks {
        let found = get(at.client, &served.resource, &id.key()).await?;
        let conditions = found
            .as_ref()
            .and_then(|object| object.data.pointer("/status/conditions")?.as_array());
        let established = conditions.is_some_and(|conditions| {
            conditions.iter().any(|condition| {
                condition.get("type").and_then(Value::as_str) == Some("Established")
                    && condition.get("status").and_then(Value::as_str) == Some("True")
            })
        });
        if established {
            return Ok(());
        }
        tokio::time::sleep(LOOK).await;
    }
    Ok(())
}
