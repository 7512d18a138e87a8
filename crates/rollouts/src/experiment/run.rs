//! From an analysis of an Experiment to the AnalysisRun that is created. Pure: a plan may hold it.

use std::collections::BTreeMap;

use jiff::Timestamp;
use reconcile_core::object::ObjectKey;
use serde_json::{Value, json};

use super::{error::RunError, observed::CheckedSpec};
use crate::{
    analysis::{
        TemplateError, Templates,
        build::{self, NewRun},
    },
    api::{
        analysis::{AnalysisTemplateSpec, Argument, RolloutAnalysis, TemplateRef},
        experiment::{AVAILABLE_AT, AnalysisRef, Experiment},
        rollout::INSTANCE_ID,
    },
    rollout::plan::after,
};

/// Name of the run of an analysis.
pub(super) fn run_name(experiment: &str, analysis: &str) -> String {
    format!("{experiment}-{analysis}")
}

/// What an analysis needs.
pub(super) struct RunInputs<'a> {
    /// The Experiment.
    pub(super) root: &'a Experiment,
    pub(super) spec: &'a CheckedSpec,
    pub(super) templates: &'a Templates,
    /// Since when all its templates are available.
    pub(super) available_at: Timestamp,
}

/// The templates of an analysis, or why there are none.
pub(super) fn templates(
    namespace: &str,
    analysis: &AnalysisRef,
    templates: &Templates,
) -> Result<Vec<AnalysisTemplateSpec>, TemplateError> {
    let named = TemplateRef {
        template_name: analysis.template_name.clone(),
        cluster_scope: analysis.cluster_scope,
    };
    templates.resolve(namespace, &[named])
}

/// The run of an analysis.
pub(super) fn new_run(inputs: &RunInputs<'_>, analysis: &AnalysisRef) -> Result<NewRun, RunError> {
    let key = inputs.root.key();
    let found = templates(&key.namespace, analysis, inputs.templates)?;
    let raw = &inputs.spec.raw;
    let rules = RolloutAnalysis {
        dry_run: raw.dry_run.clone(),
        measurement_retention: raw.measurement_retention.clone(),
        ..RolloutAnalysis::default()
    };
    let known = known_values(inputs);
    let arguments = analysis
        .args
        .iter()
        .map(|argument| {
            let value = argument.value.as_deref();
            Ok(Argument {
                value: value.map(|text| resolve(text, &known)).transpose()?,
                ..argument.clone()
            })
        })
        .collect::<Result<Vec<Argument>, RunError>>()?;
    let spec = build::spec_of(&rules, &found, &arguments)?;
    let name = run_name(&key.name, &analysis.name);
    let owner = inputs.root.controller_reference();
    let object = json!({
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": "AnalysisRun",
        "metadata": metadata(inputs, &name),
        "spec": spec,
    });
    Ok(NewRun {
        key: ObjectKey::new(&key.namespace, name),
        owner_uid: owner.uid,
        spec,
        object,
    })
}

fn metadata(inputs: &RunInputs<'_>, name: &str) -> Value {
    let meta = &inputs.root.metadata;
    let own = inputs
        .spec
        .raw
        .analysis_run_metadata
        .clone()
        .unwrap_or_default();
    let mut labels = own.labels;
    if let Some(instance) = meta
        .labels
        .as_ref()
        .and_then(|labels| labels.get(INSTANCE_ID))
    {
        labels.insert(INSTANCE_ID.to_owned(), instance.clone());
    }
    labels.insert(
        AVAILABLE_AT.to_owned(),
        inputs.available_at.as_second().to_string(),
    );
    json!({
        "name": name,
        "namespace": meta.namespace,
        "labels": labels,
        "annotations": own.annotations,
        "ownerReferences": [inputs.root.controller_reference()],
    })
}

/// The names that values of arguments may use in double braces.
fn known_values(inputs: &RunInputs<'_>) -> BTreeMap<String, String> {
    let begin = inputs.available_at;
    let mut known = BTreeMap::from([("experiment.availableAt".to_owned(), begin.to_string())]);
    if let Some(duration) = inputs.spec.duration {
        let end = after(begin, duration);
        known.insert("experiment.finishedAt".to_owned(), end.to_string());
    }
    for template in &inputs.spec.templates {
        let name = &template.name;
        known.insert(
            format!("templates.{name}.podTemplateHash"),
            template.hash.clone(),
        );
        known.insert(
            format!("templates.{name}.replicaset.name"),
            template.set_name.clone(),
        );
    }
    known
}

/// Replaces the names in double braces.
fn resolve(text: &str, known: &BTreeMap<String, String>) -> Result<String, RunError> {
    let mut out = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("{{") {
        let Some((name, after)) = after.split_once("}}") else {
            return Err(RunError::OpenBraces(text.to_owned()));
        };
        let value = known.get(name.trim());
        out.push_str(before);
        out.push_str(value.ok_or_else(|| RunError::UnknownName(name.to_owned()))?);
        rest = after;
    }
    out.push_str(rest);
    Ok(out)
}
