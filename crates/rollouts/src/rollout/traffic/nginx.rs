//! ingress-nginx: a second Ingress with canary annotations beside each stable one.

use std::{collections::BTreeMap, sync::Arc};

use futures::{FutureExt, future::BoxFuture};
use kube::api::DynamicObject;
use reconcile_core::{
    apply,
    object::{FieldError, ObjectKey},
    reconcile::merge_diff,
};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::{
    objects::{RouteObjects, is_owned, unfit},
    parse::parse,
    router::{
        Capabilities, ExtraWeights, FULL_WEIGHT, HeaderMatching, Registration, RouteContext,
        Router, RouterError,
    },
    state::{RouteGoal, RouteState},
};
use crate::rollout::resources::{MANAGER, resource};

/// ingress-nginx.
pub(super) const REGISTRATION: Registration = Registration {
    name: "nginx",
    plugin: false,
    can: Capabilities {
        max_weight: true,
        headers: HeaderMatching::None,
        mirror: false,
        ping_pong: false,
        extra: ExtraWeights::None,
    },
    open: |at, config| Ok(Arc::new(Nginx::new(at, config)?)),
};

const KIND: &str = "Ingress";
const DEFAULT_PREFIX: &str = "nginx.ingress.kubernetes.io";
const CLASS: &str = "kubernetes.io/ingress.class";
/// Longest name of an object.
const LONGEST_NAME: usize = 253;

/// The Ingresses of one Rollout.
#[derive(Debug)]
struct Nginx {
    at: String,
    ingresses: Vec<String>,
    prefix: String,
    /// Annotations of the canary Ingress, with their prefix.
    annotations: BTreeMap<String, String>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Config {
    stable_ingress: Option<String>,
    stable_ingresses: Vec<String>,
    annotation_prefix: Option<String>,
    additional_ingress_annotations: BTreeMap<String, String>,
    canary_ingress_annotations: BTreeMap<String, String>,
}

impl Nginx {
    fn new(at: &str, config: &Value) -> Result<Self, FieldError> {
        let config: Config = parse(at, config)?;
        let one = config.stable_ingress.filter(|name| !name.is_empty());
        let ingresses = match (one, config.stable_ingresses) {
            (Some(one), several) if several.is_empty() => vec![one],
            (None, several) if !several.is_empty() => several,
            _ => {
                return Err(FieldError::new(
                    at,
                    "Invalid value: set either stableIngress or stableIngresses",
                ));
            }
        };
        let given = config.annotation_prefix.filter(|prefix| !prefix.is_empty());
        let prefix = given.unwrap_or_else(|| DEFAULT_PREFIX.to_owned());
        let mut annotations: BTreeMap<String, String> = config
            .additional_ingress_annotations
            .into_iter()
            .map(|(key, value)| {
                let own = key.starts_with(&format!("{prefix}/"));
                (if own { key } else { format!("{prefix}/{key}") }, value)
            })
            .collect();
        annotations.extend(config.canary_ingress_annotations);
        Ok(Self {
            at: at.to_owned(),
            ingresses,
            prefix,
            annotations,
        })
    }

    fn annotation(&self, name: &str) -> String {
        format!("{}/{name}", self.prefix)
    }

