//! Starts AnalysisRuns.

use crate::{
    analysis::{
        self,
        build::{self, ArgumentSources, RunRequest, RunType},
    },
    api::{analysis::RolloutAnalysis, rollout::RunStatus},
    rollout::{
        effects::{Applied, Effects},
        error::RolloutError,
        observed::{CheckedStrategy, Observed, Step},
    },
};

impl Effects {
    pub(super) async fn start_run(
        &self,
        observed: &Observed,
        run_type: RunType,
        hash: &str,
        revision: i64,
    ) -> Result<Applied, RolloutError> {
        let key = observed.root.key();
        let Some(analysis) = wanted_analysis(observed, run_type) else {
            return Err(RolloutError::Bug(format!(
                "no {} analysis is asked for",
                run_type.label()
            )));
        };
        let templates = self
            .sources
            .analysis
            .templates
            .resolve(&key.namespace, &analysis.templates)?;
        let rollout = serde_json::to_value(&observed.root).unwrap_or_default();
        let sources = ArgumentSources {
            stable_hash: &observed.status.stable_rs,
            latest_hash: hash,
            rollout: &rollout,
        };
        let run = build::build_run(RunRequest {
            namespace: &key.namespace,
            rollout: &key.name,
            owner: observed.root.controller_reference(),
            pod_hash: hash,
            revision: &revision.to_string(),
            run_type,
            instance_id: &self.instance_id,
            selector_labels: &observed.spec.selector.match_labels,
            analysis,
            templates: &templates,
            arguments: build::arguments(&analysis.args, sources)?,
        })?;
        let view = analysis::create_run(&self.client, &run).await?;
        let started = RunStatus {
            name: view.key.name.clone(),
            status: view.phase.as_str().to_owned(),
            message: view.message.clone(),
        };
        self.sources.analysis.remember(view);
        Ok(Applied::Started(started))
    }
}

fn wanted_analysis(observed: &Observed, run_type: RunType) -> Option<&RolloutAnalysis> {
    match (&observed.spec.strategy, run_type) {
        (CheckedStrategy::Canary(canary), RunType::Step(index)) => {
            match canary.steps.get(usize::try_from(index).ok()?)? {
                Step::Analysis(analysis) => Some(analysis),
                _ => None,
            }
        }
        (CheckedStrategy::Canary(canary), RunType::Background) => {
            canary.analysis.as_ref().map(|(analysis, _)| analysis)
        }
        (CheckedStrategy::BlueGreen(rules), RunType::PrePromotion) => rules.pre_analysis.as_ref(),
        (CheckedStrategy::BlueGreen(rules), RunType::PostPromotion) => rules.post_analysis.as_ref(),
        _ => None,
    }
}
