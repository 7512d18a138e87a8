//! Several templates and the values that a Rollout gives become one: names must not clash.

use std::collections::HashSet;

use super::build_error::BuildError;
use crate::api::analysis::{AnalysisTemplateSpec, Argument, DryRun, MeasurementRetention, Metric};

/// Combines templates into one. Metrics must differ by name; arguments must not have different defaults.
pub(super) fn flatten(
    templates: &[AnalysisTemplateSpec],
) -> Result<AnalysisTemplateSpec, BuildError> {
    let mut flat = AnalysisTemplateSpec::default();
    for template in templates {
        flat.metrics.extend(template.metrics.iter().cloned());
        flat.dry_run.extend(template.dry_run.iter().cloned());
        flat.measurement_retention
            .extend(template.measurement_retention.iter().cloned());
        for argument in &template.args {
            add_argument(&mut flat.args, argument)?;
        }
    }
    unique(
        flat.metrics
            .iter()
            .map(|metric: &Metric| metric.name.as_str()),
    )
    .map_err(|name| BuildError::DuplicateMetric(name.to_owned()))?;
    unique(
        flat.dry_run
            .iter()
            .map(|rule: &DryRun| rule.metric_name.as_str()),
    )
    .map_err(|name| BuildError::DuplicateDryRun(name.to_owned()))?;
    unique(
        flat.measurement_retention
            .iter()
            .map(|rule: &MeasurementRetention| rule.metric_name.as_str()),
    )
    .map_err(|name| BuildError::DuplicateRetention(name.to_owned()))?;
    Ok(flat)
}

fn add_argument(known: &mut Vec<Argument>, new: &Argument) -> Result<(), BuildError> {
    let Some(old) = known.iter_mut().find(|old| old.name == new.name) else {
        known.push(new.clone());
        return Ok(());
    };
    match (&old.value, &new.value) {
        (Some(first), Some(second)) if first != second => Err(BuildError::ConflictingArgument {
            name: new.name.clone(),
            first: first.clone(),
            second: second.clone(),
        }),
        (Some(_), _) => Ok(()),
        (None, _) => {
            *old = new.clone();
            Ok(())
        }
    }
}

/// The arguments of the template with the caller's values; what the template does not know is dropped.
pub(super) fn merge_arguments(
    given: &[Argument],
    mut known: Vec<Argument>,
) -> Result<Vec<Argument>, BuildError> {
    for value in given {
        if let Some(argument) = known
            .iter_mut()
            .find(|argument| argument.name == value.name)
        {
            if value.value.is_some() {
                argument.value.clone_from(&value.value);
            } else if value.value_from.is_some() {
                argument.value_from.clone_from(&value.value_from);
            }
        }
    }
    match known
        .iter()
        .find(|argument| argument.value.is_none() && argument.value_from.is_none())
    {
        Some(open) => Err(BuildError::Unresolved(open.name.clone())),
        None => Ok(known),
    }
}

/// Both lists, or the error that `duplicate` makes of the name that they have in common.
pub(super) fn joined<T: Clone>(
    first: &[T],
    second: Vec<T>,
    name: impl Fn(&T) -> &String,
    duplicate: impl Fn(String) -> BuildError,
) -> Result<Vec<T>, BuildError> {
    let mut all = first.to_vec();
    all.extend(second);
    let names = all.iter().map(|item| name(item).as_str());
    unique(names).map_err(|name| duplicate(name.to_owned()))?;
    Ok(all)
}

fn unique<'a>(names: impl Iterator<Item = &'a str>) -> Result<(), &'a str> {
    let mut seen = HashSet::new();
    for name in names {
        if !seen.insert(name) {
            return Err(name);
        }
    }
    Ok(())
}
