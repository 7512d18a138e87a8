//! The effects of a canary step with an Experiment.

use kube::api::DynamicObject;
use reconcile_core::{
    apply::{self, ApplyError},
    object::{ObjectKey, Root},
};
use serde_json::json;

use crate::{
    api::experiment::{Experiment, ExperimentKind},
    experiment::view::ExperimentView,
    rollout::{
        effects::{Applied, Effects},
        error::RolloutError,
        experiment_step::{self, SetTemplate, StepInputs},
        injected,
        observed::{Observed, Step},
        plan::ExperimentStart,
        resources::{MANAGER, experiments, replica_sets},
    },
};

/// Names that are tried for the Experiment of one step.
const MOST_NAMES: u32 = 100;

impl Effects {
    /// Creates the Experiment of a step. One with the mark of the step that gives a verdict yet is what an
    /// earlier attempt made, whose answer was lost; when the name is taken otherwise it gets a counter.
    pub(super) async fn start_experiment(
        &self,
        observed: &Observed,
        start: &ExperimentStart,
    ) -> Result<Applied, RolloutError> {
        let namespace = observed.root.key().namespace;
        let steps = observed.spec.canary().map(|canary| &canary.steps);
        let index = usize::try_from(start.index).unwrap_or(usize::MAX);
        let Some(Step::Experiment(step)) = steps.and_then(|steps| steps.get(index)) else {
            let text = format!("step {} has no Experiment", start.index);
            return Err(RolloutError::Bug(text));
        };
        let canary = self.set_template(&namespace, &start.canary_set).await?;
        let stable = self.set_template(&namespace, &start.stable_set).await?;
        let object = experiment_step::build(&StepInputs {
            observed,
            step,
            start,
            canary: &canary,
            stable: &stable,
        })?;
        let base = experiment_step::name(&observed.root.key(), start);
        let bug = |error: serde_json::Error| RolloutError::Bug(error.to_string());
        let mut name = base.clone();
        for count in 1..=MOST_NAMES {
            let key = ObjectKey::new(&namespace, &name);
            let mut object = object.clone();
            object["metadata"]["name"] = name.clone().into();
            let object: DynamicObject = serde_json::from_value(object).map_err(bug)?;
            let found =
                match apply::create(&self.client, &experiments(), &key, &object, MANAGER).await {
                    Ok(created) => Some(created),
                    Err(error) if error.code() == Some(409) => {
                        let found = apply::get(&self.client, &experiments(), &key).await?;
                        found.filter(|found| is_of(found, observed.root.uid(), &start.mark))
                    }
                    Err(error) => return Err(error.into()),
                };
            if let Some(found) = found {
                self.remember_experiment(&found);
                return Ok(Applied::Experimenting(name));
            }
            name = format!("{base}-{count}");
        }
        Err(RolloutError::Bug(format!(
            "{MOST_NAMES} Experiments with the name {base} exist"
        )))
    }

    pub(super) async fn terminate_experiment(&self, key: &ObjectKey) -> Result<(), ApplyError> {
        let body = json!({ "spec": { "terminate": true } });
        match apply::merge_patch(&self.client, &experiments(), key, &body, MANAGER).await {
            Ok(patched) => self.remember_experiment(&patched),
            Err(error) if error.code() == Some(404) => {}
            Err(error) => return Err(error),
        }
        Ok(())
    }

    fn remember_experiment(&self, object: &DynamicObject) {
        let root = serde_json::to_value(object)
            .ok()
            .and_then(|value| Experiment::from_value(&value).ok());
        if let Some(root) = root {
            let view = ExperimentView::of(&root);
            drop(self.sources.experiments.written(&root.metadata, view));
        }
    }

    async fn set_template(&self, namespace: &str, name: &str) -> Result<SetTemplate, RolloutError> {
        let key = ObjectKey::new(namespace, name);
        let found = apply::get(&self.client, &replica_sets(), &key).await?;
        let template = found.and_then(|mut set| {
            let annotations = set.metadata.annotations.as_ref();
            let added = annotations.and_then(|all| all.get(injected::EPHEMERAL_METADATA));
            let added = injected::metadata_of(added.map(String::as_str));
            injected::strip(&mut set.data["spec"]["template"], added.as_ref());
            SetTemplate::new(&set.data["spec"])
        });
        template.ok_or(RolloutError::Stale)
    }
}

/// True when the Experiment belongs to this try of the step.
fn is_of(found: &DynamicObject, owner: &str, mark: &str) -> bool {
    let root = serde_json::to_value(found)
        .ok()
        .and_then(|value| Root::<ExperimentKind>::from_value(&value).ok());
    root.is_some_and(|root| {
        let view = ExperimentView::of(&root);
        view.owner.is_some_and(|found| found.uid == owner)
            && view.step == mark
            && !view.terminate
            && !view.deleting
    })
}
