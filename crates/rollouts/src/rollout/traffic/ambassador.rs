//! Ambassador (Emissary): a copy of each `Mapping` with a weight, for the time of the update.

use std::sync::Arc;

use futures::{FutureExt, future::BoxFuture};
use kube::api::DynamicObject;
use reconcile_core::object::{FieldError, ObjectKey};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    objects::{RouteObjects, unfit},
    parse::parse,
    router::{Capabilities, FULL_WEIGHT, Registration, RouteContext, Router, RouterError},
    state::{RouteGoal, RouteState},
};
use crate::rollout::resources::resource;

/// Ambassador.
pub(super) const REGISTRATION: Registration = Registration {
    name: "ambassador",
    plugin: false,
    can: Capabilities::WEIGHTS,
    open: |at, config| Ok(Arc::new(Ambassador::new(at, config)?)),
};

const KIND: &str = "Mapping";
/// Longest part of a name before `-canary`.
const LONGEST_NAME: usize = 246;

/// The Mappings of one Rollout.
#[derive(Debug)]
struct Ambassador {
    at: String,
    mappings: Vec<String>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Config {
    mappings: Vec<String>,
}

impl Ambassador {
    fn new(at: &str, config: &Value) -> Result<Self, FieldError> {
        let mut config: Config = parse(at, config)?;
        config.mappings.retain(|name| !name.is_empty());
        if config.mappings.is_empty() {
            return Err(FieldError::new(format!("{at}.mappings"), "Required value"));
        }
        Ok(Self {
            at: at.to_owned(),
            mappings: config.mappings,
        })
    }

    fn objects<'a>(&'a self, context: &'a RouteContext<'_>) -> RouteObjects<'a> {
        RouteObjects {
            at: &self.at,
            resource: resource("getambassador.io", "v2", KIND, "mappings"),
            context,
        }
    }

    /// The Mapping of the new version.
    async fn canary(
        &self,
        context: &RouteContext<'_>,
        name: &str,
    ) -> Result<(ObjectKey, Option<DynamicObject>), RouterError> {
        let prefix: String = name.chars().take(LONGEST_NAME).collect();
        self.objects(context).own(&format!("{prefix}-canary")).await
    }

    /// The Mapping that the user wrote.
    async fn stable(
        &self,
        context: &RouteContext<'_>,
        name: &str,
    ) -> Result<DynamicObject, RouterError> {
        let (_, mapping) = self.objects(context).named(name).await?;
        if mapping.data["spec"]["weight"].as_i64().unwrap_or_default() != 0 {
            let what = "has a weight; the Rollout decides about weights";
            return Err(unfit(&self.at, KIND, name, what).into());
        }
        Ok(mapping)
    }

    async fn write(&self, context: &RouteContext<'_>, weight: i32) -> Result<(), RouterError> {
        let objects = self.objects(context);
        for name in &self.mappings {
            let (key, found) = self.canary(context, name).await?;
            match found {
                None if weight == 0 => {}
                None => {
                    let stable = self.stable(context, name).await?;
                    let mut spec = stable.data["spec"].clone();
                    let service = spec["service"].as_str().unwrap_or_default();
                    spec["service"] = canary_service(service, context.canary).into();
                    spec["weight"] = weight.into();
                    objects.create(&key, &spec).await?;
                }
                Some(found) if weight == 0 => objects.delete(&key, &found).await?,
                Some(found) if found.data["spec"]["weight"].as_i64() == Some(weight.into()) => {}
                Some(found) => {
                    let spec = json!({ "weight": weight });
                    objects.patch_spec(&key, &found, spec).await?;
                }
            }
        }
        Ok(())
    }
}

/// The Service of the new version with the port of the stable one.
fn canary_service(stable: &str, canary: &str) -> String {
    let port = stable
        .rsplit_once(':')
        .map(|(_, port)| port)
        .filter(|port| port.parse::<u16>().is_ok());
    port.map_or_else(|| canary.to_owned(), |port| format!("{canary}:{port}"))
}

impl Router for Ambassador {
    fn routes(&self) -> Vec<String> {
        let names = self.mappings.iter();
        names.map(|name| format!("{KIND} {name}")).collect()
    }

    fn observe<'a>(
        &'a self,
        context: &'a RouteContext<'_>,
    ) -> BoxFuture<'a, Result<RouteState, RouterError>> {
        async move {
            let mut states = Vec::new();
            for name in &self.mappings {
                let (_, found) = self.canary(context, name).await?;
                if found.is_none() {
                    // Checks the Mapping before anything moves.
                    self.stable(context, name).await?;
                }
                let weight = found.map_or(0, |found| {
                    let weight = found.data["spec"]["weight"].as_i64().unwrap_or_default();
                    i32::try_from(weight).unwrap_or(FULL_WEIGHT)
                });
                states.push(RouteState::at(weight));
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
}
