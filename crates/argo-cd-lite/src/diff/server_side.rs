//! The second stage: what would the server make of it?

use kube::{
    Client,
    api::{ApiResource, DynamicObject, PatchParams},
    core::GroupVersionKind,
};
use reconcile_core::{
    apply::{ApplyError, apply_with, get, merge_with, resource_of},
    error::{Classify, ErrorClass},
};
use serde_json::Value;
use thiserror::Error;

use super::{
    DiffCache, DiffResult, IgnoreRules, client_side_patch, equal_outcome, leftover, looks_same,
    repeats_list_items, status_differs,
};
use crate::{
    api::FIELD_MANAGER,
    clusters::{Live, ResourceId},
    render::Target,
};

/// A comparison that could not be made.
#[derive(Debug, Error)]
pub enum DiffError {
    /// The live object could not be read, or the server could not be asked.
    #[error(transparent)]
    Api(#[from] ApplyError),
}

impl Classify for DiffError {
    fn class(&self) -> ErrorClass {
        match self {
            Self::Api(error) => error.class(),
        }
    }
}

/// Compares targets with live objects. Cloning shares the cache.
#[derive(Clone)]
pub struct Differ {
    client: Client,
    cache: DiffCache,
}

impl Differ {
    /// Without any verdict yet.
    pub fn new(client: Client, cache: DiffCache) -> Self {
        Self { client, cache }
    }

    /// The cache.
    pub fn cache(&self) -> &DiffCache {
        &self.cache
    }

    /// True when the live object needs no change. The verdict is kept for the state of the object that was read.
    pub async fn same(
        &self,
        target: &Target,
        live: &Live,
        resource: &ApiResource,
        rules: &IgnoreRules,
    ) -> Result<bool, DiffError> {
        let desired = desired_hash(target, rules);
        if let Some(same) = self.cache.get(&target.id, live.hash, desired) {
            return Ok(same);
        }
        // The object may have changed since the watch saw it. The answer is about what is read now.
        let Some(read) = get(&self.client, resource, &target.id.key()).await? else {
            return Ok(false);
        };
        let same = self.ask(target, &read, resource, rules).await?;
        let Some(hash) = self.hash_as_watched(target, live, &read, resource).await? else {
            return Ok(same);
        };
        self.cache.put(
            &target.id,
            DiffResult {
                live: hash,
                desired,
                same,
            },
        );
        Ok(same)
    }

    /// Hash of the object that was read, in the version of the watch; `None` when that is another state of it.
    async fn hash_as_watched(
        &self,
        target: &Target,
        live: &Live,
        read: &DynamicObject,
        resource: &ApiResource,
    ) -> Result<Option<u64>, DiffError> {
        if resource.version == *live.version {
            return Ok(Some(Live::hash_of(read)));
        }
        let kind = &target.id.kind;
        let gvk = GroupVersionKind::gvk(&kind.group, &live.version, &kind.kind);
        let watched = resource_of(&gvk, &resource.plural);
        let found = get(&self.client, &watched, &target.id.key()).await?;
        Ok(found
            .filter(|found| found.metadata.resource_version == read.metadata.resource_version)
            .map(|found| Live::hash_of(&found)))
    }

    /// The target was just applied with this result: the two agree by construction.
    pub fn applied(&self, target: &Target, live: &Live, rules: &IgnoreRules) {
        let desired = desired_hash(target, rules);
        self.cache.put(
            &target.id,
            DiffResult {
                live: live.hash,
                desired,
                same: true,
            },
        );
    }

    async fn ask(
        &self,
        target: &Target,
        read: &DynamicObject,
        resource: &ApiResource,
        rules: &IgnoreRules,
    ) -> Result<bool, DiffError> {
        let Ok(live) = serde_json::to_value(read) else {
            return Ok(false);
        };
        let ignored = rules.for_object(&target.id);
        let desired = target.value();
        if looks_same(&desired, &live, &ignored) {
            return Ok(true);
        }
        if leftover(&desired, &live) || status_differs(&desired, &live, &ignored) {
            return Ok(false);
        }
        match self.predict(target, &live, resource).await? {
            Prediction::Unchanged => Ok(true),
            Prediction::Refused => Ok(false),
            Prediction::Object(predicted) => {
                Ok(equal_outcome(&predicted, &live, &ignored, rules.webhooks()))
            }
        }
    }

    /// What the server says that applying the target would make of the live object.
    pub async fn predict(
        &self,
        target: &Target,
        live: &Value,
        resource: &ApiResource,
    ) -> Result<Prediction, DiffError> {
        tracing::debug!(object = %target.id, "asking the server what applying would change");
        let (key, desired) = (target.id.key(), target.value());
        let params = PatchParams {
            dry_run: true,
            ..PatchParams::apply(FIELD_MANAGER).force()
        };
        let mut answer = apply_with(&self.client, resource, &key, &desired, &params).await;
        if answer.as_ref().is_err_and(repeats_list_items) {
            let Some(patch) = client_side_patch(&desired, live) else {
                return Ok(Prediction::Unchanged);
            };
            let params = PatchParams {
                field_manager: Some(FIELD_MANAGER.to_owned()),
                dry_run: true,
                ..PatchParams::default()
            };
            answer = merge_with(&self.client, resource, &key, &patch, &params).await;
        }
        match answer {
            Ok(predicted) => Ok(Prediction::Object(
                serde_json::to_value(&predicted).unwrap_or(Value::Null),
            )),
            // Refused: applying will be refused too, and says why.
            Err(error) if is_refused(&error) => Ok(Prediction::Refused),
            Err(error) => Err(error.into()),
        }
    }
}

/// The answer of a dry-run.
#[derive(Clone, Debug, PartialEq)]
pub enum Prediction {
    /// The object after it.
    Object(Value),
    /// There is nothing to change.
    Unchanged,
    /// The server does not accept the target.
    Refused,
}

/// True when the manifest itself is at fault. The API server answers 500 to fields that a built-in kind
/// does not have, which says so only in its text.
fn is_refused(error: &ApplyError) -> bool {
    error.class() == ErrorClass::Invalid
        || (error.code() == Some(500) && error.reason.contains("typed patch object"))
}

fn desired_hash(target: &Target, rules: &IgnoreRules) -> u64 {
    target.hash ^ rules.hash(&target.id).rotate_left(1)
}

/// The id of a target, for callers that only hold the target.
impl AsRef<ResourceId> for Target {
    fn as_ref(&self) -> &ResourceId {
        &self.id
    }
}
