//! Gateway API routes, under the key of the plugin that users already have in their manifests.

mod managed;

use std::sync::Arc;

use futures::{FutureExt, future::BoxFuture};
use kube::api::{ApiResource, DynamicObject};
use reconcile_core::{
    apply,
    kube_types::{LabelSelector, Selector},
    object::{FieldError, ObjectKey},
};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    Capabilities, HeaderMatching, ManagedRoute, Registration, RouteContext, RouteGoal, RouteState,
    Router, RouterError,
    objects::{not_found, unfit},
    parse,
};
use crate::rollout::apply::{MANAGER, resource};

/// Gateway API.
pub(super) const REGISTRATION: Registration = Registration {
    name: "argoproj-labs/gatewayAPI",
    plugin: true,
    can: Capabilities {
        max_weight: false,
        headers: HeaderMatching::Any,
        mirror: true,
        ping_pong: true,
    },
    open: |at, config| Ok(Arc::new(GatewayApi::new(at, config)?)),
};

const GROUP: &str = "gateway.networking.k8s.io";
/// Label of a route while part of its traffic goes to the new version.
const IN_PROGRESS: &str = "rollouts.argoproj.io/gatewayapi-canary";
const FULL_WEIGHT: i64 = 100;

/// The routes of one Rollout.
#[derive(Debug)]
struct GatewayApi {
    at: String,
    namespace: Option<String>,
    routes: Vec<(RouteKind, String)>,
    selectors: Vec<(RouteKind, String)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum RouteKind {
    Http,
    Grpc,
    Tcp,
    Tls,
}

impl RouteKind {
    fn kind(self) -> &'static str {
        match self {
            Self::Http => "HTTPRoute",
            Self::Grpc => "GRPCRoute",
            Self::Tcp => "TCPRoute",
            Self::Tls => "TLSRoute",
        }
    }

    /// Header and mirror routes can be made of its rules.
    fn takes_managed(self) -> bool {
        matches!(self, Self::Http | Self::Grpc)
    }

    fn resource(self) -> ApiResource {
        match self {
            Self::Http => resource(GROUP, "v1", self.kind(), "httproutes"),
            Self::Grpc => resource(GROUP, "v1", self.kind(), "grpcroutes"),
            Self::Tcp => resource(GROUP, "v1alpha2", self.kind(), "tcproutes"),
            Self::Tls => resource(GROUP, "v1alpha2", self.kind(), "tlsroutes"),
        }
    }
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Config {
    namespace: Option<String>,
    #[serde(rename = "httpRoute")]
    http: Option<String>,
    #[serde(rename = "grpcRoute")]
    grpc: Option<String>,
    #[serde(rename = "tcpRoute")]
    tcp: Option<String>,
    #[serde(rename = "tlsRoute")]
    tls: Option<String>,
    http_routes: Vec<Named>,
    grpc_routes: Vec<Named>,
    tcp_routes: Vec<Named>,
    tls_routes: Vec<Named>,
    http_route_selector: Option<LabelSelector>,
    grpc_route_selector: Option<LabelSelector>,
    tcp_route_selector: Option<LabelSelector>,
    tls_route_selector: Option<LabelSelector>,
}

#[derive(Deserialize)]
struct Named {
    name: String,
}

impl GatewayApi {
    fn new(at: &str, config: &Value) -> Result<Self, FieldError> {
        let config: Config = parse(at, config)?;
        let selectors = selectors(at, &config)?;
        let groups = [
            (RouteKind::Http, config.http, config.http_routes),
            (RouteKind::Grpc, config.grpc, config.grpc_routes),
            (RouteKind::Tcp, config.tcp, config.tcp_routes),
            (RouteKind::Tls, config.tls, config.tls_routes),
        ];
        let mut routes = Vec::new();
        for (kind, one, several) in groups {
            let names = one
                .into_iter()
                .chain(several.into_iter().map(|route| route.name));
            for name in names.filter(|name| !name.is_empty()) {
                if !routes.contains(&(kind, name.clone())) {
                    routes.push((kind, name));
                }
            }
        }
        if routes.is_empty() && selectors.is_empty() {
            let message = "Required value: name a route, for example httpRoute";
            return Err(FieldError::new(at, message));
        }
        Ok(Self {
            at: at.to_owned(),
            namespace: config.namespace.filter(|namespace| !namespace.is_empty()),
            routes,
            selectors,
        })
    }

