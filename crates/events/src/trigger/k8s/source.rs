//! Where the object of a trigger comes from.

use std::sync::Arc;

use reconcile_core::{
    object::FieldError,
    yaml::{Limits, documents_within},
};
use serde_json::Value;

use crate::{
    api::{
        KeySelector,
        trigger::{ArtifactSource, Parameter},
    },
    trigger::{Run, TriggerError},
};

/// Where the object of a trigger is.
pub(in crate::trigger) enum Source {
    /// Here.
    Object(Value),
    /// In a ConfigMap.
    ConfigMap(KeySelector),
}

impl Source {
    /// The source at `path`, checked before.
    pub(in crate::trigger) fn of(
        path: &str,
        source: Option<&ArtifactSource>,
    ) -> Result<Self, FieldError> {
        let source = source.ok_or_else(|| FieldError::new(path, "must not be empty"))?;
        Ok(
            match (&source.parsed, &source.configmap, &source.resource) {
                (Some(parsed), ..) => Self::Object(parsed.as_ref().clone()),
                (None, Some(key), _) => Self::ConfigMap(key.clone()),
                (None, None, resource) => Self::Object(resource.clone().unwrap_or_default()),
            },
        )
    }
}

/// Takes over the object of an earlier check of the same text.
pub(in crate::trigger) fn reuse(
    source: Option<&mut ArtifactSource>,
    checked: Option<&ArtifactSource>,
) {
    if let (Some(source), Some(before)) = (source, checked)
        && source.inline == before.inline
    {
        source.parsed.clone_from(&before.parsed);
    }
}

/// Checks the source at `path` and reads an inline manifest. Parameters may give what a resource lacks.
pub(in crate::trigger) fn check(
    path: &str,
    source: Option<&mut ArtifactSource>,
    parameters: &[Parameter],
) -> Result<(), FieldError> {
    let at = |field: &str, message: &str| FieldError::new(format!("{path}{field}"), message);
    let Some(source) = source else {
        return Err(at("", "must not be empty"));
    };
    if let Some(name) = ["s3", "file", "url", "git"]
        .iter()
        .find(|name| source.other.contains_key(**name))
    {
        return Err(at(&format!(".{name}"), "not supported yet"));
    }
    match (&source.inline, &source.configmap, &source.resource) {
        (Some(_), ..) if source.parsed.is_some() => Ok(()),
        (Some(text), ..) => {
            let parsed = parse(text).map_err(|error| at(".inline", &error))?;
            source.parsed = Some(Arc::new(parsed));
            Ok(())
        }
        (None, Some(_), _) => Ok(()),
        (None, None, Some(resource)) => {
            for field in ["apiVersion", "kind"] {
                let patched = parameters.iter().any(|parameter| parameter.dest == field);
                if !patched && !resource.get(field).is_some_and(Value::is_string) {
                    return Err(at(&format!(".resource.{field}"), "must not be empty"));
                }
            }
            Ok(())
        }
        (None, None, None) => Err(at("", "names no source that is supported")),
    }
}

/// Bounds of a manifest in a trigger. Aliases count as what they repeat; 20,000 nodes take milliseconds.
const LIMITS: Limits = Limits {
    bytes: 2 << 20,
    nodes: 20_000,
    text_bytes: 4 << 20,
    depth: 100,
};

/// Reads the one object of a manifest.
fn parse(text: &str) -> Result<Value, String> {
    let mut documents = documents_within(text, LIMITS).map_err(|error| error.to_string())?;
    match documents.len() {
        0 => Err("holds no object".to_owned()),
        1 => Ok(documents.swap_remove(0).value),
        count => Err(format!(
            "holds {count} documents; a trigger acts on one object"
        )),
    }
    .and_then(|value| {
        if value.is_object() {
            Ok(value)
        } else {
            Err("is not an object".to_owned())
        }
    })
}

/// The object that a ConfigMap holds; an error names `path`.
pub(in crate::trigger) async fn manifest(
    path: &str,
    key: &KeySelector,
    run: Run<'_>,
) -> Result<Value, TriggerError> {
    let secrets = &run.executor.secrets;
    let text = secrets.config(&run.firing.sensor.namespace, key).await?;
    parse(&text.unwrap_or_default()).map_err(|error| FieldError::new(path, error).into())
}