    fn objects<'a>(&'a self, context: &'a RouteContext<'_>) -> RouteObjects<'a> {
        RouteObjects {
            at: &self.at,
            resource: resource("networking.k8s.io", "v1", KIND, "ingresses"),
            context,
        }
    }

    async fn canary(
        &self,
        context: &RouteContext<'_>,
        stable: &str,
    ) -> Result<(ObjectKey, Option<DynamicObject>), RouterError> {
        let name = canary_name(&context.rollout.name, stable);
        let key = ObjectKey::new(&context.rollout.namespace, name);
        let resource = self.objects(context).resource;
        let found = apply::get(context.client, &resource, &key).await?;
        if let Some(ingress) = &found
            && !is_owned(ingress, context)
        {
            let message = format!(
                "Invalid value: \"{stable}\": Ingress \"{}\" exists and belongs to somebody else",
                key.name
            );
            return Err(FieldError::new(&self.at, message).into());
        }
        Ok((key, found))
    }

    /// The canary Ingress as it should be.
    async fn wanted(
        &self,
        context: &RouteContext<'_>,
        stable: &str,
        key: &ObjectKey,
        weight: i32,
    ) -> Result<Value, RouterError> {
        let (_, ingress) = self.objects(context).named(stable).await?;
        let rules = canary_rules(&ingress.data["spec"], context);
        if rules.is_empty() {
            let what = format!(
                "has no rule with a backend to the Service {}",
                context.stable
            );
            return Err(unfit(&self.at, KIND, stable, &what).into());
        }
        let mut annotations: BTreeMap<String, String> = BTreeMap::new();
        let theirs = ingress.metadata.annotations.as_ref();
        if let Some(class) = theirs.and_then(|all| all.get(CLASS)) {
            annotations.insert(CLASS.to_owned(), class.clone());
        }
        annotations.extend(self.annotations.clone());
        annotations.insert(self.annotation("canary"), "true".to_owned());
        annotations.insert(self.annotation("canary-weight"), weight.to_string());
        if context.max_weight != FULL_WEIGHT {
            let total = context.max_weight.to_string();
            annotations.insert(self.annotation("canary-weight-total"), total);
        }
        let mut spec = json!({ "rules": rules });
        for part in ["ingressClassName", "tls"] {
            if let Some(value) = ingress.data["spec"].get(part) {
                spec[part] = value.clone();
            }
        }
        Ok(json!({
            "apiVersion": "networking.k8s.io/v1",
            "kind": "Ingress",
            "metadata": {
                "name": key.name,
                "namespace": key.namespace,
                "annotations": annotations,
                "ownerReferences": [context.owner],
            },
            "spec": spec,
        }))
    }

    async fn write(&self, context: &RouteContext<'_>, weight: i32) -> Result<(), RouterError> {
        let objects = self.objects(context);
        for stable in &self.ingresses {
            let (key, found) = self.canary(context, stable).await?;
            let wanted = self.wanted(context, stable, &key, weight).await?;
            let Some(found) = found else {
                let object: DynamicObject = serde_json::from_value(wanted).map_err(|error| {
                    FieldError::new(
                        &self.at,
                        format!("cannot build the canary Ingress: {error}"),
                    )
                })?;
                apply::create(context.client, &objects.resource, &key, &object, MANAGER).await?;
                continue;
            };
            // Only what is written here: labels, status and annotations of others stay.
            let old = json!({
                "annotations": own_annotations(&found, &wanted),
                "spec": found.data["spec"],
            });
            let new = json!({
                "annotations": wanted["metadata"]["annotations"],
                "spec": wanted["spec"],
            });
            let Some(mut diff) = merge_diff(&old, &new) else {
                continue;
            };
            let mut body =
                json!({ "metadata": { "resourceVersion": found.metadata.resource_version } });
            if let Some(annotations) = diff.get_mut("annotations") {
                body["metadata"]["annotations"] = annotations.take();
            }
            if let Some(spec) = diff.get_mut("spec") {
                body["spec"] = spec.take();
            }
            objects.patch(&key, &body).await?;
        }
        Ok(())
    }

    async fn remove(&self, context: &RouteContext<'_>) -> Result<(), RouterError> {
        for stable in &self.ingresses {
            if let (key, Some(found)) = self.canary(context, stable).await? {
                self.objects(context).delete(&key, &found).await?;
            }
        }
        Ok(())
    }
}

impl Router for Nginx {
    fn routes(&self) -> Vec<String> {
        let names = self.ingresses.iter();
        names.map(|name| format!("{KIND} {name}")).collect()
    }

    fn observe<'a>(
        &'a self,
        context: &'a RouteContext<'_>,
    ) -> BoxFuture<'a, Result<RouteState, RouterError>> {
        async move {
            let mut states = Vec::new();
            for stable in &self.ingresses {
                let (key, found) = self.canary(context, stable).await?;
                if found.is_none() {
                    // Checks the stable Ingress before anything moves.
                    self.wanted(context, stable, &key, 0).await?;
                }
                let weight = found.map_or(Some(0), |ingress| {
                    let name = self.annotation("canary-weight");
                    let annotations = ingress.metadata.annotations.as_ref();
                    annotations?.get(&name)?.parse().ok()
                });
                states.push(RouteState {
                    weight,
                    most: weight.unwrap_or(context.max_weight),
                    ..RouteState::default()
                });
            }
            Ok(RouteState::together(states))
        }
        .boxed()
    }

    fn apply<'a>(
        &'a self,
        context: &'a RouteContext<'_>,
        goal: &'a RouteGoal,
    ) -> BoxFuture<'a, Result<(), RouterError>> {
        self.write(context, goal.weight).boxed()
    }

    fn clear<'a>(
        &'a self,
        context: &'a RouteContext<'_>,
    ) -> BoxFuture<'a, Result<(), RouterError>> {
        self.remove(context).boxed()
    }
}

fn canary_name(rollout: &str, stable: &str) -> String {
    const SUFFIX: &str = "-canary";
    let prefix: String = format!("{rollout}-{stable}")
        .chars()
        .take(LONGEST_NAME - SUFFIX.len())
        .collect();
    format!("{prefix}{SUFFIX}")
}

/// The rules of an Ingress that lead to the stable Service, with the canary Service in its place.
fn canary_rules(spec: &Value, context: &RouteContext<'_>) -> Vec<Value> {
    let mut rules = Vec::new();
    for rule in spec["rules"].as_array().into_iter().flatten() {
        let paths = rule.pointer("/http/paths").and_then(Value::as_array);
        let paths: Vec<Value> = paths
            .into_iter()
            .flatten()
            .filter(|path| path.pointer("/backend/service/name") == Some(&context.stable.into()))
            .map(|path| {
                let mut path = path.clone();
                path["backend"]["service"]["name"] = context.canary.into();
                path
            })
            .collect();
        if !paths.is_empty() {
            let mut rule = rule.clone();
            rule["http"]["paths"] = paths.into();
            rules.push(rule);
        }
    }
    rules
}

/// The annotations of an Ingress that `wanted` has too.
fn own_annotations(found: &DynamicObject, wanted: &Value) -> Value {
    let wanted = &wanted["metadata"]["annotations"];
    let all = found.metadata.annotations.iter().flatten();
    let own: Map<String, Value> = all
        .filter(|(key, _)| wanted.get(key.as_str()).is_some())
        .map(|(key, value)| (key.clone(), value.clone().into()))
        .collect();
    Value::Object(own)
}
