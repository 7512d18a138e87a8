//! Effects. Each is one targeted write; the answer goes into the index, so that the next pass sees it.

mod experiments;
mod replica_sets;
mod runs;

use kube::{
    Client,
    api::{ApiResource, DynamicObject, PropagationPolicy},
    core::GroupVersionKind,
};
use reconcile_core::{
    apply::{self, ApplyError},
    object::{Kind, ObjectKey, Root},
};
use serde_json::{Value, json};

use self::experiments::experiments;
use super::{
    error::RolloutError,
    kinds::{ReplicaSetKind, ServiceKind, replica_set_view, service_view},
    observe::Sources,
    observed::Observed,
    plan::Action,
    traffic::{self, RouteContext, RouteGoal, Routing},
};
use crate::{
    analysis,
    api::rollout::{HASH_LABEL, MANAGED_BY, RunStatus},
};

/// Field manager of writes.
pub(crate) const MANAGER: &str = "rollouts-controller";

/// What an action brought.
#[derive(Clone, Debug)]
pub enum Applied {
    /// It is done.
    Done,
    /// A `PodDisruptionBudget` holds the eviction back.
    Held,
    /// The name of the new ReplicaSet is taken by another one.
    Collision,
    /// The AnalysisRun that was started.
    Started(RunStatus),
    /// The Experiment that was created; its name.
    Experimenting(String),
}

/// Carries out actions. Cloning shares client and indexes.
#[derive(Clone)]
pub struct Effects {
    /// The fenced client.
    pub client: Client,
    /// The indexes.
    pub sources: Sources,
    /// `--instance-id`.
    pub instance_id: String,
}

impl Effects {
    /// Carries out one action.
    pub async fn apply(
        &self,
        observed: &Observed,
        action: &Action,
    ) -> Result<Applied, RolloutError> {
        let namespace = observed
            .root
            .metadata
            .namespace
            .as_deref()
            .unwrap_or_default();
        let key = |name: &str| ObjectKey::new(namespace, name);
        match action {
            Action::Adopt { name, version } => self.adopt(observed, &key(name), version).await?,
            Action::Release { name, uid } => self.release(observed, &key(name), uid).await?,
            Action::Create(set) => return self.create(observed, set).await,
            Action::Change(change) => self.change_replica_set(&key(&change.name), change).await?,
            Action::Delete { name, uid } => self.delete_replica_set(&key(name), uid).await?,
            Action::ScaleWorkload(scale) => self.scale_workload(namespace, scale).await?,
            Action::Evict(pod) => return self.evict(namespace, pod).await,
            Action::ChangePod(change) => self.change_pod(namespace, change).await?,
            Action::Switch { service, to, .. } => self.switch(observed, &key(service), to).await?,
            Action::Route(goal) => self.route(observed, goal).await?,
            Action::StartRun {
                run_type,
                hash,
                revision,
            } => {
                return self.start_run(observed, *run_type, hash, *revision).await;
            }
            Action::TerminateRun(run) => {
                analysis::terminate_run(&self.client, &key(&run.name)).await?;
            }
            Action::DeleteRun(run) => {
                let resource = resource("argoproj.io", "v1alpha1", "AnalysisRun", "analysisruns");
                apply::delete(
                    &self.client,
                    &resource,
                    &key(&run.name),
                    None,
                    PropagationPolicy::Background,
                )
                .await?;
            }
            Action::SetFlags { config_map, edits } => {
                self.set_flags(observed, config_map, edits).await?;
            }
            Action::StartExperiment(start) => return self.start_experiment(observed, start).await,
            Action::TerminateExperiment { name } => self.terminate_experiment(&key(name)).await?,
            Action::DeleteExperiment { name } => {
                let how = PropagationPolicy::Background;
                apply::delete(&self.client, &experiments(), &key(name), None, how).await?;
            }
        }
        Ok(Applied::Done)
    }

