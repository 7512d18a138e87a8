//! What a trigger would do, without doing it: for offline commands.

use reqwest::Url;
use serde_json::{Map, Value, json};

use super::{Action, Firing, Task, TriggerError, http, nats, resolve};
use crate::{
    api::trigger::{HttpTrigger, K8sTrigger},
    sensor::parameter,
};

/// The request or object of a firing, with all parameters applied. Values of Secrets are left out, and so
/// is what only the cluster knows.
pub fn preview(task: &Task, firing: &Firing) -> Result<Value, TriggerError> {
    match resolve(task, firing)?.as_ref() {
        Action::Http(action) => request(action, firing),
        Action::K8s(action) => object(action, firing),
        Action::Nats(action) => nats::preview(action, firing),
        Action::Log(_) => Ok(json!({ "log": {} })),
    }
}

fn request(action: &HttpTrigger, firing: &Firing) -> Result<Value, TriggerError> {
    let action = http::patched(action, firing)?;
    let url =
        Url::parse(&action.url).map_err(|error| TriggerError::Failed(format!("url: {error}")))?;
    let mut headers: Map<String, Value> = action
        .headers
        .iter()
        .map(|(name, text)| (name.clone(), json!(text)))
        .collect();
    for (index, parameter) in action.dynamic_headers.iter().enumerate() {
        if let Some(text) = parameter::text(index, parameter, firing.inputs())? {
            headers.insert(parameter.dest.clone(), json!(text));
        }
    }
    for header in &action.secure_headers {
        headers.insert(header.name.clone(), json!("(from a Secret or ConfigMap)"));
    }
    let method = http::method(&action).map_err(TriggerError::Failed)?;
    let mut request = json!({
        "method": method.as_str(),
        "url": http::shown(&url),
        "headers": headers,
    });
    if !action.payload.is_empty() {
        let body = parameter::payload(&action.payload, firing.inputs())?;
        let text = String::from_utf8_lossy(&body);
        request["body"] = serde_json::from_str(&text).unwrap_or_else(|_| json!(text));
    }
    Ok(json!({ "http": request }))
}

fn object(action: &K8sTrigger, firing: &Firing) -> Result<Value, TriggerError> {
    let operation = action.operation.as_deref().filter(|text| !text.is_empty());
    let mut shown = json!({ "operation": operation.unwrap_or("create") });
    let source = action.source.as_ref();
    let parsed = source.and_then(|source| source.parsed.as_deref().or(source.resource.as_ref()));
    match parsed {
        Some(object) if !action.live_object => {
            let object = parameter::apply(object.clone(), &action.parameters, firing.inputs())?;
            shown["object"] = object;
        }
        Some(object) => {
            shown["object"] = object.clone();
            shown["note"] = json!("the parameters are applied to the object in the cluster");
        }
        None => shown["note"] = json!("the object is read from a ConfigMap"),
    }
    Ok(json!({ "k8s": shown }))
}