    /// All routes, named and selected.
    async fn all(&self, context: &RouteContext<'_>) -> Result<Vec<FoundRoute>, RouterError> {
        let mut all = Vec::new();
        for (kind, name) in &self.routes {
            all.push(self.read(context, *kind, name).await?);
        }
        for (kind, selector) in &self.selectors {
            for found in self.select(context, *kind, selector).await? {
                let known = |route: &FoundRoute| route.kind == *kind && route.key == found.key;
                if !all.iter().any(known) {
                    all.push(found);
                }
            }
        }
        Ok(all)
    }

    async fn select(
        &self,
        context: &RouteContext<'_>,
        kind: RouteKind,
        selector: &str,
    ) -> Result<Vec<FoundRoute>, RouterError> {
        let key = self.key(context, "")?;
        let resource = kind.resource();
        let found = apply::list(context.client, &resource, &key.namespace, selector).await?;
        let routes = found
            .into_iter()
            .filter(|route| rules_of(route, context).next().is_some());
        let routes: Vec<FoundRoute> = routes
            .map(|route| FoundRoute {
                kind,
                key: ObjectKey::new(
                    &key.namespace,
                    route.metadata.name.clone().unwrap_or_default(),
                ),
                route,
            })
            .collect();
        if routes.is_empty() {
            let message = format!(
                "Invalid value: \"{selector}\": no {} with these labels has a rule with backendRefs to both {} and {}",
                kind.kind(),
                context.stable,
                context.canary
            );
            return Err(FieldError::new(&self.at, message).into());
        }
        Ok(routes)
    }

    fn key(&self, context: &RouteContext<'_>, name: &str) -> Result<ObjectKey, FieldError> {
        // A Rollout must not change traffic of another tenant.
        let own = &context.rollout.namespace;
        match &self.namespace {
            Some(other) if other != own => Err(FieldError::new(
                format!("{}.namespace", self.at),
                format!(
                    "Invalid value: \"{other}\": routes must be in the namespace of the Rollout"
                ),
            )),
            _ => Ok(ObjectKey::new(own, name)),
        }
    }

    async fn read(
        &self,
        context: &RouteContext<'_>,
        kind: RouteKind,
        name: &str,
    ) -> Result<FoundRoute, RouterError> {
        let key = self.key(context, name)?;
        let found = apply::get(context.client, &kind.resource(), &key).await?;
        let route = found.ok_or_else(|| not_found(&self.at, kind.kind(), name))?;
        if rules_of(&route, context).next().is_none() {
            let what = format!(
                "has no rule with backendRefs to both {} and {}",
                context.stable, context.canary
            );
            return Err(unfit(&self.at, kind.kind(), name, &what).into());
        }
        Ok(FoundRoute { kind, key, route })
    }

    async fn write(&self, context: &RouteContext<'_>, goal: &RouteGoal) -> Result<(), RouterError> {
        let routes = self.all(context).await?;
        let takes_managed = routes.iter().any(|found| found.kind.takes_managed());
        if !goal.managed.is_empty() && !takes_managed {
            let message =
                "Invalid value: header and mirror routes need an HTTPRoute or a GRPCRoute";
            return Err(FieldError::new(&self.at, message).into());
        }
        for found in routes {
            self.write_route(context, &found, goal).await?;
        }
        Ok(())
    }

