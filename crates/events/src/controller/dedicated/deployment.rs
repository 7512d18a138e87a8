//! The Deployment of an object.

use std::{fs, io, path::Path};

use reconcile_core::yaml;
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};
use thiserror::Error;

use super::{DedicatedObject, PodWish};

/// Marks the Deployments and their pods; the value is the id of the object.
pub const LABEL: &str = "events.argoproj.io/dedicated";
/// The object that a Deployment is for.
pub(super) const OBJECT: &str = "events.argoproj.io/object";
/// Of what a Deployment was made.
pub(super) const HASH: &str = "events.argoproj.io/template-hash";

/// The template of the Deployments cannot be used.
#[derive(Debug, Error)]
pub enum TemplateError {
    /// The file cannot be read.
    #[error("--dedicated-template {path}: {source}")]
    Read {
        /// Its path.
        path: String,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// It holds something else.
    #[error("--dedicated-template {path}: {reason}")]
    Form {
        /// Its path.
        path: String,
        /// What is wrong.
        reason: String,
    },
}

/// A Deployment of `events worker`, from which those of objects are made.
#[derive(Clone, Debug, PartialEq)]
pub struct DedicatedTemplate(Value);

impl DedicatedTemplate {
    /// Reads the file; `None` when there is none, and no object gets a pod of its own.
    pub fn read(path: &Path) -> Result<Option<Self>, TemplateError> {
        let shown = path.display().to_string();
        let text = match fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(source) => {
                return Err(TemplateError::Read {
                    path: shown,
                    source,
                });
            }
        };
        Self::parse(&text)
            .map(Some)
            .map_err(|reason| TemplateError::Form {
                path: shown,
                reason,
            })
    }

    /// Checks a Deployment as YAML.
    pub fn parse(text: &str) -> Result<Self, String> {
        let value = yaml::value(text).map_err(|error| error.to_string())?;
        let is = |pointer: &str, wanted: &str| {
            value.pointer(pointer).and_then(Value::as_str) == Some(wanted)
        };
        if !is("/apiVersion", "apps/v1") || !is("/kind", "Deployment") {
            return Err("must hold a Deployment of apps/v1".to_owned());
        }
        if !is("/spec/template/spec/containers/0/args/0", "worker") {
            return Err("its first container must run `events worker`".to_owned());
        }
        Ok(Self(value))
    }

    /// The Deployment of an object in `namespace`.
    pub fn deployment(&self, object: &DedicatedObject, wish: &PodWish, namespace: &str) -> Value {
        let mut made = self.0.clone();
        let selector = json!({ LABEL: object.id() });
        let metadata = member(&mut made, "metadata");
        let labels = labelled(metadata.get("labels"), &selector);
        *metadata = json!({
            "name": object.deployment(), "namespace": namespace,
            "labels": labels, "annotations": { OBJECT: object.to_string() },
        })
        .as_object()
        .cloned()
        .unwrap_or_default();
        let spec = member(&mut made, "spec");
        spec.insert("replicas".to_owned(), json!(1));
        spec.insert("selector".to_owned(), json!({ "matchLabels": selector }));
        let template = spec.entry("template").or_insert_with(|| json!({}));
        let labels = labelled(template.pointer("/metadata/labels"), &selector);
        member(template, "metadata").insert("labels".to_owned(), labels);
        place(member(template, "spec"), object, wish);
        let hash = hex::encode(&Sha256::digest(made.to_string())[..8]);
        made["metadata"]["annotations"][HASH] = json!(hash);
        made
    }
}

/// Places the pod as the object wants it, with its arguments.
fn place(pod: &mut Map<String, Value>, object: &DedicatedObject, wish: &PodWish) {
    if let Some(selector) = &wish.node_selector {
        pod.insert("nodeSelector".to_owned(), json!(selector));
    }
    if let Some(tolerations) = &wish.tolerations {
        pod.insert("tolerations".to_owned(), json!(tolerations));
    }
    if let Some(affinity) = &wish.affinity {
        pod.insert("affinity".to_owned(), json!(affinity));
    }
    // That of other pods, which it has not the labels of.
    pod.remove("topologySpreadConstraints");
    let Some(container) = pod.get_mut("containers").and_then(|all| all.get_mut(0)) else {
        return;
    };
    if let Some(args) = container["args"].as_array_mut() {
        args.retain(|arg| !arg.as_str().is_some_and(|arg| arg.starts_with("--shards=")));
        args.push(json!(format!("--only={object}")));
    }
    if let Some(resources) = wish.resources() {
        container["resources"] = json!(resources);
    }
}

/// Labels of the template, with those of the object; without the component, by which other Services and selectors find
/// their pods.
fn labelled(labels: Option<&Value>, selector: &Value) -> Value {
    let mut all = labels
        .and_then(Value::as_object)
        .cloned()
        .unwrap_or_default();
    // No part of a release of Helm.
    all.remove("helm.sh/chart");
    all.insert(
        "app.kubernetes.io/managed-by".to_owned(),
        json!("argo-events"),
    );
    all.insert("app.kubernetes.io/component".to_owned(), json!("dedicated"));
    all.extend(selector.as_object().cloned().unwrap_or_default());
    Value::Object(all)
}

/// A member that is an object, whatever it was.
fn member<'v>(value: &'v mut Value, name: &str) -> &'v mut Map<String, Value> {
    if !value[name].is_object() {
        value[name] = json!({});
    }
    value[name].as_object_mut().expect("it is one now")
}
