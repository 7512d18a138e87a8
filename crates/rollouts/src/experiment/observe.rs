//! Reads of a pass: everything comes from indexes, nothing from the API server.

use std::collections::BTreeMap;

use reconcile_core::{fields, object::ObjectKey};

use super::{
    error::{ExperimentError, RunError},
    observed::{CheckedSpec, Observed},
    run::{self, RunInputs},
    validate,
};
use crate::{
    analysis::build::NewRun,
    api::{
        experiment::{Experiment, ExperimentStatus, TEMPLATE_NAME},
        experiment_fields::EXPERIMENT,
    },
    rollout::{kinds::annotation_digest, observe::Sources},
};

/// Reads everything that a plan may look at.
pub(crate) fn observe(sources: &Sources, root: &Experiment) -> Result<Observed, ExperimentError> {
    let key = root.key();
    let spec = validate::check(&key.name, root.parse_spec()?)?;
    let status = root.parse_status()?;
    let (mut replica_sets, mut strays) = (BTreeMap::new(), Vec::new());
    for (_, set) in sources.replica_sets.tagged(root.uid()) {
        let template = spec.templates.iter().find(|template| {
            let mark = annotation_digest(TEMPLATE_NAME, &template.name);
            set.annotations.contains(&mark)
        });
        match template {
            Some(template) => drop(replica_sets.insert(template.name.clone(), set)),
            None => strays.push(set),
        }
    }
    let named = spec.templates.iter().filter_map(|one| one.service.clone());
    let services = named
        .filter_map(|name| {
            let view = sources
                .services
                .get(&ObjectKey::new(&key.namespace, &name))?;
            Some((name, view))
        })
        .collect();
    let runs = sources.analysis.runs.tagged(root.uid());
    Ok(Observed {
        wanted_runs: wanted_runs(sources, root, &spec, &status),
        unsupported: fields::message(&EXPERIMENT.findings(&root.spec_value(), "spec")),
        raw_status: root.status_value(),
        root: root.clone(),
        spec,
        status,
        replica_sets,
        strays,
        services,
        runs: runs.into_iter().map(|(_, run)| run).collect(),
    })
}

fn wanted_runs(
    sources: &Sources,
    root: &Experiment,
    spec: &CheckedSpec,
    status: &ExperimentStatus,
) -> BTreeMap<String, Result<NewRun, RunError>> {
    let has_run = |name: &str| {
        let mut all = status.analysis_runs.iter();
        all.any(|run| run.name == name && !run.analysis_run.is_empty())
    };
    let open = spec.raw.analyses.iter().filter(|one| !has_run(&one.name));
    let found = open.filter_map(|analysis| {
        let templates = &sources.analysis.templates;
        let run = if let Some(at) = &status.available_at {
            let inputs = RunInputs {
                root,
                spec,
                templates,
                available_at: at.0,
            };
            run::new_run(&inputs, analysis)
        } else {
            Err(run::templates(&root.key().namespace, analysis, templates)
                .err()?
                .into())
        };
        Some((analysis.name.clone(), run))
    });
    found.collect()
}
