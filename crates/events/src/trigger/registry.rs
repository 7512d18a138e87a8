//! All types of triggers, and which of them a template names.

use reconcile_core::object::FieldError;
use serde_json::Value;

use super::{
    argo_workflow::ArgoWorkflowTrigger,
    aws_lambda::AwsLambdaTrigger,
    azure_event_hubs::AzureEventHubsTrigger,
    azure_service_bus::AzureServiceBusTrigger,
    custom::CustomTrigger,
    email::EmailTrigger,
    kafka::KafkaTrigger,
    kind::{Action, CheckedAction, TriggerKind},
    open_whisk::OpenWhiskTrigger,
    pulsar::PulsarTrigger,
    slack::SlackTrigger,
};
use crate::api::{
    decode,
    trigger::{HttpTrigger, K8sTrigger, LogTrigger, NatsTrigger, TriggerTemplate},
};

/// All types. A template names exactly one.
pub const ALL: &[TriggerKind] = &[
    TriggerKind::of::<K8sTrigger>(),
    TriggerKind::of::<ArgoWorkflowTrigger>(),
    TriggerKind::of::<HttpTrigger>(),
    TriggerKind::of::<NatsTrigger>(),
    TriggerKind::of::<KafkaTrigger>(),
    TriggerKind::of::<PulsarTrigger>(),
    TriggerKind::of::<SlackTrigger>(),
    TriggerKind::of::<EmailTrigger>(),
    TriggerKind::of::<AwsLambdaTrigger>(),
    TriggerKind::of::<OpenWhiskTrigger>(),
    TriggerKind::of::<AzureServiceBusTrigger>(),
    TriggerKind::of::<AzureEventHubsTrigger>(),
    TriggerKind::of::<CustomTrigger>(),
    TriggerKind::of::<LogTrigger>(),
];

/// Decodes a template; the error names the field below `path`.
pub fn decode_template(path: &str, template: &Value) -> CheckedAction {
    let (kind, value) = kind_of(path, template)?;
    (kind.check)(&format!("{path}.{}", kind.key), value)
}

/// As [`decode_template`], with what the check of the unpatched template made.
pub(super) fn decode_patched(path: &str, template: &Value, before: &dyn Action) -> CheckedAction {
    let (kind, value) = kind_of(path, template)?;
    let path = format!("{path}.{}", kind.key);
    if kind.key == before.key() {
        before.again(&path, value)
    } else {
        (kind.check)(&path, value)
    }
}

/// The type that a template names, and what is below its key.
fn kind_of<'t>(
    path: &str,
    template: &'t Value,
) -> Result<(&'static TriggerKind, &'t Value), FieldError> {
    let given = |key: &str| template.get(key).filter(|value| !value.is_null());
    let common: Value = template
        .as_object()
        .into_iter()
        .flatten()
        .filter(|(key, _)| ALL.iter().all(|kind| kind.key != key.as_str()))
        .map(|(key, value)| (key.clone(), value.clone()))
        .collect();
    decode::<TriggerTemplate>(
        path,
        if template.is_object() {
            &common
        } else {
            template
        },
    )?;
    let mut kinds = ALL.iter().filter_map(|kind| Some((kind, given(kind.key)?)));
    match (kinds.next(), kinds.next()) {
        (Some(only), None) => Ok(only),
        (None, _) => Err(FieldError::new(path, "names no type of trigger")),
        (Some(_), Some(_)) => Err(FieldError::new(path, "names more than one type of trigger")),
    }
}
