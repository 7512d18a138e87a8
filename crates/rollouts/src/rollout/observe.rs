//! Reads of a pass: everything comes from indexes, nothing from the API server.

use std::{collections::BTreeMap, sync::Arc};

use reconcile_core::{
    kube_types::Selector,
    object::{FieldError, ObjectKey},
    watch::Index,
};
use serde::Deserialize;
use serde_json::Value;

use super::{
    error::RolloutError,
    observed::{CheckedSpec, CheckedStrategy, Observed, ReplicaSetView, ServiceView, Step},
    peaks::Peaks,
    route_writes::RouteWrites,
    validate,
    workload::{self, ResolvedWorkload, Workloads, named_by, workload_tag},
};
use crate::{
    analysis::{AnalysisIndexes, build},
    api::{
        analysis::{RolloutAnalysis, TemplateRef},
        fields,
        rollout::{Rollout, RolloutStatus},
    },
    experiment::view::ExperimentView,
};

/// The indexes that a pass reads.
#[derive(Clone)]
pub struct Sources {
    /// The Rollouts, tagged with the Services and templates that they name.
    pub roots: Index<Rollout>,
    /// ReplicaSets, tagged with the uid of their owner, or as orphans of their namespace.
    pub replica_sets: Index<ReplicaSetView>,
    /// Workloads that Rollouts take their template from.
    pub workloads: Workloads,
    /// Services.
    pub services: Index<ServiceView>,
    /// AnalysisRuns and templates.
    pub analysis: AnalysisIndexes,
    /// The most pods that updates had ready so far.
    pub peaks: Peaks,
    /// Rollouts whose last pass wrote their routes.
    pub route_writes: RouteWrites,
    /// Experiments, tagged with the uid of their owner.
    pub experiments: Index<ExperimentView>,
}

impl Default for Sources {
    fn default() -> Self {
        Self {
            roots: Index::new(references),
            replica_sets: Index::new(|set: &ReplicaSetView| {
                // Without an owner the namespace is not in the value; orphans are few, so one tag does.
                vec![
                    set.owner
                        .as_ref()
                        .map_or_else(|| ORPHAN.to_owned(), |owner| owner.uid.clone()),
                ]
            }),
            workloads: Workloads::default(),
            services: Index::default(),
            analysis: AnalysisIndexes::default(),
            peaks: Peaks::default(),
            route_writes: RouteWrites::default(),
            experiments: Index::new(|view: &ExperimentView| {
                view.owner.iter().map(|owner| owner.uid.clone()).collect()
            }),
        }
    }
}

/// Tag of ReplicaSets without an owner.
const ORPHAN: &str = "orphan";

/// The tag of Rollouts that name a Service.
pub(crate) fn service_tag(namespace: &str, name: &str) -> String {
    format!("service/{namespace}/{name}")
}

