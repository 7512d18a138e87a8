//! The planner on a snapshot that was read from files.

use std::{collections::BTreeMap, fmt::Write as _};

use jiff::Timestamp;
use reconcile_core::object::{ObjectKey, Root};
use serde_json::{Value, json};

use super::{
    RolloutError, Sources,
    kinds::{ReplicaSetKind, ServiceKind, replica_set_view, service_view},
    observe::{observe, references, service_tag, template_tag},
    observed::ServiceView,
    plan::{Action, Decision, decide},
    workload::{self, Workload, WorkloadKind, named_by},
};
use crate::{
    analysis::{Templates, index_meta},
    api::{
        experiment::Experiment,
        rollout::{Rollout, RolloutKind},
    },
    experiment::{self, view::ExperimentView},
    offline::explanation::{state, write_plan},
};

/// Objects around Rollouts, as they were at one moment.
#[derive(Clone, Default)]
pub(crate) struct Snapshot {
    sources: Sources,
}

impl Snapshot {
    /// Adds an object; kinds that no plan looks at are skipped.
    pub(crate) fn add(&mut self, object: &Value) -> anyhow::Result<()> {
        match object["kind"].as_str().unwrap_or_default() {
            "ReplicaSet" => {
                self.add_workload(WorkloadKind::ReplicaSet, object)?;
                let root: Root<ReplicaSetKind> = Root::from_value(object)?;
                if let Some(view) = replica_set_view(&root) {
                    drop(
                        self.sources
                            .replica_sets
                            .written(&index_meta(&root.key(), root.uid()), view),
                    );
                }
            }
            "Deployment" => self.add_workload(WorkloadKind::Deployment, object)?,
            "PodTemplate" => self.add_workload(WorkloadKind::PodTemplate, object)?,
            "Service" => {
                let root: Root<ServiceKind> = Root::from_value(object)?;
                if let Some(view) = service_view(&root) {
                    drop(
                        self.sources
                            .services
                            .written(&index_meta(&root.key(), root.uid()), view),
                    );
                }
            }
            "Experiment" => {
                let root: Experiment = Root::from_value(object)?;
                let meta = index_meta(&root.key(), root.uid());
                drop(
                    self.sources
                        .experiments
                        .written(&meta, ExperimentView::of(&root)),
                );
            }
            _ => drop(self.sources.analysis.add(object)?),
        }
        Ok(())
    }

    fn add_workload(&self, kind: WorkloadKind, object: &Value) -> anyhow::Result<()> {
        let key = serde_json::from_value(object["metadata"].clone())?;
        let key = ObjectKey::of_meta(&key);
        let object = serde_json::from_value(object.clone())?;
        let view = Workload::of(kind, &object);
        let meta = index_meta(&key, &view.uid);
        drop(self.sources.workloads.of(kind).written(&meta, view));
        Ok(())
    }

    /// `manifest` with the template that it refers to, where it does.
    pub(crate) fn with_template(&self, manifest: &Value) -> Value {
        let mut manifest = manifest.clone();
        let Ok(root) = Root::<RolloutKind>::from_value(&manifest) else {
            return manifest;
        };
        let Some((kind, name)) = named_by(&root) else {
            return manifest;
        };
        let key = ObjectKey::new(root.key().namespace, name);
        if let Some(workload) = self.sources.workloads.of(kind).get(&key)
            && let Some(spec) = manifest["spec"].as_object_mut()
        {
            spec.remove("workloadRef");
            spec.insert("template".to_owned(), workload.template.clone());
            spec.entry("selector")
                .or_insert_with(|| json!(workload.selector));
        }
        manifest
    }

    /// The uid by which the ReplicaSets of an object know it.
    pub(crate) fn owner_uid(&self, kind: &str, owner: &ObjectKey) -> Option<String> {
        let (mut found, wanted) = (None, owner);
        self.sources.replica_sets.each(|key, set| {
            let owner = set.owner.as_ref().filter(|owner| {
                key.namespace == wanted.namespace && owner.kind == kind && owner.name == wanted.name
            });
            if let Some(owner) = owner {
                found = Some(owner.uid.clone());
            }
        });
        found
    }

    /// Why the controller would refuse `root`; what it names is taken as given.
    pub(crate) fn refusal(&self, root: &Rollout) -> Option<RolloutError> {
        self.assume(root);
        observe(&self.sources, root).err()
    }

    /// Takes everything as given that a Rollout names and the files do not have.
    pub(crate) fn assume_all(&self, object: &Value) -> anyhow::Result<()> {
        self.assume(&Root::from_value(object)?);
        Ok(())
    }

