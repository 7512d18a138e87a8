//! Traffic routers: one file each behind [`Router`], registered once in [`ROUTERS`].
//!
//! A router reads what its route objects say, writes a weight, says whether the weight is in effect, and
//! gives the objects back. What weight is right is decided in `plan/traffic.rs`.

mod alb;
mod ambassador;
mod apisix;
mod gateway_api;
mod istio;
mod managed;
mod nginx;
mod objects;
mod smi;
mod split;
mod traefik;

pub use managed::{HeaderRoute, ManagedRoute, MirrorRoute, RouteStep, StringMatch};
pub(super) use managed::{header_step, mirror_step};

use std::{fmt, sync::Arc};

use futures::{FutureExt, future::BoxFuture};
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
const ROUTERS: &[Registration] = &[
    nginx::REGISTRATION,
    gateway_api::REGISTRATION,
    istio::REGISTRATION,
    alb::REGISTRATION,
    traefik::REGISTRATION,
    apisix::REGISTRATION,
    smi::REGISTRATION,
    ambassador::REGISTRATION,
];

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
    /// It routes by header.
    headers: HeaderMatching,
    /// It mirrors requests.
    mirror: bool,
    /// Both Services may swap roles.
    ping_pong: bool,
}

impl Capabilities {
    /// Weights of a total of 100, and nothing beside.
    const WEIGHTS: Self = Self {
        max_weight: false,
        headers: HeaderMatching::None,
        mirror: false,
        ping_pong: false,
    };

    /// What two routers can do together.
    fn and(self, other: Self) -> Self {
        Self {
            max_weight: self.max_weight && other.max_weight,
            headers: self.headers.min(other.headers),
            mirror: self.mirror && other.mirror,
            ping_pong: self.ping_pong && other.ping_pong,
        }
    }
}

/// How a router can match a header.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
enum HeaderMatching {
    /// Not at all.
    #[default]
    None,
    /// By the whole value only.
    Exact,
    /// By the whole value, how it begins, or a regular expression.
    Any,
}

/// What the routes of a Rollout should say.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RouteGoal {
    /// Weight of the new version.
    pub weight: i32,
    /// Header and mirror routes, the one that is tried first in front.
    pub managed: Vec<ManagedRoute>,
    /// What subsets select, for routers that have them.
    pub hashes: RouteHashes,
}

/// Pod template hashes that the subsets of a router select.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RouteHashes {
    /// Of the new version.
    pub canary: Option<String>,
    /// Of the stable version.
    pub stable: Option<String>,
}

impl fmt::Display for RouteGoal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "route weight {} to the new version", self.weight)?;
        for route in &self.managed {
            write!(f, ", and {}", route.name())?;
        }
        Ok(())
    }
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
    /// Names that header and mirror routes may have, the one that is tried first in front.
    pub(crate) managed: &'a [String],
}

/// What the route objects of one router say.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RouteState {
    /// Weight of the new version; none when the objects differ or do not say.
    pub weight: Option<i32>,
    /// The highest weight that any of them gives to the new version.
    pub most: i32,
    /// What is written is in effect; none when nobody can tell.
    pub in_effect: Option<bool>,
    /// Names of the header and mirror routes that are there, in the order of `managedRoutes`. One that only some
    /// of the objects have has an empty name beside it, so that it is written again.
    pub managed: Vec<String>,
    /// What subsets select; none for routers without them.
    pub hashes: Option<RouteHashes>,
}

impl RouteState {
    /// Routes that give the new version `weight`, and have nothing beside.
    pub fn at(weight: i32) -> Self {
        Self {
            weight: Some(weight),
            most: weight,
            ..Self::default()
        }
    }

    /// Routes in memory, after `goal` was written.
    pub(super) fn write(&mut self, goal: &RouteGoal) {
        self.weight = Some(goal.weight);
        self.most = goal.weight;
        let names = goal.managed.iter().map(|route| route.name().to_owned());
        self.managed = names.collect();
        self.hashes = self.hashes.take().map(|_| goal.hashes.clone());
    }

    /// What several objects or routers say together.
    pub fn together(states: impl IntoIterator<Item = Self>) -> Self {
        let states = states.into_iter();
        states.reduce(Self::and).unwrap_or_default()
    }

    /// What two objects or routers say together.
    #[must_use]
    fn and(self, other: Self) -> Self {
        let both = (self.in_effect, other.in_effect);
        let managed = if self.managed == other.managed {
            self.managed
        } else {
            vec![String::new()]
        };
        let hashes = match (self.hashes, other.hashes) {
            (Some(one), Some(two)) if one != two => Some(RouteHashes::default()),
            (one, two) => one.or(two),
        };
        Self {
            managed,
            hashes,
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

    /// The canary and the stable version need Services; false when the router tells them apart by subsets.
    fn needs_services(&self) -> bool {
        true
    }

    /// Whether the configuration allows that both Services swap roles.
    fn check_ping_pong(&self) -> Result<(), FieldError> {
        Ok(())
    }

    /// Reads what the route objects say. An object that is missing is an error of the manifest.
    fn observe<'a>(
        &'a self,
        context: &'a RouteContext<'_>,
    ) -> BoxFuture<'a, Result<RouteState, RouterError>>;

    /// Writes what `goal` says; objects that say so already are left alone.
    fn apply<'a>(
        &'a self,
        context: &'a RouteContext<'_>,
        goal: &'a RouteGoal,
    ) -> BoxFuture<'a, Result<(), RouterError>>;

