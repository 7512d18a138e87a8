//! Traefik: the weights in a `TraefikService`.

use std::sync::Arc;

use futures::{FutureExt, future::BoxFuture};
use kube::api::DynamicObject;
use reconcile_core::object::{FieldError, ObjectKey};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    objects::{RouteObjects, unfit},
    parse::parse,
    router::{Capabilities, Registration, RouteContext, Router, RouterError},
    split::Split,
    state::{RouteGoal, RouteState},
};
use crate::rollout::resources::resource;

/// Traefik.
pub(super) const REGISTRATION: Registration = Registration {
    name: "traefik",
    plugin: false,
    can: Capabilities::WEIGHTS,
    open: |at, config| Ok(Arc::new(Traefik::new(at, config)?)),
};

const KIND: &str = "TraefikService";
const LIST: &str = "/spec/weighted/services";
/// Weight of a service that has none, as Traefik takes it.
const DEFAULT_WEIGHT: i64 = 1;

/// The `TraefikService` of one Rollout.
#[derive(Debug)]
struct Traefik {
    at: String,
    name: String,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Config {
    weighted_traefik_service_name: String,
}

impl Traefik {
    fn new(at: &str, config: &Value) -> Result<Self, FieldError> {
        let config: Config = parse(at, config)?;
        let name = config.weighted_traefik_service_name;
        if name.is_empty() {
            let at = format!("{at}.weightedTraefikServiceName");
            return Err(FieldError::new(at, "Required value"));
        }
        Ok(Self {
            at: at.to_owned(),
            name,
        })
    }

    fn services<'a>(&'a self, context: &'a RouteContext<'_>) -> RouteObjects<'a> {
        RouteObjects {
            at: &self.at,
            resource: resource("traefik.io", "v1alpha1", KIND, "traefikservices"),
            context,
        }
    }

    async fn read(
        &self,
        context: &RouteContext<'_>,
    ) -> Result<(ObjectKey, DynamicObject, Vec<Value>, Split), RouterError> {
        let (key, object) = self.services(context).named(&self.name).await?;
        let list = object.data.pointer(LIST).and_then(Value::as_array);
        let list = list.cloned().unwrap_or_default();
        let split = Split::find(&list, |service| service["name"].as_str(), context);
        let split = split.ok_or_else(|| {
            let what = format!(
                "does not name both {} and {} in spec.weighted.services",
                context.stable, context.canary
            );
            unfit(&self.at, KIND, &self.name, &what)
        })?;
        Ok((key, object, list, split))
    }

    async fn write(&self, context: &RouteContext<'_>, weight: i32) -> Result<(), RouterError> {
        let (key, object, old, split) = self.read(context).await?;
        let mut list = old.clone();
        split.set(&mut list, weight);
        if list == old {
            return Ok(());
        }
        let spec = json!({ "weighted": { "services": list } });
        self.services(context).patch_spec(&key, &object, spec).await
    }
}

impl Router for Traefik {
    fn routes(&self) -> Vec<String> {
        vec![format!("{KIND} {}", self.name)]
    }

    fn observe<'a>(
        &'a self,
        context: &'a RouteContext<'_>,
    ) -> BoxFuture<'a, Result<RouteState, RouterError>> {
        async move {
            let (_, _, list, split) = self.read(context).await?;
            Ok(split.state(&list, DEFAULT_WEIGHT))
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
