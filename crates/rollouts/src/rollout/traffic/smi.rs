//! Service Mesh Interface: a `TrafficSplit` that belongs to the Rollout.

use std::sync::Arc;

use futures::{FutureExt, future::BoxFuture};
use kube::api::DynamicObject;
use reconcile_core::object::{FieldError, ObjectKey};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    extra::of_all_weights,
    objects::RouteObjects,
    parse::parse,
    router::{Capabilities, ExtraWeights, Registration, RouteContext, Router, RouterError},
    state::{RouteGoal, RouteState},
};
use crate::rollout::resources::resource;

/// SMI.
pub(super) const REGISTRATION: Registration = Registration {
    name: "smi",
    plugin: false,
    can: Capabilities {
        extra: ExtraWeights::Any,
        ..Capabilities::WEIGHTS
    },
    open: |at, config| Ok(Arc::new(Smi::new(at, config)?)),
};

const KIND: &str = "TrafficSplit";

/// The `TrafficSplit` of one Rollout.
#[derive(Debug)]
struct Smi {
    at: String,
    /// Its name; that of the Rollout when absent.
    name: Option<String>,
    /// Service that clients name; the stable one when absent.
    root: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Config {
    root_service: Option<String>,
    traffic_split_name: Option<String>,
}

impl Smi {
    fn new(at: &str, config: &Value) -> Result<Self, FieldError> {
        let config: Config = parse(at, config)?;
        Ok(Self {
            at: at.to_owned(),
            name: config.traffic_split_name.filter(|name| !name.is_empty()),
            root: config.root_service.filter(|name| !name.is_empty()),
        })
    }

    fn splits<'a>(&'a self, context: &'a RouteContext<'_>) -> RouteObjects<'a> {
        RouteObjects {
            at: &self.at,
            resource: resource("split.smi-spec.io", "v1alpha2", KIND, "trafficsplits"),
            context,
        }
    }

    async fn read(
        &self,
        context: &RouteContext<'_>,
    ) -> Result<(ObjectKey, Option<DynamicObject>), RouterError> {
        let name = self.name.as_deref().unwrap_or(&context.rollout.name);
        self.splits(context).own(name).await
    }

    fn spec(&self, context: &RouteContext<'_>, goal: &RouteGoal) -> Value {
        let backend = |service: &str, weight: i32| json!({ "service": service, "weight": weight });
        let mut backends = vec![backend(context.canary, goal.weight)];
        backends.extend(
            goal.extra
                .iter()
                .map(|extra| backend(&extra.service, extra.weight)),
        );
        backends.push(backend(context.stable, goal.stable_weight()));
        json!({
            "service": self.root.as_deref().unwrap_or(context.stable),
            "backends": backends,
        })
    }

    async fn write(&self, context: &RouteContext<'_>, goal: &RouteGoal) -> Result<(), RouterError> {
        let (key, found) = self.read(context).await?;
        let spec = self.spec(context, goal);
        let splits = self.splits(context);
        match found {
            None => splits.create(&key, &spec).await,
            Some(found) if found.data["spec"] != spec => {
                splits.patch_spec(&key, &found, spec).await
            }
            Some(_) => Ok(()),
        }
    }

    async fn remove(&self, context: &RouteContext<'_>) -> Result<(), RouterError> {
        let (key, Some(found)) = self.read(context).await? else {
            return Ok(());
        };
        self.splits(context).delete(&key, &found).await
    }
}

impl Router for Smi {
    fn routes(&self) -> Vec<String> {
        vec![format!(
            "{KIND} {}",
            self.name.as_deref().unwrap_or("of the Rollout")
        )]
    }

    fn observe<'a>(
        &'a self,
        context: &'a RouteContext<'_>,
    ) -> BoxFuture<'a, Result<RouteState, RouterError>> {
        async move {
            let (_, Some(found)) = self.read(context).await? else {
                // Without a TrafficSplit the stable Service gets what is sent to it.
                return Ok(RouteState::at(0));
            };
            let list = found
                .data
                .pointer("/spec/backends")
                .and_then(Value::as_array);
            let list = list.map(Vec::as_slice).unwrap_or_default();
            let weight = |service: &str| {
                let mut known = list.iter();
                known.find(|backend| backend["service"] == service)?["weight"].as_i64()
            };
            let (Some(canary), Some(stable)) = (weight(context.canary), weight(context.stable))
            else {
                return Ok(RouteState::default());
            };
            // The whole list is the Rollout's.
            let others = list.iter().filter_map(|backend| {
                let service = backend["service"].as_str()?;
                let weight = i32::try_from(backend["weight"].as_i64()?).ok()?;
                let beside = service != context.canary && service != context.stable;
                beside.then(|| (service.to_owned(), weight))
            });
            Ok(of_all_weights(canary, stable, others.collect()))
        }
        .boxed()
    }

    fn apply<'a>(
        &'a self,
        context: &'a RouteContext<'_>,
        goal: &'a RouteGoal,
    ) -> BoxFuture<'a, Result<(), RouterError>> {
        self.write(context, goal).boxed()
    }

    fn clear<'a>(
        &'a self,
        context: &'a RouteContext<'_>,
    ) -> BoxFuture<'a, Result<(), RouterError>> {
        self.remove(context).boxed()
    }
}
