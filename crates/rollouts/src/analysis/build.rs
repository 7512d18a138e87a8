//! From the templates that a Rollout names to the AnalysisRun that is created. Pure: a plan may call it.

use std::collections::BTreeMap;

use expressions::arguments::substitute_args;
use k8s_openapi::apimachinery::pkg::{apis::meta::v1::OwnerReference, util::intstr::IntOrString};
use reconcile_core::object::ObjectKey;
use serde_json::{Value, json};

pub use super::build_error::BuildError;
use super::{
    field_path::field_value,
    merge::{flatten, joined, merge_arguments},
};
use crate::api::{
    analysis::{
        AnalysisRunSpec, AnalysisTemplateSpec, Argument, LATEST_HASH, Metric, RolloutAnalysis,
        RunArgument, STABLE_HASH,
    },
    rollout::{HASH_LABEL, INSTANCE_ID, REVISION},
};

/// Label that says what a run is for.
pub const ROLLOUT_TYPE_LABEL: &str = "rollout-type";
/// Label with the index of the canary step that a run belongs to.
pub const STEP_INDEX_LABEL: &str = "step-index";

/// How the runs of an analysis come to an end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ends {
    /// Something waits for the verdict.
    ByItself,
    /// They are terminated when the update ends.
    WithTheUpdate,
}

/// What a run is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RunType {
    /// An analysis step of a canary, with its index.
    Step(i32),
    /// Beside the steps of a canary.
    Background,
    /// Before the active Service of a blue-green Rollout switches.
    PrePromotion,
    /// After it has switched.
    PostPromotion,
}

impl RunType {
    /// The value of the label `rollout-type`.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Step(_) => "Step",
            Self::Background => "Background",
            Self::PrePromotion => "PrePromotion",
            Self::PostPromotion => "PostPromotion",
        }
    }

    fn suffix(self) -> String {
        match self {
            Self::Step(index) => format!("-{index}"),
            Self::Background => String::new(),
            Self::PrePromotion => "-pre".to_owned(),
            Self::PostPromotion => "-post".to_owned(),
        }
    }
}

/// What the values of a Rollout's arguments may be taken from.
#[derive(Clone, Copy, Debug)]
pub struct ArgumentSources<'a> {
    /// Pod template hash of the stable ReplicaSet; empty before the first promotion.
    pub stable_hash: &'a str,
    /// Pod template hash of the new ReplicaSet.
    pub latest_hash: &'a str,
    /// The whole Rollout as JSON (`apiVersion`, `kind`, `metadata`, `spec`, `status`), for `fieldRef`.
    pub rollout: &'a Value,
}

/// The values of the arguments that a Rollout gives to an analysis.
pub fn arguments(
    wanted: &[RunArgument],
    sources: ArgumentSources<'_>,
) -> Result<Vec<Argument>, BuildError> {
    wanted
        .iter()
        .map(|argument| argument_value(argument, sources))
        .collect()
}

fn argument_value(
    argument: &RunArgument,
    sources: ArgumentSources<'_>,
) -> Result<Argument, BuildError> {
    let name = argument.name.clone();
    let from = argument.value_from.as_ref();
    let value = if let Some(word) = from.and_then(|from| from.pod_template_hash_value.as_deref()) {
        match word {
            STABLE_HASH => Some(sources.stable_hash.to_owned()),
            LATEST_HASH => Some(sources.latest_hash.to_owned()),
            _ => {
                return Err(BuildError::HashWord {
                    name,
                    word: word.to_owned(),
                });
            }
        }
    } else if let Some(field) = from.and_then(|from| from.field_ref.as_ref()) {
        match field_value(sources.rollout, &field.field_path) {
            Ok(value) => Some(value),
            Err(error) => return Err(BuildError::Field { name, error }),
        }
    } else {
        argument.value.clone()
    };
    Ok(Argument {
        name,
        value,
        value_from: None,
    })
}

/// Everything that [`build_run`] puts into a run.
#[derive(Clone, Debug)]
pub struct RunRequest<'a> {
    /// Namespace of the Rollout.
    pub namespace: &'a str,
    /// Name of the Rollout.
    pub rollout: &'a str,
    /// Owner reference of the Rollout, marked as the controller.
    pub owner: OwnerReference,
    /// Pod template hash of the new ReplicaSet.
    pub pod_hash: &'a str,
    /// Revision of the new ReplicaSet, as the Rollout's annotation has it.
    pub revision: &'a str,
    /// What the run is for.
    pub run_type: RunType,
    /// The controller's `--instance-id`; empty for none.
    pub instance_id: &'a str,
    /// `spec.selector.matchLabels` of the Rollout, which the run carries too.
    pub selector_labels: &'a BTreeMap<String, String>,
    /// The part of the Rollout's spec that asks for the analysis.
    pub analysis: &'a RolloutAnalysis,
    /// What [`super::Templates::resolve`] gave for [`RolloutAnalysis::templates`].
    pub templates: &'a [AnalysisTemplateSpec],
    /// What [`arguments`] gave for [`RolloutAnalysis::args`].
    pub arguments: Vec<Argument>,
}

/// A run that is to be created.
#[derive(Clone, Debug, PartialEq)]
pub struct NewRun {
    /// Namespace and wanted name.
    pub key: ObjectKey,
    /// Uid of the owner.
    pub owner_uid: String,
    /// The spec.
    pub spec: AnalysisRunSpec,
    /// The whole object as JSON.
    pub object: Value,
}

