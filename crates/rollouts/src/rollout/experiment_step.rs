//! The Experiment of a canary step: its check, and the object that is created.

use std::collections::{BTreeMap, HashSet};

use reconcile_core::{
    kube_types::{LabelSelector, Selector},
    object::{FieldError, ObjectKey, parse_at},
};
use serde_json::{Value, json};

use super::{
    error::RolloutError,
    observed::{Observed, Step},
    plan::ExperimentStart,
    traffic::{FULL_WEIGHT, Routing},
};
use crate::{
    analysis::build::{self, ArgumentSources},
    api::{
        experiment::{
            AnalysisRef, ExperimentSpec, ExperimentStep, StepTemplate, TemplateService,
            TemplateSpec,
        },
        rollout::{HASH_LABEL, REVISION},
    },
    experiment::{validate::check_duration, view::STEP},
};

/// Checks the `experiment` of a step.
pub(super) fn check(
    at: &str,
    value: &Value,
    routing: Option<&Routing>,
) -> Result<ExperimentStep, FieldError> {
    let step: ExperimentStep = parse_at(at, &value.to_string())?;
    let wrong = |path: String, message: &str| Err(FieldError::new(path, message));
    if step.templates.is_empty() {
        return wrong(
            format!("{at}.templates"),
            "Required value: name at least one template",
        );
    }
    check_duration(&format!("{at}.duration"), step.duration.as_deref())?;
    let mut names = HashSet::new();
    for (index, template) in step.templates.iter().enumerate() {
        let at = format!("{at}.templates[{index}]");
        if template.name.is_empty() {
            return wrong(format!("{at}.name"), "Required value");
        }
        if !names.insert(&template.name) {
            return wrong(
                format!("{at}.name"),
                "Duplicate value: another template has this name",
            );
        }
        if !["canary", "stable"].contains(&template.spec_ref.as_str()) {
            return wrong(
                format!("{at}.specRef"),
                "Invalid value: must be canary or stable",
            );
        }
        if template.replicas.is_some_and(|replicas| replicas < 0) {
            return wrong(
                format!("{at}.replicas"),
                "Invalid value: must be greater than or equal to 0",
            );
        }
        if let Some(weight) = template.weight {
            check_weight(&format!("{at}.weight"), weight, routing)?;
        }
        if let Some(selector) = &template.selector {
            let checked = Selector::try_from(selector)
                .map_err(|error| FieldError::new(format!("{at}.selector"), error.to_string()))?;
            if checked.is_everything() {
                return wrong(format!("{at}.selector"), "Invalid value: an empty selector");
            }
        }
    }
    let mut names = HashSet::new();
    for (index, analysis) in step.analyses.iter().enumerate() {
        let at = format!("{at}.analyses[{index}]");
        if analysis.name.is_empty() || !names.insert(&analysis.name) {
            return wrong(
                format!("{at}.name"),
                "Required value: a name that no other analysis has",
            );
        }
        if analysis.template_name.is_empty() {
            return wrong(format!("{at}.templateName"), "Required value");
        }
    }
    Ok(step)
}

/// A share of the traffic needs a router that can give one.
fn check_weight(at: &str, weight: i32, routing: Option<&Routing>) -> Result<(), FieldError> {
    let Some(routing) = routing else {
        let message = "Invalid value: Experiment template weight is only available for a canary with traffic routing";
        return Err(FieldError::new(at, message));
    };
    routing.takes_extra(at)?;
    if !(0..=FULL_WEIGHT).contains(&weight) {
        let message = format!("Invalid value: {weight}: must be between 0 and {FULL_WEIGHT}");
        return Err(FieldError::new(at, message));
    }
    Ok(())
}

/// The shares of an Experiment together must leave something for both versions.
pub(super) fn check_totals(at: &str, steps: &[Step]) -> Result<(), FieldError> {
    let mut canary = 0;
    for (index, step) in steps.iter().enumerate() {
        match step {
            Step::SetWeight(weight) => canary = *weight,
            Step::Experiment(step) => {
                let shares = step.templates.iter().filter_map(|template| template.weight);
                let total: i32 = shares.sum();
                if total > FULL_WEIGHT - canary {
                    let message = format!(
                        "Invalid value: {total}: together with setWeight {canary} the templates get more than {FULL_WEIGHT}"
                    );
                    let at = format!("{at}[{index}].experiment.templates");
                    return Err(FieldError::new(at, message));
                }
            }
            _ => {}
        }
    }
    Ok(())
}

/// A ReplicaSet of the Rollout whose pod template a template of the Experiment takes over.
#[derive(Clone, Debug, Default)]
pub(super) struct SetTemplate {
    /// Selector without the pod template hash.
    pub(super) selector: LabelSelector,
    /// Pod template without the pod template hash.
    pub(super) template: Value,
    /// `minReadySeconds`.
    pub(super) min_ready: i32,
}

