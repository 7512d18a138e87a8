//! Carries out actions: each is one targeted write.

mod experiments;
mod replica_sets;
mod runs;

use kube::api::PropagationPolicy;
use reconcile_core::{apply, object::ObjectKey};
use serde_json::json;

use super::{
    effects::{Applied, Effects},
    error::RolloutError,
    observed::{Canary, Observed, Step},
    plan::Action,
    resources::{MANAGER, experiments, resource, services},
    traffic::{self, Asking, RouteContext, RouteGoal, Routing},
};
use crate::{
    analysis,
    api::rollout::{HASH_LABEL, MANAGED_BY},
};

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
            aws: self.asking(observed, canary),
        };
        Some((routing, context))
    }

    /// What AWS is asked in this pass. Its API has narrow limits, so weights are verified where a step waits for
    /// them, as upstream does.
    fn asking<'a>(&'a self, observed: &'a Observed, canary: &Canary) -> Option<Asking<'a>> {
        let status = &observed.status;
        let is_update = !status.stable_rs.is_empty() && status.stable_rs != status.current_pod_hash;
        let index = usize::try_from(status.current_step_index.unwrap_or_default()).ok();
        let step = index.and_then(|index| canary.steps.get(index));
        Some(Asking {
            aws: self.aws.as_ref()?,
            verify: is_update && matches!(step, Some(Step::SetWeight(_))),
            is_update,
            is_known: status.alb.is_some(),
        })
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
            self.sources.route_writes.note(context.rollout);
        }
        Ok(())
    }
}