/// Name of a run: `<rollout>-<hash>-<revision>` and, by what it is for, `-<step>`, `-pre` or `-post`.
pub fn run_name(rollout: &str, pod_hash: &str, revision: &str, run_type: RunType) -> String {
    format!("{rollout}-{pod_hash}-{revision}{}", run_type.suffix())
}

/// Builds the run that a Rollout asks for.
pub fn build_run(request: RunRequest<'_>) -> Result<NewRun, BuildError> {
    let spec = spec_of(request.analysis, request.templates, &request.arguments)?;
    let name = run_name(
        request.rollout,
        request.pod_hash,
        request.revision,
        request.run_type,
    );
    let object = json!({
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": "AnalysisRun",
        "metadata": {
            "name": name,
            "namespace": request.namespace,
            "labels": labels(&request),
            "annotations": annotations(&request),
            "ownerReferences": [request.owner],
        },
        "spec": spec,
    });
    Ok(NewRun {
        key: ObjectKey::new(request.namespace, name),
        owner_uid: request.owner.uid,
        spec,
        object,
    })
}

/// Whether a run can be built for `analysis`, before there is a reason to build one: the values that the
/// Rollout sets are not checked, only whether it sets them.
pub fn check(
    analysis: &RolloutAnalysis,
    templates: &[AnalysisTemplateSpec],
    ends: Ends,
) -> Result<(), BuildError> {
    let given: Vec<Argument> = analysis
        .args
        .iter()
        .filter(|argument| argument.value.is_some() || argument.value_from.is_some())
        .map(|argument| Argument {
            name: argument.name.clone(),
            value: Some(argument.value.clone().unwrap_or_default()),
            value_from: None,
        })
        .collect();
    let spec = spec_of(analysis, templates, &given)?;
    let known = |name: &str| {
        let mut all = analysis.args.iter();
        let given = all.find(|argument| argument.name == name);
        match given {
            Some(argument) if argument.value.is_none() => None,
            _ => spec
                .args
                .iter()
                .find(|argument| argument.name == name)
                .and_then(|argument| argument.value.as_deref()),
        }
    };
    let endless = |metric: &&Metric| ends == Ends::ByItself && is_endless(metric, &known);
    match spec.metrics.iter().find(endless) {
        Some(metric) => Err(BuildError::Endless(metric.name.clone())),
        None => Ok(()),
    }
}

/// True when a metric is measured until its run is terminated: it has an interval and no count.
fn is_endless<'v>(metric: &Metric, known: &impl Fn(&str) -> Option<&'v str>) -> bool {
    if metric.interval.as_deref().unwrap_or_default().is_empty() {
        return false;
    }
    match &metric.count {
        None => true,
        Some(IntOrString::Int(count)) => *count <= 0,
        // A count from an argument whose value is not known yet gets the benefit of the doubt.
        Some(IntOrString::String(text)) => substitute_args(text, known)
            .is_ok_and(|text| text.parse::<i32>().unwrap_or_default() <= 0),
    }
}

pub(crate) fn spec_of(
    analysis: &RolloutAnalysis,
    templates: &[AnalysisTemplateSpec],
    arguments: &[Argument],
) -> Result<AnalysisRunSpec, BuildError> {
    let template = flatten(templates)?;
    let dry_run = joined(
        &analysis.dry_run,
        template.dry_run,
        |rule| &rule.metric_name,
        BuildError::DuplicateDryRun,
    )?;
    let retention = joined(
        &analysis.measurement_retention,
        template.measurement_retention,
        |rule| &rule.metric_name,
        BuildError::DuplicateRetention,
    )?;
    Ok(AnalysisRunSpec {
        metrics: template.metrics,
        args: merge_arguments(arguments, template.args)?,
        dry_run,
        measurement_retention: retention,
        terminate: false,
        ttl_strategy: None,
    })
}

fn labels(request: &RunRequest<'_>) -> BTreeMap<String, String> {
    let mut labels = request.selector_labels.clone();
    if let RunType::Step(index) = request.run_type {
        labels.insert(STEP_INDEX_LABEL.to_owned(), index.to_string());
    }
    labels.insert(HASH_LABEL.to_owned(), request.pod_hash.to_owned());
    labels.insert(
        ROLLOUT_TYPE_LABEL.to_owned(),
        request.run_type.label().to_owned(),
    );
    if !request.instance_id.is_empty() {
        labels.insert(INSTANCE_ID.to_owned(), request.instance_id.to_owned());
    }
    // The user's own labels must not hide those that the controller finds its runs by.
    for (key, value) in request
        .analysis
        .analysis_run_metadata
        .iter()
        .flat_map(|meta| &meta.labels)
    {
        labels.entry(key.clone()).or_insert_with(|| value.clone());
    }
    labels
}

fn annotations(request: &RunRequest<'_>) -> BTreeMap<String, String> {
    let own = request
        .analysis
        .analysis_run_metadata
        .iter()
        .flat_map(|meta| &meta.annotations);
    let mut annotations: BTreeMap<String, String> = own
        .map(|(key, value)| (key.clone(), value.clone()))
        .collect();
    annotations.insert(REVISION.to_owned(), request.revision.to_owned());
    annotations
}

/// True when two runs measure the same thing: metrics, arguments and rules are equal.
pub fn same_analysis(left: &AnalysisRunSpec, right: &AnalysisRunSpec) -> bool {
    left.metrics == right.metrics
        && left.args == right.args
        && left.dry_run == right.dry_run
        && left.measurement_retention == right.measurement_retention
}