    async fn write_route(
        &self,
        context: &RouteContext<'_>,
        found: &FoundRoute,
        goal: &RouteGoal,
    ) -> Result<(), RouterError> {
        let Some(body) = patch(found, context, goal)? else {
            return Ok(());
        };
        let resource = found.kind.resource();
        let written =
            apply::merge_patch(context.client, &resource, &found.key, &body, MANAGER).await?;
        let expected = goal.managed.len();
        if !found.kind.takes_managed() || managed::present(&written, context).len() == expected {
            return Ok(());
        }
        // Without its name a rule would not be found again, and never be removed.
        let before = json!({
            "metadata": { "resourceVersion": written.metadata.resource_version },
            "spec": { "rules": found.route.data.pointer("/spec/rules") },
        });
        apply::merge_patch(context.client, &resource, &found.key, &before, MANAGER).await?;
        let message = format!(
            "the {} of this cluster has no names of rules; header and mirror routes need Gateway API 1.4, or the experimental channel of 1.2",
            found.kind.kind()
        );
        Err(FieldError::new(&self.at, message).into())
    }
}

/// A route as it was read.
struct FoundRoute {
    kind: RouteKind,
    key: ObjectKey,
    route: DynamicObject,
}

/// The selectors of a configuration, as the API server takes them.
fn selectors(at: &str, config: &Config) -> Result<Vec<(RouteKind, String)>, FieldError> {
    let given = [
        (
            RouteKind::Http,
            "httpRouteSelector",
            &config.http_route_selector,
        ),
        (
            RouteKind::Grpc,
            "grpcRouteSelector",
            &config.grpc_route_selector,
        ),
        (
            RouteKind::Tcp,
            "tcpRouteSelector",
            &config.tcp_route_selector,
        ),
        (
            RouteKind::Tls,
            "tlsRouteSelector",
            &config.tls_route_selector,
        ),
    ];
    let mut selectors = Vec::new();
    for (kind, name, selector) in given {
        let Some(selector) = selector else {
            continue;
        };
        let at = format!("{at}.{name}");
        let selector = Selector::try_from(selector)
            .map_err(|error| FieldError::new(&at, format!("Invalid value: {error}")))?;
        if selector.is_everything() {
            let message = "Invalid value: an empty selector would take every route";
            return Err(FieldError::new(at, message));
        }
        selectors.push((kind, selector.to_string()));
    }
    Ok(selectors)
}

impl Router for GatewayApi {
    fn routes(&self) -> Vec<String> {
        let names = self.routes.iter().chain(&self.selectors);
        names
            .map(|(kind, name)| format!("{} {name}", kind.kind()))
            .collect()
    }

    fn observe<'a>(
        &'a self,
        context: &'a RouteContext<'_>,
    ) -> BoxFuture<'a, Result<RouteState, RouterError>> {
        async move {
            let all = self.all(context).await?;
            let states = all.iter().map(|found| state(found, context));
            Ok(RouteState::together(states))
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
}

/// The index of a backend with this name.
fn backend(rule: &Value, service: &str) -> Option<usize> {
    let backends = rule.get("backendRefs")?.as_array()?;
    backends.iter().position(|backend| {
        let kind = backend.get("kind").and_then(Value::as_str);
        backend["name"] == service && kind.is_none_or(|kind| kind == "Service")
    })
}

/// The rules that split traffic between both versions, as indexes of the rule and its two backends.
fn rules_of<'r>(
    route: &'r DynamicObject,
    context: &'r RouteContext<'_>,
) -> impl Iterator<Item = (usize, usize, usize)> + 'r {
    let rules = route.data.pointer("/spec/rules").and_then(Value::as_array);
    rules
        .into_iter()
        .flatten()
        .enumerate()
        .filter_map(|(index, rule)| {
            let canary = backend(rule, context.canary)?;
            Some((index, canary, backend(rule, context.stable)?))
        })
}

