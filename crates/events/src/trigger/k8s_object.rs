//! The k8s trigger: create, update, patch or delete an object as the Sensor's service account.
//!
//! Every operation may be repeated with the same effect: an object that is created carries the identity
//! of its firing, and a generated name is derived from it.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use kube::{
    Api, Client,
    api::{ApiResource, DeleteParams, DynamicObject, Patch, PatchParams, PostParams},
    core::{GroupVersionKind, Status},
    discovery::{self, Scope},
};
use parking_lot::Mutex;
use reconcile_core::{kube_types::names, object::FieldError, reconcile::merge_diff};
use serde_json::{Value, json};
use tokio::time::Instant;

use super::{Executor, Firing, Success, TriggerError};
use crate::{api::sensor::K8sTrigger, sensor::parameter};

/// Who writes, for the API server's field ownership.
const MANAGER: &str = "argo-events";
/// Identity of the firing that created an object.
const FIRING: &str = "events.argoproj.io/event-id";
/// Length of the suffix of generated names; the API server uses 5, which is too short to be derived.
const SUFFIX: usize = 8;
/// Names tried when a derived one belongs to something else.
const NAMES: u32 = 3;
/// How long the answer of discovery is used.
const DISCOVERED: Duration = Duration::from_secs(600);

/// Checks what can be checked before parameters are applied.
pub(super) fn check(path: &str, action: &K8sTrigger) -> Result<(), FieldError> {
    let at = |field: &str, message: String| FieldError::new(format!("{path}.{field}"), message);
    let operation = action.operation.as_deref().unwrap_or_default();
    if !["", "create", "update", "patch", "delete"].contains(&operation) {
        return Err(at(
            "operation",
            format!("{operation:?} is not create, update, patch or delete"),
        ));
    }
    let strategy = action.patch_strategy.as_deref().unwrap_or_default();
    if patch_kind(strategy).is_none() {
        return Err(at(
            "patchStrategy",
            format!("{strategy:?} is not a known type of patch"),
        ));
    }
    let Some(source) = &action.source else {
        return Err(at("source", "must not be empty".into()));
    };
    if let Some(name) = ["s3", "file", "url", "git"]
        .iter()
        .find(|name| source.other.contains_key(**name))
    {
        return Err(at(&format!("source.{name}"), "not supported yet".into()));
    }
    match (&source.inline, &source.configmap, &source.resource) {
        (Some(text), ..) => parse(text)
            .map(drop)
            .map_err(|error| at("source.inline", error)),
        (None, Some(_), _) => Ok(()),
        (None, None, Some(resource)) => {
            for field in ["apiVersion", "kind"] {
                let patched = action
                    .parameters
                    .iter()
                    .any(|parameter| parameter.dest == field);
                if !patched && !resource.get(field).is_some_and(Value::is_string) {
                    return Err(at(
                        &format!("source.resource.{field}"),
                        "must not be empty".into(),
                    ));
                }
            }
            Ok(())
        }
        (None, None, None) => Err(at("source", "names no source that is supported".into())),
    }
}

fn parse(text: &str) -> Result<Value, String> {
    let value = reconcile_core::yaml::value(text).map_err(|error| error.to_string())?;
    if value.is_object() {
        Ok(value)
    } else {
        Err("is not one object".to_owned())
    }
}

#[derive(Clone, Copy)]
enum PatchKind {
    Merge,
    Strategic,
    Json,
    Apply,
}

fn patch_kind(strategy: &str) -> Option<PatchKind> {
    match strategy {
        "" | "application/merge-patch+json" => Some(PatchKind::Merge),
        "application/strategic-merge-patch+json" => Some(PatchKind::Strategic),
        "application/json-patch+json" => Some(PatchKind::Json),
        "application/apply-patch+yaml" => Some(PatchKind::Apply),
        _ => None,
    }
}

/// Resources by kind, as the server names them.
#[derive(Clone, Default)]
pub struct Discovered(Arc<Mutex<Answers>>);

/// By kind: when it was asked for, the resource, and whether it has namespaces.
type Answers = BTreeMap<String, (Instant, ApiResource, bool)>;

