//! The k8s trigger: create, update, patch or delete an object as the Sensor's service account.
//!
//! Every operation may be repeated with the same effect: an object that is created carries the identity
//! of its firing, and a generated name is derived from it.

mod discovered;
mod provenance;
mod target;

use std::{sync::Arc, time::Duration};

use kube::{Client, core::GroupVersionKind};
use reconcile_core::{
    object::FieldError,
    yaml::{Limits, documents_within},
};
use serde_json::Value;

pub use discovered::Discovered;
use target::{PatchKind, Target};

use super::{Executor, Firing, SuccessPolicy, TriggerError};
use crate::{api::trigger::K8sTrigger, sensor::parameter};

/// How often an update is tried again because somebody else changed the object meanwhile. Each time
/// somebody got further, and no more than the parallel actions of a trigger usually compete.
const CONFLICTS: u32 = 64;
/// Pause before an update is tried again: up to so long for each time before, at random.
const CONFLICT_PAUSE: Duration = Duration::from_millis(5);

/// Checks what can be checked before parameters are applied.
pub(super) fn check(path: &str, action: &mut K8sTrigger) -> Result<(), FieldError> {
    let at = |field: &str, message: String| FieldError::new(format!("{path}.{field}"), message);
    let operation = action.operation.as_deref().unwrap_or_default();
    if !["", "create", "update", "patch", "delete"].contains(&operation) {
        return Err(at(
            "operation",
            format!("{operation:?} is not create, update, patch or delete"),
        ));
    }
    let strategy = action.patch_strategy.as_deref().unwrap_or_default();
    if PatchKind::parse(strategy).is_none() {
        return Err(at(
            "patchStrategy",
            format!("{strategy:?} is not a known type of patch"),
        ));
    }
    let Some(source) = &mut action.source else {
        return Err(at("source", "must not be empty".into()));
    };
    if let Some(name) = ["s3", "file", "url", "git"]
        .iter()
        .find(|name| source.other.contains_key(**name))
    {
        return Err(at(&format!("source.{name}"), "not supported yet".into()));
    }
    match (&source.inline, &source.configmap, &source.resource) {
        (Some(text), ..) => {
            let parsed = parse(text).map_err(|error| at("source.inline", error))?;
            source.parsed = Some(Arc::new(parsed));
            Ok(())
        }
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

/// Bounds of a manifest in a trigger. Aliases count as what they repeat; 20,000 nodes take milliseconds.
const LIMITS: Limits = Limits {
    bytes: 2 << 20,
    nodes: 20_000,
    depth: 100,
};

/// Reads the one object of a manifest.
pub(super) fn parse(text: &str) -> Result<Value, String> {
    let mut documents = documents_within(text, LIMITS).map_err(|error| error.to_string())?;
    match documents.len() {
        0 => Err("holds no object".to_owned()),
        1 => Ok(documents.swap_remove(0).value),
        count => Err(format!(
            "holds {count} documents; a trigger acts on one object"
        )),
    }
    .and_then(|value| {
        if value.is_object() {
            Ok(value)
        } else {
            Err("is not an object".to_owned())
        }
    })
}

impl Executor {
    pub(super) async fn act_on_object(
        &self,
        action: &K8sTrigger,
        success: &SuccessPolicy,
        firing: &Firing,
    ) -> Result<(), TriggerError> {
        let (namespace, account) = (firing.sensor.namespace.as_str(), &firing.service_account);
        let client = self.identities.client(namespace, account).await?;
        let (target, written) = match self.write(&client, action, firing).await {
            Err(error) if error.status() == Some(401) => {
                // The account was deleted and created again: its old tokens are void, and nothing was done with this one.
                self.identities.forget(namespace, account).await;
                let client = self.identities.client(namespace, account).await?;
                self.write(&client, action, firing).await?
            }
            outcome => outcome?,
        };
        match (&success.labels, written) {
            (Some(policy), Some(name)) => target.wait_for_labels(&name, policy).await,
            _ => Ok(()),
        }
    }

    /// Does what the operation says; gives the name of the object that was written, if one was.
    async fn write(
        &self,
        client: &Client,
        action: &K8sTrigger,
        firing: &Firing,
    ) -> Result<(Target, Option<String>), TriggerError> {
        let namespace = firing.sensor.namespace.as_str();
        let source = self.source(action, namespace).await?;
        let patched = |object| parameter::apply(object, &action.parameters, firing.inputs());
        let operation = action.operation.as_deref().unwrap_or_default();
        let update = operation == "update";
        let object = if update && action.live_object {
            // The parameters are for the live object.
            source
        } else {
            patched(source)?
        };
        let target = self.target(client, &object, namespace).await?;
        let written = match operation {
            "" | "create" => target.create(object, firing).await?,
            "update" => {
                let change = || async {
                    match target.get().await? {
                        Some(live) if action.live_object => {
                            let object =
                                patched(serde_json::to_value(&live).unwrap_or(Value::Null))?;
                            target.replace(&live, &object).await
                        }
                        Some(live) => target.replace(&live, &object).await,
                        None if action.live_object => Err(target.absent()),
                        None => target.create(object.clone(), firing).await,
                    }
                };
                again_after_conflicts(change).await?
            }
            "patch" => {
                let strategy = action.patch_strategy.as_deref().unwrap_or_default();
                let kind = PatchKind::parse(strategy).unwrap_or(PatchKind::Merge);
                target.patch(object, kind, firing).await?
            }
            "delete" => {
                target.delete().await?;
                None
            }
            other => return Err(TriggerError::Failed(format!("unknown operation {other:?}"))),
        };
        Ok((target, written))
    }

    async fn source(&self, action: &K8sTrigger, namespace: &str) -> Result<Value, TriggerError> {
        let Some(source) = &action.source else {
            return Err(TriggerError::Failed("no source".to_owned()));
        };
        if let Some(text) = &source.inline {
            if let Some(parsed) = &source.parsed {
                return Ok(parsed.as_ref().clone());
            }
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
        let (resource, namespaced) = found.map_err(|error| match error {
            kube::Error::Api(status) if status.code == 404 => TriggerError::Failed(format!(
                "the API server has no kind {kind} in {}",
                text("/apiVersion")
            )),
            error => TriggerError::api(kind, error),
        })?;
        let own = text("/metadata/namespace");
        let namespace = if own.is_empty() { namespace } else { own };
        let namespace = namespaced.then_some(namespace);
        Ok(Target::new(client, &resource, namespace, object))
    }
}

/// Does something until nobody else changed the object meanwhile.
async fn again_after_conflicts<R, F>(mut change: impl FnMut() -> F) -> Result<R, TriggerError>
where
    F: Future<Output = Result<R, TriggerError>>,
{
    let mut conflicts = 0;
    loop {
        match change().await {
            Err(error) if error.status() == Some(409) && conflicts < CONFLICTS => {
                conflicts += 1;
                let pause = CONFLICT_PAUSE * conflicts;
                tokio::time::sleep(pause.mul_f64(rand::random())).await;
            }
            outcome => return outcome,
        }
    }
}

#[cfg(test)]
mod tests;