/// The weight of a backend; the API's default is 1.
fn weight_of(route: &DynamicObject, rule: usize, backend: usize) -> i64 {
    let path = format!("/spec/rules/{rule}/backendRefs/{backend}/weight");
    let weight = route.data.pointer(&path).and_then(Value::as_i64);
    weight.unwrap_or(1)
}

fn state(found: &FoundRoute, context: &RouteContext<'_>) -> RouteState {
    let route = &found.route;
    let mut weights = rules_of(route, context).map(|(rule, canary, stable)| {
        let weights = (
            weight_of(route, rule, canary),
            weight_of(route, rule, stable),
        );
        match weights {
            (canary, stable) if canary + stable == FULL_WEIGHT => (Some(canary), canary),
            // Other totals were not written here; a version without weight gets nothing in any of them.
            (0, _) => (None, 0),
            _ => (None, FULL_WEIGHT),
        }
    });
    let Some(first) = weights.next() else {
        return RouteState::default();
    };
    let (weight, most) = weights.fold(first, |(weight, most), (other, highest)| {
        (weight.filter(|_| weight == other), most.max(highest))
    });
    let number = |weight: i64| i32::try_from(weight).unwrap_or(i32::MAX);
    RouteState {
        weight: weight.map(number),
        most: number(most),
        in_effect: in_effect(route),
        managed: managed::present(route, context),
        hashes: None,
    }
}

/// Whether every Gateway that takes the route has accepted this generation of it.
fn in_effect(route: &DynamicObject) -> Option<bool> {
    let parents = route.data.pointer("/status/parents")?.as_array()?;
    if parents.is_empty() {
        return None;
    }
    let generation = route.metadata.generation.unwrap_or_default();
    Some(parents.iter().all(|parent| {
        let mut conditions = parent["conditions"].as_array().into_iter().flatten();
        let accepted = conditions.find(|condition| condition["type"] == "Accepted");
        accepted.is_some_and(|condition| {
            let seen = condition["observedGeneration"].as_i64();
            condition["status"] == "True" && seen.is_none_or(|seen| seen >= generation)
        })
    }))
}

/// The patch that makes a route say what `goal` says; none when it does already. Lists are replaced as a
/// whole, so the patch is guarded by the version that was read.
fn patch(
    found: &FoundRoute,
    context: &RouteContext<'_>,
    goal: &RouteGoal,
) -> Result<Option<Value>, FieldError> {
    let route = &found.route;
    let old = route.data.pointer("/spec/rules").and_then(Value::as_array);
    let old = old.map(Vec::as_slice).unwrap_or_default();
    let weight = i64::from(goal.weight);
    let mut own: Vec<Value> = old
        .iter()
        .filter(|rule| managed::name_of(rule, context.managed).is_none())
        .cloned()
        .collect();
    for rule in &mut own {
        let canary = backend(rule, context.canary);
        if let (Some(canary), Some(stable)) = (canary, backend(rule, context.stable)) {
            rule["backendRefs"][canary]["weight"] = weight.into();
            rule["backendRefs"][stable]["weight"] = (FULL_WEIGHT - weight).into();
        }
    }
    let routes: &[ManagedRoute] = if found.kind.takes_managed() {
        &goal.managed
    } else {
        &[]
    };
    let rules = managed::with_managed(found.kind, own, routes, context)?;
    let label = (weight > 0).then_some("in-progress");
    let labels = route.metadata.labels.as_ref();
    let known = labels.and_then(|labels| labels.get(IN_PROGRESS));
    let same_label = known.map(String::as_str) == label;
    let same_rules = old == rules;
    if same_label && same_rules {
        return Ok(None);
    }
    let mut body = json!({ "metadata": { "resourceVersion": route.metadata.resource_version } });
    if !same_label {
        body["metadata"]["labels"] = json!({ IN_PROGRESS: label });
    }
    if !same_rules {
        body["spec"] = json!({ "rules": rules });
    }
    Ok(Some(body))
}