impl SetTemplate {
    /// Reads the `spec` of a ReplicaSet.
    pub(super) fn new(spec: &Value) -> Option<Self> {
        let mut selector: LabelSelector = serde_json::from_value(spec["selector"].clone()).ok()?;
        selector.match_labels.remove(HASH_LABEL);
        let mut template = spec["template"].clone();
        if let Some(labels) = template
            .pointer_mut("/metadata/labels")
            .and_then(Value::as_object_mut)
        {
            labels.remove(HASH_LABEL);
        }
        let min_ready = spec["minReadySeconds"]
            .as_i64()
            .and_then(|number| number.try_into().ok());
        Some(Self {
            selector,
            template,
            min_ready: min_ready.unwrap_or(0),
        })
    }
}

/// What an Experiment is made from.
pub(super) struct StepInputs<'a> {
    /// The Rollout.
    pub(super) observed: &'a Observed,
    pub(super) step: &'a ExperimentStep,
    /// What the plan says.
    pub(super) start: &'a ExperimentStart,
    /// ReplicaSet of the new version.
    pub(super) canary: &'a SetTemplate,
    /// ReplicaSet of the stable version.
    pub(super) stable: &'a SetTemplate,
}

/// The Experiment as JSON.
pub(super) fn build(inputs: &StepInputs<'_>) -> Result<Value, RolloutError> {
    let StepInputs {
        observed,
        step,
        start,
        ..
    } = inputs;
    let meta = &observed.root.metadata;
    let key = observed.root.key();
    let mut labels: BTreeMap<String, String> = meta.labels.clone().unwrap_or_default();
    labels.insert(HASH_LABEL.to_owned(), start.hash.clone());
    let annotations = BTreeMap::from([
        (REVISION, start.revision.to_string()),
        (STEP, start.mark.clone()),
    ]);
    let spec = ExperimentSpec {
        templates: step
            .templates
            .iter()
            .map(|template| template_of(inputs, template))
            .collect(),
        duration: step.duration.clone(),
        progress_deadline_seconds: i32::try_from(observed.spec.deadline.as_secs()).ok(),
        analyses: analyses(inputs)?,
        scale_down_delay_seconds: step.scale_down_delay_seconds,
        dry_run: step.dry_run.clone(),
        analysis_run_metadata: step.analysis_run_metadata.clone(),
        ..ExperimentSpec::default()
    };
    Ok(json!({
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": "Experiment",
        "metadata": {
            "name": name(&key, start),
            "namespace": key.namespace,
            "labels": labels,
            "annotations": annotations,
            "ownerReferences": [observed.root.controller_reference()],
        },
        "spec": spec,
    }))
}

/// Name of the Experiment of a step.
pub(super) fn name(rollout: &ObjectKey, start: &ExperimentStart) -> String {
    let ExperimentStart {
        hash,
        revision,
        index,
        ..
    } = start;
    format!("{}-{hash}-{revision}-{index}", rollout.name)
}

fn template_of(inputs: &StepInputs<'_>, wanted: &StepTemplate) -> TemplateSpec {
    let set = if wanted.spec_ref == "canary" {
        inputs.canary
    } else {
        inputs.stable
    };
    let mut selector = wanted
        .selector
        .clone()
        .unwrap_or_else(|| set.selector.clone());
    let mut template = set.template.clone();
    if !template["metadata"].is_object() {
        template["metadata"] = json!({});
    }
    let added = wanted.metadata.clone().unwrap_or_default();
    for (field, values) in [
        ("labels", &added.labels),
        ("annotations", &added.annotations),
    ] {
        for (key, value) in values {
            template["metadata"][field][key.as_str()] = value.clone().into();
        }
    }
    selector.match_labels.extend(added.labels);
    TemplateSpec {
        name: wanted.name.clone(),
        replicas: wanted.replicas,
        min_ready_seconds: set.min_ready,
        selector: Some(selector),
        template,
        // Traffic reaches a template through its Service.
        service: wanted
            .service
            .clone()
            .or_else(|| wanted.weight.map(|_| TemplateService::default())),
    }
}

fn analyses(inputs: &StepInputs<'_>) -> Result<Vec<AnalysisRef>, RolloutError> {
    let rollout = serde_json::to_value(&inputs.observed.root).unwrap_or_default();
    let sources = ArgumentSources {
        stable_hash: &inputs.observed.status.stable_rs,
        latest_hash: &inputs.start.hash,
        rollout: &rollout,
    };
    let all = inputs.step.analyses.iter().map(|analysis| {
        Ok(AnalysisRef {
            name: analysis.name.clone(),
            template_name: analysis.template_name.clone(),
            cluster_scope: analysis.cluster_scope,
            args: build::arguments(&analysis.args, sources)?,
            required_for_completion: analysis.required_for_completion,
        })
    });
    all.collect()
}