/// The tag of Rollouts that name a template; cluster templates have no namespace. Nested templates are
/// not followed: a Rollout that waits for one of them looks again after a while.
pub(crate) fn template_tag(namespace: &str, name: &str) -> String {
    format!("template/{namespace}/{name}")
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Names {
    strategy: StrategyNames,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct StrategyNames {
    canary: Option<CanaryNames>,
    blue_green: Option<BlueGreenNames>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct CanaryNames {
    canary_service: Option<String>,
    stable_service: Option<String>,
    ping_pong: Option<PingPongNames>,
    steps: Vec<StepNames>,
    analysis: Option<AnalysisNames>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct PingPongNames {
    ping_service: Option<String>,
    pong_service: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct StepNames {
    analysis: Option<AnalysisNames>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct AnalysisNames {
    templates: Vec<TemplateRef>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct BlueGreenNames {
    active_service: Option<String>,
    preview_service: Option<String>,
    pre_promotion_analysis: Option<AnalysisNames>,
    post_promotion_analysis: Option<AnalysisNames>,
}

/// Tags of the objects that a Rollout names; the index finds it by them when one of these changes.
pub(crate) fn references(root: &Rollout) -> Vec<String> {
    readable_references(root).unwrap_or_default()
}

/// As [`references`], but none when the spec has a form that names cannot be read from.
pub(crate) fn readable_references(root: &Rollout) -> Option<Vec<String>> {
    let namespace = root.metadata.namespace.as_deref().unwrap_or_default();
    let names: Names = serde_json::from_str(root.spec.as_ref()?.get()).ok()?;
    let canary = names.strategy.canary.unwrap_or_default();
    let rules = names.strategy.blue_green.unwrap_or_default();
    let ping_pong = canary.ping_pong.unwrap_or_default();
    let services = [
        canary.canary_service,
        canary.stable_service,
        ping_pong.ping_service,
        ping_pong.pong_service,
        rules.active_service,
        rules.preview_service,
    ];
    let analyses = canary
        .steps
        .into_iter()
        .filter_map(|step| step.analysis)
        .chain(canary.analysis)
        .chain(rules.pre_promotion_analysis)
        .chain(rules.post_promotion_analysis);
    let mut tags: Vec<String> = services
        .into_iter()
        .flatten()
        .map(|name| service_tag(namespace, &name))
        .collect();
    for template in analyses.flat_map(|analysis| analysis.templates) {
        let namespace = if template.cluster_scope {
            ""
        } else {
            namespace
        };
        tags.push(template_tag(namespace, &template.template_name));
    }
    tags.extend(named_by(root).map(|(kind, name)| workload_tag(kind, namespace, &name)));
    Some(tags)
}

/// What follows from the spec of a Rollout and from the workload that it refers to.
#[derive(Clone)]
pub(crate) struct Checked {
    spec: CheckedSpec,
    workload: Option<ResolvedWorkload>,
    unsupported: String,
}

/// Checks the spec of a Rollout.
pub(crate) fn check(sources: &Sources, root: &Rollout) -> Result<Checked, RolloutError> {
    let mut spec = root.parse_spec()?;
    let namespace = root.key().namespace;
    let workload = workload::resolve(&sources.workloads, &namespace, &mut spec)?;
    Ok(Checked {
        spec: validate::check(spec)?,
        workload,
        unsupported: fields::unsupported(&root.spec_value()),
    })
}

/// Reads everything that a plan may look at.
pub(crate) fn observe(sources: &Sources, root: &Rollout) -> Result<Observed, RolloutError> {
    let checked = check(sources, root)?;
    let status = (root.parse_status()?, root.status_value());
    observe_checked(sources, root, checked, status)
}

/// As [`observe`], with a spec that is checked already, and a status that is parsed, beside it as it was read.
pub(crate) fn observe_checked(
    sources: &Sources,
    root: &Rollout,
    checked: Checked,
    (status, raw_status): (RolloutStatus, Value),
) -> Result<Observed, RolloutError> {
    let key = root.key();
    let Checked {
        mut spec,
        workload,
        unsupported,
    } = checked;
    if let CheckedStrategy::Canary(canary) = &mut spec.strategy {
        canary.assign_services(&status);
    }
    let services = services(sources, root, &spec)?;
    templates(sources, &key.namespace, &spec)?;
    let selector = Selector::try_from(&spec.selector)
        .map_err(|error| FieldError::new("spec.selector", error.to_string()))?;
    let sets = values(sources.replica_sets.tagged(root.uid()));
    let (replica_sets, released) = sets
        .into_iter()
        .partition(|set| selector.matches(&set.labels));
    let orphans = if root.is_deleting() {
        Vec::new()
    } else {
        let found = sources.replica_sets.tagged(ORPHAN).into_iter();
        found
            .filter(|(set_key, set)| {
                set_key.namespace == key.namespace && !set.deleting && selector.matches(&set.labels)
            })
            .map(|(_, set)| set)
            .collect()
    };
    let runs = values(sources.analysis.runs.tagged(root.uid()));
    Ok(Observed {
        root: root.clone(),
        unsupported,
        raw_status,
        traffic: None,
        is_rerouted: sources.route_writes.take(&key),
        targets: None,
        flags: None,
        pods: None,
        workload,
        peak: sources.peaks.raise(&key, &status),
        spec,
        status,
        replica_sets,
        orphans,
        released,
        services,
        runs,
        experiments: values(sources.experiments.tagged(root.uid())),
    })
}

fn values<T>(found: Vec<(ObjectKey, Arc<T>)>) -> Vec<Arc<T>> {
    found.into_iter().map(|(_, value)| value).collect()
}

fn services(
    sources: &Sources,
    root: &Rollout,
    spec: &CheckedSpec,
) -> Result<BTreeMap<String, Arc<ServiceView>>, FieldError> {
    let key = root.key();
    let named: Vec<(&str, &String)> = match &spec.strategy {
        CheckedStrategy::Canary(canary) => [
            ("spec.strategy.canary.stableService", &canary.stable_service),
            ("spec.strategy.canary.canaryService", &canary.canary_service),
        ]
        .into_iter()
        .filter_map(|(path, name)| Some((path, name.as_ref()?)))
        .collect(),
        CheckedStrategy::BlueGreen(rules) => {
            let mut named = vec![("spec.strategy.blueGreen.activeService", &rules.active)];
            named.extend(
                rules
                    .preview
                    .as_ref()
                    .map(|name| ("spec.strategy.blueGreen.previewService", name)),
            );
            named
        }
    };
    let mut found = BTreeMap::new();
    for (path, name) in named {
        let Some(view) = sources.services.get(&ObjectKey::new(&key.namespace, name)) else {
            let message = format!("Invalid value: \"{name}\": service \"{name}\" not found");
            return Err(FieldError::new(path, message));
        };
        if let Some(other) = view.managed_by.as_ref().filter(|other| **other != key.name)
            && sources
                .roots
                .get(&ObjectKey::new(&key.namespace, other))
                .is_some()
        {
            let message = format!(
                "Invalid value: \"{name}\": Service \"{name}\" is managed by another Rollout ({other})"
            );
            return Err(FieldError::new(path, message));
        }
        if let Some((key, value)) = unmatched(&view, &spec.template) {
            let message = format!(
                "Invalid value: \"{name}\": Service \"{name}\" selects {key}={value}, a label that spec.template.metadata.labels does not have"
            );
            return Err(FieldError::new(path, message));
        }
        found.insert(name.clone(), view);
    }
    Ok(found)
}

/// A label that a Service selects and the pods do not have.
fn unmatched<'v>(view: &'v ServiceView, template: &Value) -> Option<(&'v str, &'v str)> {
    let labels = template.pointer("/metadata/labels");
    let has = |key: &str, value: &str| {
        let label = labels.and_then(|labels| labels.get(key));
        label.and_then(Value::as_str) == Some(value)
    };
    view.selector
        .iter()
        .map(|(key, value)| (&**key, &**value))
        .find(|(key, value)| !has(key, value))
}

/// All templates must exist and fit together before anything moves.
fn templates(sources: &Sources, namespace: &str, spec: &CheckedSpec) -> Result<(), FieldError> {
    // What runs beside the steps is ended with them; every other analysis must come to an end by itself.
    let background = "spec.strategy.canary.analysis";
    let named: Vec<(String, &RolloutAnalysis)> = match &spec.strategy {
        CheckedStrategy::Canary(canary) => canary
            .steps
            .iter()
            .enumerate()
            .filter_map(|(index, step)| match step {
                Step::Analysis(analysis) => Some((
                    format!("spec.strategy.canary.steps[{index}].analysis"),
                    analysis,
                )),
                _ => None,
            })
            .chain(
                canary
                    .analysis
                    .iter()
                    .map(|(analysis, _)| (background.to_owned(), analysis)),
            )
            .collect(),
        CheckedStrategy::BlueGreen(rules) => [
            (
                "spec.strategy.blueGreen.prePromotionAnalysis",
                &rules.pre_analysis,
            ),
            (
                "spec.strategy.blueGreen.postPromotionAnalysis",
                &rules.post_analysis,
            ),
        ]
        .into_iter()
        .filter_map(|(path, analysis)| Some((path.to_owned(), analysis.as_ref()?)))
        .collect(),
    };
    for (path, analysis) in named {
        let wrong = |error: &dyn std::fmt::Display| {
            FieldError::new(
                format!("{path}.templates"),
                format!("Invalid value: {error}"),
            )
        };
        let found = &sources.analysis.templates;
        let templates = found
            .resolve(namespace, &analysis.templates)
            .map_err(|error| wrong(&error))?;
        let ends = if path == background {
            build::Ends::WithTheUpdate
        } else {
            build::Ends::ByItself
        };
        build::check(analysis, &templates, ends).map_err(|error| wrong(&error))?;
    }
    Ok(())
}
