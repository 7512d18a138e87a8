//! Traffic routers: one file each behind [`Router`], registered once in [`ROUTERS`].
//!
//! A router reads what its route objects say, writes a weight, says whether the weight is in effect, and
//! gives the objects back. What weight is right is decided in `plan/traffic.rs`.

mod gateway_api;
mod nginx;

use std::{fmt, sync::Arc};

use futures::future::BoxFuture;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use kube::Client;
use reconcile_core::{
    apply::ApplyError,
    error::{Classify, ErrorClass},
    object::{FieldError, ObjectKey},
};
use serde::Deserialize;
use serde_json::{Map, Value};
use thiserror::Error;

/// Where the field stands.
const AT: &str = "spec.strategy.canary.trafficRouting";
/// All traffic, for routers that know no other total.
pub const FULL_WEIGHT: i32 = 100;

/// All routers that this version has.
const ROUTERS: &[Registration] = &[nginx::REGISTRATION, gateway_api::REGISTRATION];

/// How a router takes part.
pub(super) struct Registration {
    /// Its key under `trafficRouting`, or under `trafficRouting.plugins`.
    name: &'static str,
    /// The key stands under `plugins`.
    plugin: bool,
    /// What it can do.
    can: Capabilities,
    /// Makes the router of a Rollout from its configuration.
    open: OpenRouter,
}

/// Makes a router from the place and the value of its configuration.
type OpenRouter = fn(&str, &Value) -> Result<Arc<dyn Router>, FieldError>;

/// What a router can do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Capabilities {
    /// It takes another total than 100.
    max_weight: bool,
}

/// What a router works with.
pub(crate) struct RouteContext<'a> {
    /// The client.
    pub(crate) client: &'a Client,
    /// The Rollout.
    pub(crate) rollout: ObjectKey,
    /// The owner reference of the Rollout, for objects that a router creates.
    pub(crate) owner: OwnerReference,
    /// Service of the new version.
    pub(crate) canary: &'a str,
    /// Service of the stable version.
    pub(crate) stable: &'a str,
    /// The total of all weights.
    pub(crate) max_weight: i32,
}

/// What the route objects of one router say.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RouteState {
    /// Weight of the new version; none when the objects differ or do not say.
    pub weight: Option<i32>,
    /// The highest weight that any of them gives to the new version.
    pub most: i32,
    /// What is written is in effect; none when nobody can tell.
    pub in_effect: Option<bool>,
}

impl RouteState {
    /// What several objects or routers say together.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        let both = (self.in_effect, other.in_effect);
        Self {
            weight: self.weight.filter(|_| self.weight == other.weight),
            most: self.most.max(other.most),
            in_effect: match both {
                (Some(false), _) | (_, Some(false)) => Some(false),
                (Some(true), _) | (_, Some(true)) => Some(true),
                (None, None) => None,
            },
        }
    }
}

/// A router of one Rollout.
pub(crate) trait Router: fmt::Debug + Send + Sync {
    /// Kind and name of each route object, to tell whether two configurations share one.
    fn routes(&self) -> Vec<String>;

    /// Reads what the route objects say. An object that is missing is an error of the manifest.
    fn observe<'a>(
        &'a self,
        context: &'a RouteContext<'_>,
    ) -> BoxFuture<'a, Result<RouteState, RouterError>>;

    /// Gives the new version `weight`; objects that say so already are left alone.
    fn apply<'a>(
        &'a self,
        context: &'a RouteContext<'_>,
        weight: i32,
    ) -> BoxFuture<'a, Result<(), RouterError>>;

    /// Gives the objects back: all traffic to the stable version, and nothing of the Rollout left in them.
    fn clear<'a>(&'a self, context: &'a RouteContext<'_>)
    -> BoxFuture<'a, Result<(), RouterError>>;
}

/// A router cannot do what it should.
#[derive(Debug, Error)]
pub enum RouterError {
    /// A route object is missing or does not fit the Rollout.
    #[error("{0}")]
    Invalid(#[from] FieldError),
    /// The API server refused or did not answer.
    #[error(transparent)]
    Api(Box<ApplyError>),
}

impl From<ApplyError> for RouterError {
    fn from(error: ApplyError) -> Self {
        Self::Api(Box::new(error))
    }
}

impl Classify for RouterError {
    fn class(&self) -> ErrorClass {
        match self {
            Self::Invalid(_) => ErrorClass::Invalid,
            Self::Api(error) => error.class(),
        }
    }
}

/// `trafficRouting` with everything checked.
#[derive(Clone, Debug)]
pub struct Routing {
    /// The routers; all of them get the same weight.
    pub(crate) routers: Vec<Arc<dyn Router>>,
    /// The total of all weights.
    pub max_weight: i32,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct TrafficRouting {
    plugins: Map<String, Value>,
    max_traffic_weight: Option<i32>,
    managed_routes: Value,
    #[serde(flatten)]
    others: Map<String, Value>,
}

/// Checks `trafficRouting`.
pub(super) fn check(value: &Value) -> Result<Routing, FieldError> {
    let spec: TrafficRouting = serde_json::from_value(value.clone())
        .map_err(|error| FieldError::new(AT, format!("Invalid value: {error}")))?;
    if !spec.managed_routes.is_null() {
        let message = "not supported yet: header and mirror routes";
        return Err(FieldError::new(format!("{AT}.managedRoutes"), message));
    }
    let named = spec
        .others
        .iter()
        .map(|(name, config)| (false, name, config))
        .chain(
            spec.plugins
                .iter()
                .map(|(name, config)| (true, name, config)),
        )
        .filter(|(_, _, config)| !config.is_null());
    let mut routers = Vec::new();
    let mut takes_total = true;
    for (plugin, name, config) in named {
        let path = if plugin {
            format!("{AT}.plugins[{name}]")
        } else {
            format!("{AT}.{name}")
        };
        let mut known = ROUTERS.iter();
        let Some(found) = known.find(|known| known.plugin == plugin && known.name == *name) else {
            let names: Vec<&str> = ROUTERS.iter().map(|known| known.name).collect();
            let message = format!("not supported yet; use one of {}", names.join(", "));
            return Err(FieldError::new(path, message));
        };
        takes_total &= found.can.max_weight;
        routers.push((found.open)(&path, config)?);
    }
    if routers.is_empty() {
        return Err(FieldError::new(AT, "Required value: name a traffic router"));
    }
    let max_weight = spec.max_traffic_weight.unwrap_or(FULL_WEIGHT);
    if max_weight <= 0 || (max_weight != FULL_WEIGHT && !takes_total) {
        let message =
            format!("Invalid value: {max_weight}: only nginx takes another total than 100");
        return Err(FieldError::new(format!("{AT}.maxTrafficWeight"), message));
    }
    Ok(Routing {
        routers,
        max_weight,
    })
}

/// What all routers of a Rollout say together.
pub(super) async fn observe(
    routing: &Routing,
    context: &RouteContext<'_>,
) -> Result<RouteState, RouterError> {
    let mut all: Option<RouteState> = None;
    for router in &routing.routers {
        let state = router.observe(context).await?;
        all = Some(all.map_or(state, |known| known.and(state)));
    }
    Ok(all.unwrap_or_default())
}
