//! Experiments of canary steps in a simulation: they end well, after their duration.

use jiff::{SignedDuration, Timestamp};
use reconcile_core::object::ObjectKey;

use super::{
    effects::UNKNOWN_ANALYSIS,
    world::{PlayedExperiment, World},
};
use crate::{
    analysis::RunOwner,
    api::analysis::AnalysisPhase,
    experiment::{ExperimentView, check_duration},
    rollout::{
        Applied, experiment_step,
        plan::{ExperimentStart, after},
    },
};

impl World {
    pub(super) fn start_experiment(&mut self, start: &ExperimentStart) -> Applied {
        let name = experiment_step::name(&ObjectKey::new(self.namespace(), self.name()), start);
        let uid = self.next_uid();
        let owner = self.root["metadata"]["uid"].as_str().unwrap_or_default();
        let view = ExperimentView {
            key: ObjectKey::new(self.namespace(), &name),
            uid,
            owner: Some(RunOwner {
                kind: "Rollout".to_owned(),
                name: self.name().to_owned(),
                uid: owner.to_owned(),
            }),
            hash: start.hash.clone(),
            step: start.mark.clone(),
            created: Some(self.now),
            phase: AnalysisPhase::Running,
            ..ExperimentView::default()
        };
        let ends: Timestamp = after(self.now, self.experiment_length(start.index));
        let played = PlayedExperiment { view, ends };
        self.experiments.insert(name.clone(), played);
        Applied::Experimenting(name)
    }

    pub(super) fn end_experiment(&mut self, name: &str) {
        if let Some(experiment) = self.experiments.get_mut(name) {
            experiment.view.terminate = true;
            experiment.view.phase = AnalysisPhase::Successful;
        }
    }

    /// How long the Experiment of a step runs: its duration, or the time of an analysis that it waits for.
    fn experiment_length(&self, index: i32) -> SignedDuration {
        let index = usize::try_from(index).unwrap_or_default();
        let step = &self.root["spec"]["strategy"]["canary"]["steps"][index]["experiment"];
        let analyses = step["analyses"].as_array();
        let is_early =
            analyses.is_some_and(|all| all.iter().any(|one| one["requiredForCompletion"] == true));
        let length = check_duration("", step["duration"].as_str()).ok().flatten();
        length.filter(|_| !is_early).unwrap_or(UNKNOWN_ANALYSIS)
    }
}