    /// The Services by name.
    pub(crate) fn services(&self) -> BTreeMap<String, ServiceView> {
        let mut services = BTreeMap::new();
        self.sources.services.each(|key, service| {
            services.insert(key.name.clone(), ServiceView::clone(service));
        });
        services
    }

    pub(crate) fn templates(&self) -> Templates {
        self.sources.analysis.templates.clone()
    }

    /// What the controller would do with `root`, and why.
    pub(crate) fn explain(&self, root: &Rollout, now: Timestamp) -> String {
        let mut text = format!("Rollout {}\n", root.key());
        for what in self.assume(root) {
            let _ = writeln!(text, "  assumed to exist: {what}");
        }
        let observed = match observe(&self.sources, root) {
            Ok(observed) => observed,
            Err(error) => {
                let _ = writeln!(text, "  refused: {error}");
                return text;
            }
        };
        let _ = writeln!(
            text,
            "  is:   {}",
            state(&observed.status.phase, &observed.status.message)
        );
        let Decision {
            plan,
            status,
            leading_events,
            events,
            ..
        } = decide(&observed, now);
        let acted = plan.actions.iter().flat_map(Action::events);
        write_plan(
            &mut text,
            &plan,
            leading_events.into_iter().chain(acted).chain(events),
        );
        let step = status
            .current_step_index
            .map(|index| format!(", step {index}"))
            .unwrap_or_default();
        let _ = writeln!(
            text,
            "  then: {}{step}",
            state(&status.phase, &status.message)
        );
        text
    }

    /// What the controller would do with an Experiment, and why; the second is true when it would refuse it.
    pub(crate) fn explain_experiment(&self, root: &Experiment, now: Timestamp) -> (String, bool) {
        let mut text = format!("Experiment {}\n", root.key());
        let analyses = root.parse_spec().map(|spec| spec.analyses);
        for analysis in analyses.into_iter().flatten() {
            let namespace = if analysis.cluster_scope {
                String::new()
            } else {
                root.key().namespace
            };
            let key = ObjectKey::new(namespace, &analysis.template_name);
            if let Some(what) = self.assume_template(&key) {
                let _ = writeln!(text, "  assumed to exist: {what}");
            }
        }
        match experiment::explain(&self.sources, root, now) {
            Ok(plan) => (text + &plan, false),
            Err(error) => (text + &format!("  refused: {error}\n"), true),
        }
    }

    /// Takes a template as given that the files do not have; one without a namespace is of the cluster.
    fn assume_template(&self, key: &ObjectKey) -> Option<String> {
        let templates = &self.sources.analysis.templates;
        if templates.namespaced.get(key).is_some() || templates.cluster.get(key).is_some() {
            return None;
        }
        let kind = if key.namespace.is_empty() {
            "ClusterAnalysisTemplate"
        } else {
            "AnalysisTemplate"
        };
        let uid = template_tag(&key.namespace, &key.name);
        let object = json!({
            "kind": kind, "metadata": {"name": key.name, "namespace": key.namespace, "uid": uid}, "spec": {}
        });
        self.sources.analysis.add(&object).ok()?;
        Some(format!("{kind} {}", key.name))
    }

    /// Services and templates that the Rollout names and that are not in the files.
    fn assume(&self, root: &Rollout) -> Vec<String> {
        let namespace = root.key().namespace;
        let mut assumed = Vec::new();
        if let Some((kind, name)) = named_by(root) {
            let key = ObjectKey::new(&namespace, &name);
            let known = self.sources.workloads.of(kind);
            if known.get(&key).is_none() {
                let selector = root.parse_spec().ok().and_then(|spec| spec.selector);
                let view = workload::assumed(selector.as_ref());
                drop(known.written(&index_meta(&key, &name), view));
                assumed.push(format!("{} {name}", kind.name()));
            }
        }
        for tag in references(root) {
            let mut parts = tag.splitn(3, '/');
            let (Some(kind), Some(place), Some(name)) = (parts.next(), parts.next(), parts.next())
            else {
                continue;
            };
            let key = ObjectKey::new(place, name);
            if tag == service_tag(&namespace, name) && self.sources.services.get(&key).is_none() {
                drop(
                    self.sources
                        .services
                        .written(&index_meta(&key, &tag), ServiceView::default()),
                );
                assumed.push(format!("Service {name}"));
            }
            if kind == "template" {
                assumed.extend(self.assume_template(&key));
            }
        }
        assumed
    }
}