    /// Gives the objects back: all traffic to the stable version, and nothing of the Rollout left in them.
    fn clear<'a>(
        &'a self,
        context: &'a RouteContext<'_>,
    ) -> BoxFuture<'a, Result<(), RouterError>> {
        async move { self.apply(context, &RouteGoal::default()).await }.boxed()
    }
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
    /// Names that header and mirror routes may have, the one that is tried first in front.
    pub managed: Vec<String>,
    /// What all of the routers can do.
    can: Capabilities,
}

impl Routing {
    /// Whether every router can make `route`; the error says why not.
    pub(super) fn takes(&self, route: &ManagedRoute) -> Result<(), String> {
        match (route, self.can.headers) {
            (ManagedRoute::Mirror(_), _) if !self.can.mirror => {
                Err("Invalid value: the traffic router cannot mirror requests".to_owned())
            }
            (ManagedRoute::Header(_), HeaderMatching::None) => {
                Err("Invalid value: the traffic router cannot route by header".to_owned())
            }
            (ManagedRoute::Header(route), HeaderMatching::Exact)
                if route
                    .matches
                    .iter()
                    .any(|one| !matches!(one.value, StringMatch::Exact(_))) =>
            {
                Err(
                    "Invalid value: the traffic router matches headers by exact values only"
                        .to_owned(),
                )
            }
            _ => Ok(()),
        }
    }

    /// Whether both Services may swap roles; the error says why not.
    pub(super) fn check_ping_pong(&self, at: &str) -> Result<(), FieldError> {
        if !self.can.ping_pong {
            let message =
                "Invalid value: pingPong works with the routers alb, istio and Gateway API only";
            return Err(FieldError::new(at, message));
        }
        let mut routers = self.routers.iter();
        routers.try_for_each(|router| router.check_ping_pong())
    }

    /// The canary and the stable version need Services.
    pub(super) fn needs_services(&self) -> bool {
        self.routers.iter().any(|router| router.needs_services())
    }
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct TrafficRouting {
    plugins: Map<String, Value>,
    max_traffic_weight: Option<i32>,
    managed_routes: Option<Vec<ManagedName>>,
    #[serde(flatten)]
    others: Map<String, Value>,
}

#[derive(Deserialize)]
struct ManagedName {
    name: String,
}

/// Checks `trafficRouting`.
pub(super) fn check(value: &Value) -> Result<Routing, FieldError> {
    let spec: TrafficRouting = parse(AT, value)?;
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
    let mut can: Option<Capabilities> = None;
    for (plugin, name, config) in named {
        let path = if plugin {
            format!("{AT}.plugins[{name}]")
        } else {
            format!("{AT}.{name}")
        };
        let mut known = ROUTERS.iter();
        let Some(found) = known.find(|known| known.plugin == plugin && known.name == *name) else {
            return Err(FieldError::new(path, unknown_router(name)));
        };
        can = Some(can.map_or(found.can, |can| can.and(found.can)));
        routers.push((found.open)(&path, config)?);
    }
    let Some(can) = can else {
        return Err(FieldError::new(AT, "Required value: name a traffic router"));
    };
    let max_weight = spec.max_traffic_weight.unwrap_or(FULL_WEIGHT);
    if max_weight <= 0 || (max_weight != FULL_WEIGHT && !can.max_weight) {
        let message =
            format!("Invalid value: {max_weight}: only nginx takes another total than 100");
        return Err(FieldError::new(format!("{AT}.maxTrafficWeight"), message));
    }
    Ok(Routing {
        routers,
        max_weight,
        managed: spec
            .managed_routes
            .unwrap_or_default()
            .into_iter()
            .map(|route| route.name)
            .collect(),
        can,
    })
}

/// Reads a part of the configuration.
fn parse<'d, T: Deserialize<'d>>(at: &str, value: &'d Value) -> Result<T, FieldError> {
    T::deserialize(value).map_err(|error| FieldError::new(at, format!("Invalid value: {error}")))
}

/// Why there is no such router.
fn unknown_router(name: &str) -> String {
    let names: Vec<&str> = ROUTERS.iter().map(|known| known.name).collect();
    let names = names.join(", ");
    match name {
        "appMesh" => format!("AWS ended App Mesh, so it is not supported; use one of {names}"),
        _ => format!("no such router is built in, and plugins are not run; use one of {names}"),
    }
}

/// What all routers of a Rollout say together.
pub(super) async fn observe(
    routing: &Routing,
    context: &RouteContext<'_>,
) -> Result<RouteState, RouterError> {
    let mut states = Vec::new();
    for router in &routing.routers {
        states.push(router.observe(context).await?);
    }
    Ok(RouteState::together(states))
}
