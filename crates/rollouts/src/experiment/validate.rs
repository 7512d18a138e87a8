//! From the raw spec to one with defaults filled in and every rule checked. An error names the path of the
//! field.

use std::collections::HashSet;

use jiff::SignedDuration;
use reconcile_core::{
    kube_types::{
        GoDuration, Selector,
        names::{fnv1a_32, safe_encode},
    },
    object::FieldError,
};
use serde_json::Value;

use super::observed::{CheckedSpec, CheckedTemplate};
use crate::{
    api::experiment::{Experiment, ExperimentSpec, TemplateSpec},
    rollout::plan::{hash::ComparedTemplate, replicas::MOST_PODS},
};

const DEFAULT_DEADLINE: i32 = 600;
/// Seconds that the pods stay after the end.
const DEFAULT_DELAY: i32 = 30;

type Checked<T> = Result<T, FieldError>;

fn wrong<T>(path: impl Into<String>, message: impl Into<String>) -> Checked<T> {
    Err(FieldError::new(path, message))
}

/// Checks the spec of the Experiment `name`.
pub(super) fn check(name: &str, spec: ExperimentSpec) -> Checked<CheckedSpec> {
    let deadline_seconds = spec.progress_deadline_seconds.unwrap_or(DEFAULT_DEADLINE);
    let delay = spec.scale_down_delay_seconds.unwrap_or(DEFAULT_DELAY);
    for (field, number) in [
        ("progressDeadlineSeconds", deadline_seconds),
        ("scaleDownDelaySeconds", delay),
    ] {
        not_negative(&format!("spec.{field}"), number)?;
    }
    if spec.templates.is_empty() {
        return wrong(
            "spec.templates",
            "Required value: name at least one template",
        );
    }
    let (mut names, mut services) = (HashSet::new(), HashSet::new());
    let mut templates = Vec::new();
    for (index, template) in spec.templates.iter().enumerate() {
        let at = format!("spec.templates[{index}]");
        if !names.insert(template.name.clone()) {
            let message = format!("Duplicate value: \"{}\"", template.name);
            return wrong(format!("{at}.name"), message);
        }
        let checked = check_template(&at, name, template, deadline_seconds)?;
        if let Some(service) = &checked.service
            && !services.insert(service.clone())
        {
            let message =
                format!("Invalid value: \"{service}\": another template has this Service");
            return wrong(format!("{at}.service.name"), message);
        }
        templates.push(checked);
    }
    check_analyses(&spec)?;
    Ok(CheckedSpec {
        templates,
        duration: check_duration("spec.duration", spec.duration.as_deref())?,
        deadline_seconds,
        scale_down_delay: SignedDuration::from_secs(i64::from(delay)),
        raw: spec,
    })
}

/// Why the controller would refuse an Experiment.
pub(crate) fn refusal(root: &Experiment) -> Option<FieldError> {
    let checked = root
        .parse_spec()
        .and_then(|spec| check(&root.key().name, spec));
    checked.err()
}

/// How long an Experiment runs: a number of seconds or a Go duration.
pub(crate) fn check_duration(at: &str, text: Option<&str>) -> Checked<Option<SignedDuration>> {
    let Some(text) = text.filter(|text| !text.is_empty()) else {
        return Ok(None);
    };
    match GoDuration::parse_or_seconds(text) {
        Ok(duration) if duration.as_nanos() >= 0 => Ok(Some(duration.to_signed())),
        _ => wrong(
            at,
            format!("Invalid value: \"{text}\": not a number of seconds or a duration such as 5m"),
        ),
    }
}

fn not_negative(path: &str, number: i32) -> Checked<()> {
    if number < 0 {
        let message = format!("Invalid value: {number}: must be greater than or equal to 0");
        return wrong(path, message);
    }
    Ok(())
}

fn check_template(
    at: &str,
    experiment: &str,
    spec: &TemplateSpec,
    deadline: i32,
) -> Checked<CheckedTemplate> {
    if spec.name.is_empty() {
        return wrong(format!("{at}.name"), "Required value");
    }
    let replicas = spec.replicas.unwrap_or(1);
    not_negative(&format!("{at}.replicas"), replicas)?;
    not_negative(&format!("{at}.minReadySeconds"), spec.min_ready_seconds)?;
    if replicas > MOST_PODS {
        let message = format!("Invalid value: {replicas}: must be at most {MOST_PODS}");
        return wrong(format!("{at}.replicas"), message);
    }
    if spec.min_ready_seconds > deadline {
        let message = format!(
            "Invalid value: {}: must not exceed progressDeadlineSeconds ({deadline})",
            spec.min_ready_seconds
        );
        return wrong(format!("{at}.minReadySeconds"), message);
    }
    let Some(selector) = spec.selector.clone() else {
        return wrong(format!("{at}.selector"), "Required value");
    };
    let checked = Selector::try_from(&selector).map_err(|error| {
        FieldError::new(format!("{at}.selector"), format!("Invalid value: {error}"))
    })?;
    if checked.is_everything() {
        let message = "Invalid value: an empty selector selects all pods of the namespace";
        return wrong(format!("{at}.selector"), message);
    }
    let label = |key: &str| {
        // The hash is replaced by that of the template.
        let labels = spec.template.pointer("/metadata/labels")?.as_object()?;
        labels.get(key)?.as_str()
    };
    if !checked.matches_with(label) {
        return wrong(
            format!("{at}.template.metadata.labels"),
            "Invalid value: `selector` does not match template `labels`",
        );
    }
    let containers = spec
        .template
        .pointer("/spec/containers")
        .and_then(Value::as_array);
    if containers.is_none_or(Vec::is_empty) {
        return wrong(format!("{at}.template.spec.containers"), "Required value");
    }
    let set_name = format!("{experiment}-{}", spec.name);
    let has_ports = containers.into_iter().flatten().any(|container| {
        container["ports"]
            .as_array()
            .is_some_and(|ports| !ports.is_empty())
    });
    let service = spec.service.as_ref().filter(|_| has_ports).map(|service| {
        if service.name.is_empty() {
            set_name.clone()
        } else {
            service.name.clone()
        }
    });
    Ok(CheckedTemplate {
        name: spec.name.clone(),
        hash: hash(&set_name, &spec.template),
        set_name,
        replicas,
        min_ready: spec.min_ready_seconds,
        selector,
        template: spec.template.clone(),
        service,
    })
}

/// The pod template hash. The name is a part of it: pods with the same template must not be taken for
/// those of a Rollout, or of another template, by Services that select a hash.
fn hash(set_name: &str, template: &Value) -> String {
    let content = ComparedTemplate::new(template).pod_hash(None);
    safe_encode(&fnv1a_32(format!("{set_name}\0{content}").as_bytes()).to_string())
}

fn check_analyses(spec: &ExperimentSpec) -> Checked<()> {
    let mut names = HashSet::new();
    for (index, analysis) in spec.analyses.iter().enumerate() {
        let at = format!("spec.analyses[{index}]");
        if analysis.name.is_empty() {
            return wrong(format!("{at}.name"), "Required value");
        }
        if analysis.template_name.is_empty() {
            return wrong(format!("{at}.templateName"), "Required value");
        }
        if !names.insert(&analysis.name) {
            let message = format!("Duplicate value: \"{}\"", analysis.name);
            return wrong(format!("{at}.name"), message);
        }
    }
    Ok(())
}
