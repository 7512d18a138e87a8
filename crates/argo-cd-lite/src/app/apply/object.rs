//! Applying one object.

use std::{sync::Arc, time::Duration};

use kube::api::{DynamicObject, PatchParams, PropagationPolicy, ValidationDirective};
use reconcile_core::{
    apply::{ApplyError, Deleted, apply_with, create, delete, get, merge_patch},
    error::{Classify, ErrorClass},
    object::ObjectKey,
};
use serde_json::{Value, json};
use thiserror::Error;

use super::super::{Context, ObserveError, Place};
use crate::{
    api::{ANNOTATION_OPERATION, ANNOTATION_TRACKING_ID, FIELD_MANAGER, HOOK_FINALIZER},
    clusters::{DiscoveryError, Live, ResourceId, Served},
    diff::{
        IgnoreRules, client_side_patch, has_unknown_fields, repeats_list_items, take_over,
        with_last_applied,
    },
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

/// Time that a forced replacement waits for the old object to go.
const GONE: Duration = Duration::from_secs(30);
/// Time that a definition gets to be established; upstream's is 3 s.
const ESTABLISHED: Duration = Duration::from_secs(3);
/// Pause between two looks while waiting.
const LOOK: Duration = Duration::from_millis(100);

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

/// A task that was not carried out.
#[derive(Debug, Error)]
pub(super) enum TaskError {
    /// The API server refuses the object; the operation reports it.
    #[error("{0}")]
    Refused(String),
    /// The API server cannot be used; the pass ends and is tried again.
    #[error(transparent)]
    Pass(Box<ObserveError>),
}

impl TaskError {
    /// The reason of a refusal; other failures are errors of the pass.
    #[expect(
        clippy::result_large_err,
        reason = "the error of the pass, which is moved once"
    )]
    pub(super) fn refusal(self) -> Result<String, ObserveError> {
        match self {
            Self::Refused(reason) => Ok(reason),
            Self::Pass(error) => Err(*error),
        }
    }
}

impl From<ApplyError> for TaskError {
    fn from(error: ApplyError) -> Self {
        match (error.class(), error.code()) {
            (ErrorClass::Fenced, _) | (_, None) => Self::Pass(Box::new(error.into())),
            _ => Self::Refused(shorten_refusal(&error.reason)),
        }
    }
}

impl From<DiscoveryError> for TaskError {
    fn from(error: DiscoveryError) -> Self {
        Self::Pass(Box::new(error.into()))
    }
}

/// Characters of a refusal that end in the status.
const MAX_REFUSAL: usize = 1024;

/// A refusal without the values that it quotes: for an immutable field the API server prints whole pod specs.
fn shorten_refusal(reason: &str) -> String {
    const VALUE: &str = "Invalid value: ";
    const LONG: usize = 200;
    let mut short = String::new();
    let mut rest = reason;
    while let Some(at) = rest.find(VALUE) {
        let (before, after) = rest.split_at(at + VALUE.len());
        short.push_str(before);
        // The explanation follows the value; a value may hold colons of its own.
        let end = [": field is immutable", ": updates to ", ": may not "]
            .iter()
            .filter_map(|words| after.find(words))
            .min()
            .unwrap_or(0);
        if end > LONG {
            short.push_str("(...)");
            rest = &after[end..];
        } else {
            rest = after;
        }
    }
    short.push_str(rest);
    if let Some((end, _)) = short.char_indices().nth(MAX_REFUSAL) {
        short.truncate(end);
        short.push_str("...");
    }
    short
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

struct ObjectWrite<'a> {
    at: Place<'a>,
    task: &'a Task,
    served: &'a Served,
    manifest: &'a Value,
    params: PatchParams,
}