impl Discovered {
    async fn find(
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

/// Where the object lives.
struct Target {
    api: Api<DynamicObject>,
    name: String,
    what: String,
}

impl Executor {
    pub(super) async fn act_on_object(
        &self,
        action: &K8sTrigger,
        success: &Success,
        firing: &Firing,
    ) -> Result<(), TriggerError> {
        let namespace = firing.sensor.namespace.as_str();
        let client = self
            .identities
            .client(namespace, &firing.service_account)
            .await
            .map_err(TriggerError::Failed)?;
        let mut object = self.source(action, namespace).await?;
        let live_first = action.live_object && action.operation.as_deref() == Some("update");
        if !live_first {
            object = parameter::apply(object, &action.parameters, firing.inputs())?;
        }
        let target = self.target(&client, &object, namespace).await?;
        if live_first {
            let live = target.get().await?;
            let live = live
                .and_then(|live| serde_json::to_value(live).ok())
                .unwrap_or(object);
            object = parameter::apply(live, &action.parameters, firing.inputs())?;
        }
        let outcome = match action.operation.as_deref() {
            None | Some("" | "create") => target.create(object, firing).await,
            Some("update") => target.update(object, firing).await,
            Some("patch") => {
                let strategy = action.patch_strategy.as_deref().unwrap_or_default();
                target.patch(object, strategy, firing).await
            }
            Some("delete") => target.delete().await.map(|()| None),
            Some(other) => Err(TriggerError::Failed(format!("unknown operation {other:?}"))),
        };
        let written = match outcome {
            Ok(written) => written,
            Err(error) => {
                if error.to_string().contains("Unauthorized") {
                    self.identities
                        .forget(namespace, &firing.service_account)
                        .await;
                }
                return Err(error);
            }
        };
        match (&success.labels, written) {
            (Some(policy), Some(name)) => target.wait_for_labels(&name, policy).await,
            _ => Ok(()),
        }
    }

    async fn source(&self, action: &K8sTrigger, namespace: &str) -> Result<Value, TriggerError> {
        let Some(source) = &action.source else {
            return Err(TriggerError::Failed("no source".to_owned()));
        };
        if let Some(text) = &source.inline {
            return parse(text)
                .map_err(|error| TriggerError::Failed(format!("source.inline: {error}")));
        }
        if let Some(key) = &source.configmap {
            let text = self
                .secrets
                .config(namespace, key)
                .await?
                .unwrap_or_default();
            return parse(&text)
                .map_err(|error| TriggerError::Failed(format!("source.configmap: {error}")));
        }
        Ok(source.resource.clone().unwrap_or(Value::Null))
    }

    async fn target(
        &self,
        client: &Client,
        object: &Value,
        namespace: &str,
    ) -> Result<Target, TriggerError> {
        let text = |pointer: &str| {
            object
                .pointer(pointer)
                .and_then(Value::as_str)
                .unwrap_or_default()
        };
        let (version, kind) = (text("/apiVersion"), text("/kind"));
        let (group, version) = version.split_once('/').unwrap_or(("", version));
        let gvk = GroupVersionKind::gvk(group, version, kind);
        let found = self.identities.discovered.find(client, &gvk).await;
        let (resource, namespaced) =
            found.map_err(|error| TriggerError::Failed(format!("{kind}: {}", words(&error))))?;
        let own = text("/metadata/namespace");
        let namespace = if own.is_empty() { namespace } else { own };
        let api = if namespaced {
            Api::namespaced_with(client.clone(), namespace, &resource)
        } else {
            Api::all_with(client.clone(), &resource)
        };
        let name = text("/metadata/name").to_owned();
        let what = format!(
            "{kind} {namespace}/{}",
            if name.is_empty() {
                text("/metadata/generateName")
            } else {
                &name
            }
        );
        Ok(Target { api, name, what })
    }
}

impl Target {
    fn failed(&self, verb: &str, error: &kube::Error) -> TriggerError {
        TriggerError::Failed(format!("{verb} {}: {}", self.what, words(error)))
    }

    fn named(&self) -> Result<(), TriggerError> {
        if self.name.is_empty() {
            return Err(TriggerError::Failed(format!(
                "{}: metadata.name must not be empty",
                self.what
            )));
        }
        Ok(())
    }

    async fn get(&self) -> Result<Option<DynamicObject>, TriggerError> {
        self.named()?;
        self.api
            .get_opt(&self.name)
            .await
            .map_err(|error| self.failed("get", &error))
    }

    /// Creates the object; gives its name. One that this very firing created before is fine.
    async fn create(&self, object: Value, firing: &Firing) -> Result<Option<String>, TriggerError> {
        let prefix = object
            .pointer("/metadata/generateName")
            .and_then(Value::as_str)
            .unwrap_or_default()
            .to_owned();
        let generated = self.name.is_empty() && !prefix.is_empty();
        if !generated {
            self.named()?;
        }
        let mut object = marked(object, firing)?;
        for attempt in 0..NAMES {
            let name = if generated {
                derived_name(&prefix, &firing.id, attempt)
            } else {
                self.name.clone()
            };
            object.metadata.name = Some(name.clone());
            match self.api.create(&params(), &object).await {
                Ok(_) => return Ok(Some(name)),
                Err(kube::Error::Api(status)) if is_taken(&status) => {
                    if self.is_ours(&name, firing).await? {
                        return Ok(Some(name));
                    }
                    if !generated {
                        return Err(self.failed("create", &kube::Error::Api(status)));
                    }
                }
                Err(error) => return Err(self.failed("create", &error)),
            }
        }
        Err(TriggerError::Failed(format!(
            "create {}: no free name",
            self.what
        )))
    }

    async fn is_ours(&self, name: &str, firing: &Firing) -> Result<bool, TriggerError> {
        let live = self
            .api
            .get_opt(name)
            .await
            .map_err(|error| self.failed("get", &error))?;
        let id = live.and_then(|live| live.metadata.annotations?.remove(FIRING));
        Ok(id.as_deref() == Some(firing.id.as_str()))
    }

    /// Merges the object over the live one; creates it when there is none.
    async fn update(&self, object: Value, firing: &Firing) -> Result<Option<String>, TriggerError> {
        let Some(live) = self.get().await? else {
            return self.create(object, firing).await;
        };
        let mut merged = serde_json::to_value(&live).unwrap_or(Value::Null);
        let before = merged.clone();
        merge(&mut merged, &object);
        if merge_diff(&before, &merged).is_none() {
            return Ok(Some(self.name.clone()));
        }
        let merged: DynamicObject = serde_json::from_value(merged)
            .map_err(|error| TriggerError::Failed(format!("update {}: {error}", self.what)))?;
        match self.api.replace(&self.name, &params(), &merged).await {
            Ok(_) => Ok(Some(self.name.clone())),
            Err(error) => Err(self.failed("update", &error)),
        }
    }

    /// Patches the object; creates it when there is none.
    async fn patch(
        &self,
        object: Value,
        strategy: &str,
        firing: &Firing,
    ) -> Result<Option<String>, TriggerError> {
        self.named()?;
        let params = PatchParams {
            field_manager: Some(MANAGER.to_owned()),
            ..PatchParams::default()
        };
        let kind = patch_kind(strategy).unwrap_or(PatchKind::Merge);
        let outcome = match kind {
            PatchKind::Merge => {
                self.api
                    .patch(&self.name, &params, &Patch::Merge(&object))
                    .await
            }
            PatchKind::Strategic => {
                self.api
                    .patch(&self.name, &params, &Patch::Strategic(&object))
                    .await
            }
            PatchKind::Apply => {
                self.api
                    .patch(&self.name, &params.clone().force(), &Patch::Apply(&object))
                    .await
            }
            PatchKind::Json => {
                let operations =
                    serde_json::from_value(object.get("patch").cloned().unwrap_or(object.clone()))
                        .map_err(|error| {
                            TriggerError::Failed(format!("patch {}: {error}", self.what))
                        })?;
                self.api
                    .patch(&self.name, &params, &Patch::Json::<()>(operations))
                    .await
            }
        };
        match outcome {
            Ok(_) => Ok(Some(self.name.clone())),
            Err(kube::Error::Api(status)) if status.code == 404 => {
                self.create(object, firing).await
            }
            Err(error) => Err(self.failed("patch", &error)),
        }
    }

    async fn delete(&self) -> Result<(), TriggerError> {
        self.named()?;
        match self.api.delete(&self.name, &DeleteParams::default()).await {
            Ok(_) => Ok(()),
            Err(kube::Error::Api(status)) if status.code == 404 => Ok(()),
            Err(error) => Err(self.failed("delete", &error)),
        }
    }

    async fn wait_for_labels(
        &self,
        name: &str,
        policy: &super::LabelPolicy,
    ) -> Result<(), TriggerError> {
        let mut looks = 0;
        loop {
            looks += 1;
            let live = self
                .api
                .get_opt(name)
                .await
                .map_err(|error| self.failed("get", &error))?;
            let labels = live
                .and_then(|live| live.metadata.labels)
                .unwrap_or_default();
            if policy
                .labels
                .iter()
                .all(|(key, value)| labels.get(key) == Some(value))
            {
                return Ok(());
            }
            match policy.looks.after(looks, 0.5) {
                Some(pause) => tokio::time::sleep(pause).await,
                None if policy.required => {
                    return Err(TriggerError::Failed(format!(
                        "{}: did not get the labels of the policy",
                        self.what
                    )));
                }
                None => return Ok(()),
            }
        }
    }
}

/// Adds upstream's labels and the identity of the firing.
fn marked(mut object: Value, firing: &Firing) -> Result<DynamicObject, TriggerError> {
    let label = |text: &str| {
        if names::is_label_value(text) {
            text.to_owned()
        } else {
            names::truncate(text, names::LABEL_MAX)
        }
    };
    let marks = json!({
        "metadata": {
            "labels": {
                "events.argoproj.io/sensor": label(&firing.sensor.name),
                "events.argoproj.io/trigger": label(&firing.trigger),
                "events.argoproj.io/action-timestamp": firing.now.as_millisecond().to_string(),
            },
            "annotations": { FIRING: firing.id },
        }
    });
    merge(&mut object, &marks);
    serde_json::from_value(object)
        .map_err(|error| TriggerError::Failed(format!("not an object: {error}")))
}

/// Members of `over` win; objects are merged, everything else is replaced.
fn merge(base: &mut Value, over: &Value) {
    match (base, over) {
        (Value::Object(base), Value::Object(over)) => {
            for (key, value) in over {
                merge(base.entry(key.clone()).or_insert(Value::Null), value);
            }
        }
        (base, over) => base.clone_from(over),
    }
}

fn derived_name(prefix: &str, id: &str, attempt: u32) -> String {
    let number = names::fnv1a_64(format!("{id}/{attempt}").as_bytes());
    let suffix = names::random_suffix(number, SUFFIX);
    format!(
        "{}{suffix}",
        names::truncate(prefix, names::LABEL_MAX - SUFFIX)
    )
}

fn params() -> PostParams {
    PostParams {
        field_manager: Some(MANAGER.to_owned()),
        ..PostParams::default()
    }
}

fn is_taken(status: &Status) -> bool {
    status.code == 409 && status.reason == "AlreadyExists"
}

fn words(error: &kube::Error) -> String {
    match error {
        kube::Error::Api(status) => format!("{} ({})", status.message, status.reason),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_generated_name_is_the_same_for_every_try_of_a_firing() {
        let name = derived_name("job-", "0123abcd", 0);
        assert_eq!(name, derived_name("job-", "0123abcd", 0));
        assert_ne!(name, derived_name("job-", "0123abce", 0));
        assert_ne!(name, derived_name("job-", "0123abcd", 1));
        assert_eq!(name.len(), "job-".len() + SUFFIX);
        assert!(names::is_dns_label(&name), "{name}");
        assert!(derived_name(&"x".repeat(80), "1", 0).len() <= names::LABEL_MAX);
    }

    #[test]
    fn merging_keeps_what_the_patch_does_not_name() {
        let mut live = json!({"a": {"b": 1, "c": [1, 2]}, "d": 1});
        merge(&mut live, &json!({"a": {"c": [3]}, "e": null}));
        assert_eq!(live, json!({"a": {"b": 1, "c": [3]}, "d": 1, "e": null}));
    }
}
