//! Actions that make a new object from a schedule or a template.

use serde_json::{Map, Value, json};

use super::{ActionError, Call};

/// A Job as the schedule would start it.
pub(super) fn job(call: &Call<'_>) -> Result<Value, ActionError> {
    let template = &call.object["spec"]["jobTemplate"];
    let spec = template["spec"]
        .as_object()
        .ok_or(ActionError::Lacking("spec.jobTemplate.spec"))?;
    let mut metadata = metadata(call)?;
    for part in ["labels", "annotations"] {
        if let Some(values) = template["metadata"][part].as_object() {
            metadata.insert(part.to_owned(), Value::Object(values.clone()));
        }
    }
    Ok(json!({"apiVersion": "batch/v1", "kind": "Job", "metadata": metadata, "spec": spec}))
}

/// A Workflow as the schedule would start it.
pub(super) fn workflow_of_schedule(call: &Call<'_>) -> Result<Value, ActionError> {
    let spec = call.object["spec"]["workflowSpec"]
        .as_object()
        .ok_or(ActionError::Lacking("spec.workflowSpec"))?;
    let template = &call.object["spec"]["workflowMetadata"];
    let values = |part: &str| template[part].as_object().cloned().unwrap_or_default();
    let (mut labels, mut annotations) = (values("labels"), values("annotations"));
    let schedule = call.object["metadata"]["name"].clone();
    labels.insert("workflows.argoproj.io/cron-workflow".to_owned(), schedule);
    let instance = "workflows.argoproj.io/controller-instanceid";
    if let Some(id) = call.object["metadata"]["labels"].get(instance) {
        labels.insert(instance.to_owned(), id.clone());
    }
    let at = super::row::seconds(call);
    annotations.insert("workflows.argoproj.io/scheduled-time".to_owned(), at.into());
    let mut metadata = metadata(call)?;
    metadata.insert("labels".to_owned(), labels.into());
    metadata.insert("annotations".to_owned(), annotations.into());
    if let Some(finalizers) = template["finalizers"].as_array() {
        metadata.insert("finalizers".to_owned(), finalizers.clone().into());
    }
    Ok(workflow(&metadata, &json!(spec)))
}

/// A Workflow that refers to the template.
pub(super) fn workflow_of_template(call: &Call<'_>) -> Result<Value, ActionError> {
    let name = call.object["metadata"]["name"].clone();
    let mut metadata = metadata(call)?;
    metadata.insert(
        "labels".to_owned(),
        json!({"workflows.argoproj.io/workflow-template": name}),
    );
    Ok(workflow(
        &metadata,
        &json!({"workflowTemplateRef": {"name": name}}),
    ))
}

fn workflow(metadata: &Map<String, Value>, spec: &Value) -> Value {
    json!({"apiVersion": "argoproj.io/v1alpha1", "kind": "Workflow", "metadata": metadata, "spec": spec})
}

/// Name with the minute, namespace and owner.
fn metadata(call: &Call<'_>) -> Result<Map<String, Value>, ActionError> {
    let object = call.object;
    let name = object["metadata"]["name"]
        .as_str()
        .ok_or(ActionError::Lacking("metadata.name"))?;
    let mut metadata = Map::new();
    let minute = call.now.strftime("%Y%m%d%H%M");
    metadata.insert("name".to_owned(), format!("{name}-{minute}").into());
    if let Some(namespace) = object["metadata"]["namespace"].as_str() {
        metadata.insert("namespace".to_owned(), namespace.into());
    }
    let owner = json!({
        "apiVersion": object["apiVersion"],
        "kind": object["kind"],
        "name": name,
        "uid": object["metadata"]["uid"],
    });
    metadata.insert("ownerReferences".to_owned(), json!([owner]));
    Ok(metadata)
}
