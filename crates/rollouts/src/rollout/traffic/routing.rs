//! `trafficRouting` of a Rollout: which routers it has, and what they can do together.

use std::sync::Arc;

use reconcile_core::object::FieldError;
use serde::Deserialize;
use serde_json::{Map, Value};

use super::{
    alb,
    managed::{ManagedRoute, StringMatch},
    parse::parse,
    registry::ROUTERS,
    router::{
        Capabilities, ExtraWeights, FULL_WEIGHT, HeaderMatching, RouteContext, Router, RouterError,
    },
    state::RouteState,
};

/// Path of the field.
const AT: &str = "spec.strategy.canary.trafficRouting";

/// `trafficRouting` with everything checked.
#[derive(Clone, Debug)]
pub struct Routing {
    /// The routers; all of them get the same weight.
    pub(crate) routers: Vec<Arc<dyn Router>>,
    /// The total of all weights.
    pub max_weight: i32,
    /// Names that header and mirror routes may have, the one that is tried first in front.
    pub managed: Vec<String>,
    /// One of them is the load balancer of AWS.
    pub(in crate::rollout) on_aws: bool,
    /// What all of the routers can do.
    can: Capabilities,
}

impl Routing {
    /// Whether every router can make `route`, which `at` names; the error says why not.
    pub(in crate::rollout) fn takes(
        &self,
        at: &str,
        route: &ManagedRoute,
    ) -> Result<(), FieldError> {
        let problem = match (route, self.can.headers) {
            (ManagedRoute::Mirror(_), _) if !self.can.mirror => {
                "Invalid value: the traffic router cannot mirror requests"
            }
            (ManagedRoute::Header(_), HeaderMatching::None) => {
                "Invalid value: the traffic router cannot route by header"
            }
            (ManagedRoute::Header(route), HeaderMatching::Exact)
                if route
                    .matches
                    .iter()
                    .any(|one| !matches!(one.value, StringMatch::Exact(_))) =>
            {
                "Invalid value: the traffic router matches headers by exact values only"
            }
            _ => return Ok(()),
        };
        Err(FieldError::new(at, problem))
    }

    /// Whether Experiments may have a share of the traffic; the error says why not.
    pub(in crate::rollout) fn takes_extra(&self, at: &str) -> Result<(), FieldError> {
        if self.can.extra == ExtraWeights::Any {
            return Ok(());
        }
        let message = "Invalid value: Experiment template weight works with the routers alb, smi, istio and Gateway API only";
        Err(FieldError::new(at, message))
    }

    /// Whether both Services may swap roles; the error says why not.
    pub(in crate::rollout) fn check_ping_pong(&self, at: &str) -> Result<(), FieldError> {
        if !self.can.ping_pong {
            let message =
                "Invalid value: pingPong works with the routers alb, istio and Gateway API only";
            return Err(FieldError::new(at, message));
        }
        let mut routers = self.routers.iter();
        routers.try_for_each(|router| router.check_ping_pong())
    }

    /// The canary and the stable version need Services.
    pub(in crate::rollout) fn needs_services(&self) -> bool {
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
pub(in crate::rollout) fn check(value: &Value) -> Result<Routing, FieldError> {
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
    let mut on_aws = false;
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
        on_aws |= found.name == alb::REGISTRATION.name;
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
        on_aws,
        can,
    })
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
pub(in crate::rollout) async fn observe(
    routing: &Routing,
    context: &RouteContext<'_>,
) -> Result<RouteState, RouterError> {
    let mut states = Vec::new();
    for router in &routing.routers {
        states.push(router.observe(context).await?);
    }
    Ok(RouteState::together(states))
}