impl ObjectWrite<'_> {
    fn key(&self) -> ObjectKey {
        self.task.id.key()
    }

    /// Server-side apply.
    async fn apply(&self) -> Result<DynamicObject, ApplyError> {
        let (client, resource) = (self.at.client, &self.served.resource);
        apply_with(client, resource, &self.key(), self.manifest, &self.params).await
    }

    /// Applies; then, when the object still has fields that client-side apply wrote for us, takes them over
    /// and applies again, so that what is not wanted any more goes.
    async fn apply_and_take_over(&self) -> Result<DynamicObject, ApplyError> {
        let object = self.apply().await?;
        let managers = serde_json::to_value(&object)
            .ok()
            .as_ref()
            .and_then(take_over);
        let Some(managers) = managers else {
            return Ok(object);
        };
        let patch = json!({ "metadata": {
            "managedFields": managers,
            "resourceVersion": object.metadata.resource_version,
            "annotations": { "kubectl.kubernetes.io/last-applied-configuration": Value::Null },
        } });
        tracing::info!(object = %self.task.id, "taking over fields of client-side apply");
        let (client, resource) = (self.at.client, &self.served.resource);
        match merge_patch(client, resource, &self.key(), &patch, FIELD_MANAGER).await {
            // Somebody else writes to it at the same time; the next sync takes over.
            Err(error) if error.code() == Some(409) => return Ok(object),
            other => drop(other?),
        }
        self.apply().await
    }

    /// Applies as kubectl does without server-side apply.
    async fn apply_client_side(&self) -> Result<DynamicObject, ApplyError> {
        let (client, resource, key) = (self.at.client, &self.served.resource, self.key());
        let Some(current) = get(client, resource, &key).await? else {
            let whole = with_last_applied(self.manifest);
            let object = serde_json::from_value(whole)
                .unwrap_or_else(|_| DynamicObject::new(&key.name, resource));
            return create(client, resource, &key, &object, FIELD_MANAGER).await;
        };
        let live = serde_json::to_value(&current).unwrap_or(Value::Null);
        match client_side_patch(self.manifest, &live) {
            Some(patch) => merge_patch(client, resource, &key, &patch, FIELD_MANAGER).await,
            None => Ok(current),
        }
    }

    /// `Replace`: the whole object becomes what Git says.
    async fn replace(&self, current: Option<&DynamicObject>) -> Result<DynamicObject, ApplyError> {
        let Some(current) = current else {
            // It went since it was observed, or was never there.
            return self.create().await;
        };
        let mut whole = self.manifest.clone();
        if let Some(metadata) = whole.get_mut("metadata") {
            metadata["resourceVersion"] = json!(current.metadata.resource_version);
        }
        let (client, resource) = (self.at.client, &self.served.resource);
        reconcile_core::apply::replace(client, resource, &self.key(), &whole, FIELD_MANAGER).await
    }

    /// `Replace` with `Force`: the object is deleted first. Definitions and namespaces are replaced in place, because
    /// their objects would go with them.
    async fn create_again(&self) -> Result<DynamicObject, ApplyError> {
        let (client, resource, key) = (self.at.client, &self.served.resource, self.key());
        let id = &self.task.id;
        if matches!(
            id.kind.kind.as_ref(),
            "CustomResourceDefinition" | "Namespace"
        ) {
            let current = get(client, resource, &key).await?;
            return self.replace(current.as_ref()).await;
        }
        if let Some(live) = &self.task.live {
            let foreground = PropagationPolicy::Foreground;
            let deleted = delete(client, resource, &key, Some(&live.uid), foreground).await?;
            if deleted == Deleted::Pending {
                self.await_gone(&live.uid).await?;
            }
            self.at.cluster.live.deleted(id, &live.uid);
        }
        self.create().await
    }

    async fn create(&self) -> Result<DynamicObject, ApplyError> {
        let (client, resource, key) = (self.at.client, &self.served.resource, self.key());
        let object: DynamicObject = serde_json::from_value(self.manifest.clone())
            .unwrap_or_else(|_| DynamicObject::new(&key.name, resource));
        create(client, resource, &key, &object, FIELD_MANAGER).await
    }

    async fn await_gone(&self, uid: &str) -> Result<(), ApplyError> {
        let (client, resource, key) = (self.at.client, &self.served.resource, self.key());
        let looks = GONE.as_millis() / LOOK.as_millis();
        for _ in 0..looks {
            match get(client, resource, &key).await? {
                Some(object) if object.metadata.uid.as_deref() == Some(uid) => {
                    tokio::time::sleep(LOOK).await;
                }
                _ => return Ok(()),
            }
        }
        Ok(())
    }
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

#[cfg(test)]
mod tests {
    use super::shorten_refusal;

    #[test]
    fn a_refusal_does_not_print_whole_pod_specs() {
        let spec = format!("core.PodTemplateSpec{{{}}}", "Env:x, ".repeat(500));
        let reason = format!(
            "Job.batch \"j\" is invalid: spec.template: Invalid value: {spec}: field is immutable"
        );
        assert_eq!(
            shorten_refusal(&reason),
            "Job.batch \"j\" is invalid: spec.template: Invalid value: (...): field is immutable"
        );
        let plain = "a: Invalid value: \"b\": must be c";
        assert_eq!(shorten_refusal(plain), plain);
        assert!(shorten_refusal(&"ä".repeat(5000)).chars().count() <= 1027);
    }
}