    /// Patches a ReplicaSet.
    pub(crate) async fn patch_replica_set(
        &self,
        key: &ObjectKey,
        body: &Value,
    ) -> Result<(), ApplyError> {
        let object = apply::merge_patch(&self.client, &replica_sets(), key, body, MANAGER).await?;
        self.remember_replica_set(object);
        Ok(())
    }

    /// Takes the answer of a write of a ReplicaSet or Service.
    pub(crate) fn remember(&self, object: DynamicObject) {
        let kind = object.types.as_ref().map(|types| types.kind.as_str());
        if kind == Some(ServiceKind::KIND) {
            self.remember_service(object);
        } else {
            self.remember_replica_set(object);
        }
    }

    fn remember_service(&self, object: DynamicObject) {
        let root = serde_json::to_value(object)
            .ok()
            .and_then(|value| Root::<ServiceKind>::from_value(&value).ok());
        if let Some(root) = root
            && let Some(view) = service_view(&root)
        {
            drop(self.sources.services.written(&root.metadata, view));
        }
    }

    fn remember_replica_set(&self, object: DynamicObject) {
        let root = serde_json::to_value(object)
            .ok()
            .and_then(|value| Root::<ReplicaSetKind>::from_value(&value).ok());
        if let Some(root) = root
            && let Some(view) = replica_set_view(&root)
        {
            drop(self.sources.replica_sets.written(&root.metadata, view));
        }
    }

    async fn switch(
        &self,
        observed: &Observed,
        key: &ObjectKey,
        hash: &str,
    ) -> Result<(), RolloutError> {
        let owner = observed.root.metadata.name.as_deref().unwrap_or_default();
        let body = json!({
            "metadata": { "annotations": { MANAGED_BY: owner } },
            "spec": { "selector": { HASH_LABEL: hash } },
        });
        let object = apply::merge_patch(&self.client, &services(), key, &body, MANAGER).await?;
        self.remember_service(object);
        Ok(())
    }

    /// Reads what the route objects of a Rollout say.
    pub(super) async fn observe_traffic(
        &self,
        observed: &mut Observed,
    ) -> Result<(), RolloutError> {
        if observed.root.is_deleting() {
            return Ok(());
        }
        let experiments = observed.experiment_services();
        let state = match self.routing(observed, &experiments) {
            Some((routing, context)) => Some(traffic::observe(routing, &context).await?),
            None => None,
        };
        observed.traffic = state;
        Ok(())
    }

    fn routing<'a>(
        &'a self,
        observed: &'a Observed,
        experiments: &'a [String],
    ) -> Option<(&'a Routing, RouteContext<'a>)> {
        let canary = observed.spec.canary()?;
        let routing = canary.routing.as_ref()?;
        let context = RouteContext {
            client: &self.client,
            rollout: observed.root.key(),
            owner: observed.root.controller_reference(),
            canary: canary.canary_service.as_deref().unwrap_or_default(),
            stable: canary.stable_service.as_deref().unwrap_or_default(),
            max_weight: routing.max_weight,
            managed: &routing.managed,
            experiments,
        };
        Some((routing, context))
    }

    async fn route(&self, observed: &Observed, goal: &RouteGoal) -> Result<(), RolloutError> {
        let experiments = observed.experiment_services();
        if let Some((routing, context)) = self.routing(observed, &experiments) {
            for router in &routing.routers {
                router
                    .apply(&context, goal)
                    .await
                    .map_err(RolloutError::Route)?;
            }
        }
        Ok(())
    }
}

pub(super) fn resource(group: &str, version: &str, kind: &str, plural: &str) -> ApiResource {
    apply::resource_of(&GroupVersionKind::gvk(group, version, kind), plural)
}

pub(crate) fn replica_sets() -> ApiResource {
    resource("apps", "v1", "ReplicaSet", "replicasets")
}

pub(crate) fn services() -> ApiResource {
    resource("", "v1", "Service", "services")
}
