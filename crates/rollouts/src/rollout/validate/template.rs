//! The pod template and the selector.

use reconcile_core::{
    kube_types::{LabelSelector, Quantity, Selector},
    object::FieldError,
};
use serde_json::Value;

use super::{Checked, wrong};

/// Path of the template.
const AT: &str = "spec.template";

pub(super) fn check(template: &Value, selector: &LabelSelector) -> Checked<()> {
    let checked = Selector::try_from(selector)
        .map_err(|error| FieldError::new("spec.selector", format!("Invalid value: {error}")))?;
    if checked.is_everything() {
        return wrong(
            "spec.selector",
            "Invalid value: empty selector is invalid for deployment",
        );
    }
    if !template.is_object() {
        return wrong("spec.template", "Required value: a pod template is needed");
    }
    let label = |key: &str| {
        template
            .pointer("/metadata/labels")
            .and_then(Value::as_object)?
            .get(key)
            .and_then(Value::as_str)
    };
    if !checked.matches_with(label) {
        return wrong(
            "spec.template.metadata.labels",
            "Invalid value: `selector` does not match template `labels`",
        );
    }
    let containers = template
        .pointer("/spec/containers")
        .and_then(Value::as_array);
    if containers.is_none_or(Vec::is_empty) {
        return wrong("spec.template.spec.containers", "Required value");
    }
    quantities(template)
}

/// Amounts of resources. The API server takes any text for them, since the template of a Rollout has no
/// schema; a program with the types of Kubernetes, as the kubectl plugin, then cannot read the Rollout, nor a
/// list with it.
fn quantities(template: &Value) -> Checked<()> {
    let Some(pod) = template.get("spec") else {
        return Ok(());
    };
    let at = format!("{AT}.spec");
    amounts(&format!("{at}.overhead"), pod.get("overhead"))?;
    resources(&format!("{at}.resources"), pod.get("resources"))?;
    for list in ["containers", "initContainers", "ephemeralContainers"] {
        for (index, container) in items(pod, list) {
            let at = format!("{at}.{list}[{index}].resources");
            resources(&at, container.get("resources"))?;
        }
    }
    for (index, volume) in items(pod, "volumes") {
        let size = volume.pointer("/emptyDir/sizeLimit");
        amount(&format!("{at}.volumes[{index}].emptyDir.sizeLimit"), size)?;
    }
    Ok(())
}

fn items<'v>(pod: &'v Value, list: &str) -> impl Iterator<Item = (usize, &'v Value)> + use<'v> {
    let items = pod.get(list).and_then(Value::as_array);
    items.into_iter().flatten().enumerate()
}

fn resources(at: &str, resources: Option<&Value>) -> Checked<()> {
    for part in ["limits", "requests"] {
        let given = resources.and_then(|resources| resources.get(part));
        amounts(&format!("{at}.{part}"), given)?;
    }
    Ok(())
}

fn amounts(at: &str, amounts: Option<&Value>) -> Checked<()> {
    let amounts = amounts.and_then(Value::as_object);
    let mut amounts = amounts.into_iter().flatten();
    amounts.try_for_each(|(name, value)| amount(&format!("{at}.{name}"), Some(value)))
}

fn amount(at: &str, value: Option<&Value>) -> Checked<()> {
    let text = match value {
        None | Some(Value::Null) => return Ok(()),
        Some(Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
    };
    match text.parse::<Quantity>() {
        Ok(_) => Ok(()),
        Err(error) => wrong(
            at,
            format!(
                "Invalid value: \"{text}\": {error}; kubectl argo rollouts cannot read this Rollout before it is \
                 corrected, for example to 500m or 1Gi"
            ),
        ),
    }
}
