//! One object in the cluster, and what can be done with it.

use kube::{
    Api, Client,
    api::{ApiResource, DeleteParams, DynamicObject, Patch, PatchParams, PostParams},
    core::Status,
};
use serde_json::Value;

use super::provenance::{FIRING, derived_name, merge, with_provenance};
use crate::trigger::{Firing, LabelPolicy, TriggerError};

/// Who writes, for the API server's field ownership.
const MANAGER: &str = "argo-events";
/// Names tried when a derived one belongs to something else.
const NAMES: u32 = 3;

/// The types of patches.
#[derive(Clone, Copy, Debug)]
pub(in crate::trigger) enum PatchKind {
    Merge,
    Strategic,
    Json,
    Apply,
}

impl PatchKind {
    /// The type of a `patchStrategy`.
    pub(in crate::trigger) fn parse(strategy: &str) -> Option<Self> {
        match strategy {
            "" | "application/merge-patch+json" => Some(Self::Merge),
            "application/strategic-merge-patch+json" => Some(Self::Strategic),
            "application/json-patch+json" => Some(Self::Json),
            "application/apply-patch+yaml" => Some(Self::Apply),
            _ => None,
        }
    }
}

/// Where the object lives.
pub(in crate::trigger) struct Target {
    api: Api<DynamicObject>,
    name: String,
    what: String,
}

impl Target {
    /// The place of `object`; without a namespace it is one of the cluster.
    pub(in crate::trigger) fn new(
        client: &Client,
        resource: &ApiResource,
        namespace: Option<&str>,
        object: &Value,
    ) -> Self {
        let text = |pointer: &str| {
            object
                .pointer(pointer)
                .and_then(Value::as_str)
                .unwrap_or_default()
        };
        let api = match namespace {
            Some(namespace) => Api::namespaced_with(client.clone(), namespace, resource),
            None => Api::all_with(client.clone(), resource),
        };
        let name = text("/metadata/name");
        let shown = if name.is_empty() {
            text("/metadata/generateName")
        } else {
            name
        };
        let place = namespace.map_or_else(String::new, |namespace| format!("{namespace}/"));
        Self {
            api,
            name: name.to_owned(),
            what: format!("{} {place}{shown}", resource.kind),
        }
    }

    fn failed(&self, verb: &str, error: kube::Error) -> TriggerError {
        TriggerError::api(format!("{verb} {}", self.what), error)
    }

    /// Kind and place, with the name that was generated.
    pub(in crate::trigger) fn shown(&self, generated: Option<&str>) -> String {
        match generated.filter(|name| *name != self.name) {
            Some(name) => format!("{} as {name}", self.what),
            None => self.what.clone(),
        }
    }

    /// The failure for an object that should be there.
    pub(in crate::trigger) fn absent(&self) -> TriggerError {
        TriggerError::Failed(format!("{} does not exist", self.what))
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

    /// The object as it is.
    pub(in crate::trigger) async fn get(&self) -> Result<Option<DynamicObject>, TriggerError> {
        self.named()?;
        self.api
            .get_opt(&self.name)
            .await
            .map_err(|error| self.failed("get", error))
    }

    /// The object as it is; an error when there is none.
    pub(in crate::trigger) async fn live(&self) -> Result<Value, TriggerError> {
        let live = self.get().await?.ok_or_else(|| self.absent())?;
        Ok(serde_json::to_value(live).unwrap_or(Value::Null))
    }

    /// Creates the object; gives its name. One that this very firing created before is fine.
    pub(in crate::trigger) async fn create(
        &self,
        object: Value,
        firing: &Firing,
    ) -> Result<Option<String>, TriggerError> {
        let prefix = object
            .pointer("/metadata/generateName")
            .and_then(Value::as_str)
            .unwrap_or_default()
            .to_owned();
        let generated = self.name.is_empty() && !prefix.is_empty();
        if !generated {
            self.named()?;
        }
        let mut object = with_provenance(object, firing)?;
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
                        return Err(self.failed("create", kube::Error::Api(status)));
                    }
                }
                Err(error) => return Err(self.failed("create", error)),
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
            .map_err(|error| self.failed("get", error))?;
        let id = live.and_then(|live| live.metadata.annotations?.remove(FIRING));
        Ok(id.as_deref() == Some(firing.id.as_str()))
    }

    /// Merges `object` over the live one, unless somebody changed that since it was read.
    pub(in crate::trigger) async fn replace(
        &self,
        live: &DynamicObject,
        object: &Value,
    ) -> Result<Option<String>, TriggerError> {
        let before = serde_json::to_value(live).unwrap_or(Value::Null);
        let mut merged = before.clone();
        merge(&mut merged, object);
        if before == merged {
            return Ok(Some(self.name.clone()));
        }
        let merged: DynamicObject = serde_json::from_value(merged)
            .map_err(|error| TriggerError::Failed(format!("update {}: {error}", self.what)))?;
        match self.api.replace(&self.name, &params(), &merged).await {
            Ok(_) => Ok(Some(self.name.clone())),
            Err(error) => Err(self.failed("update", error)),
        }
    }

    /// Patches the object; creates it when there is none.
    pub(in crate::trigger) async fn patch(
        &self,
        object: Value,
        kind: PatchKind,
        firing: &Firing,
    ) -> Result<Option<String>, TriggerError> {
        self.named()?;
        let params = PatchParams {
            field_manager: Some(MANAGER.to_owned()),
            ..PatchParams::default()
        };
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
            Err(error) => Err(self.failed("patch", error)),
        }
    }

    /// Deletes the object; one that is not there is fine.
    pub(in crate::trigger) async fn delete(&self) -> Result<(), TriggerError> {
        self.named()?;
        match self.api.delete(&self.name, &DeleteParams::default()).await {
            Ok(_) => Ok(()),
            Err(kube::Error::Api(status)) if status.code == 404 => Ok(()),
            Err(error) => Err(self.failed("delete", error)),
        }
    }

    /// Waits until the object has the labels of the policy.
    pub(in crate::trigger) async fn wait_for_labels(
        &self,
        name: &str,
        policy: &LabelPolicy,
    ) -> Result<(), TriggerError> {
        let mut looks = 0;
        loop {
            looks += 1;
            let live = self
                .api
                .get_opt(name)
                .await
                .map_err(|error| self.failed("get", error))?;
            let labels = live
                .and_then(|live| live.metadata.labels)
                .unwrap_or_default();
            let mut missing = policy.labels.iter();
            let missing = missing.find(|(key, value)| labels.get(*key) != Some(*value));
            let Some((key, value)) = missing else {
                return Ok(());
            };
            match policy.looks.after(looks, 0.5) {
                Some(pause) => tokio::time::sleep(pause).await,
                None if policy.required => {
                    return Err(TriggerError::Failed(format!(
                        "{}: does not have the labels of policy.k8s: {key}={value}",
                        self.what
                    )));
                }
                None => return Ok(()),
            }
        }
    }
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
