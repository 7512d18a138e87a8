//! Gateway API routes, under the key of the plugin that users already have in their manifests.

use std::sync::Arc;

use futures::{FutureExt, future::BoxFuture};
use kube::api::{ApiResource, DynamicObject};
use reconcile_core::{
    apply,
    object::{FieldError, ObjectKey},
};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Capabilities, Registration, RouteContext, RouteState, Router, RouterError};
use crate::rollout::apply::{MANAGER, resource};

/// Gateway API.
pub(super) const REGISTRATION: Registration = Registration {
    name: "argoproj-labs/gatewayAPI",
    plugin: true,
    can: Capabilities { max_weight: false },
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
}

#[derive(Deserialize)]
struct Named {
    name: String,
}

impl GatewayApi {
    fn new(at: &str, config: &Value) -> Result<Self, FieldError> {
        let wrong = |error: String| FieldError::new(at, error);
        if let Some(selector) = config
            .as_object()
            .and_then(|config| config.keys().find(|key| key.ends_with("RouteSelector")))
        {
            return Err(FieldError::new(
                format!("{at}.{selector}"),
                "not supported yet; name the routes",
            ));
        }
        let config: Config = serde_json::from_value(config.clone())
            .map_err(|error| wrong(format!("Invalid value: {error}")))?;
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
        if routes.is_empty() {
            return Err(wrong(
                "Required value: name a route, for example httpRoute".to_owned(),
            ));
        }
        Ok(Self {
            at: at.to_owned(),
            namespace: config.namespace.filter(|namespace| !namespace.is_empty()),
            routes,
        })
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
    ) -> Result<(ObjectKey, DynamicObject), RouterError> {
        let key = self.key(context, name)?;
        let found = apply::get(context.client, &kind.resource(), &key).await?;
        let route = found.ok_or_else(|| {
            let message = format!(
                "Invalid value: \"{name}\": {} \"{name}\" not found",
                kind.kind()
            );
            FieldError::new(&self.at, message)
        })?;
        if rules_of(&route, context).next().is_none() {
            let message = format!(
                "Invalid value: \"{name}\": {} \"{name}\" has no rule with backendRefs to both {} and {}",
                kind.kind(),
                context.stable,
                context.canary
            );
            return Err(FieldError::new(&self.at, message).into());
        }
        Ok((key, route))
    }

    async fn write(&self, context: &RouteContext<'_>, weight: i32) -> Result<(), RouterError> {
        for (kind, name) in &self.routes {
            let (key, route) = self.read(context, *kind, name).await?;
            let Some(body) = patch(&route, context, i64::from(weight)) else {
                continue;
            };
            apply::merge_patch(context.client, &kind.resource(), &key, &body, MANAGER).await?;
        }
        Ok(())
    }
}

impl Router for GatewayApi {
    fn routes(&self) -> Vec<String> {
        let names = self.routes.iter();
        names
            .map(|(kind, name)| format!("{} {name}", kind.kind()))
            .collect()
    }

    fn observe<'a>(
        &'a self,
        context: &'a RouteContext<'_>,
    ) -> BoxFuture<'a, Result<RouteState, RouterError>> {
        async move {
            let mut all: Option<RouteState> = None;
            for (kind, name) in &self.routes {
                let (_, route) = self.read(context, *kind, name).await?;
                let state = state(&route, context);
                all = Some(all.map_or(state, |known| known.and(state)));
            }
            Ok(all.unwrap_or_default())
        }
        .boxed()
    }

    fn apply<'a>(
        &'a self,
        context: &'a RouteContext<'_>,
        weight: i32,
    ) -> BoxFuture<'a, Result<(), RouterError>> {
        self.write(context, weight).boxed()
    }

    fn clear<'a>(
        &'a self,
        context: &'a RouteContext<'_>,
    ) -> BoxFuture<'a, Result<(), RouterError>> {
        self.write(context, 0).boxed()
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

fn state(route: &DynamicObject, context: &RouteContext<'_>) -> RouteState {
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

/// The patch that gives the new version `weight`; none when the route says so already. Lists are replaced
/// as a whole, so the patch is guarded by the version that was read.
fn patch(route: &DynamicObject, context: &RouteContext<'_>, weight: i64) -> Option<Value> {
    let mut rules = route.data.pointer("/spec/rules")?.clone();
    for (rule, canary, stable) in rules_of(route, context) {
        rules[rule]["backendRefs"][canary]["weight"] = weight.into();
        rules[rule]["backendRefs"][stable]["weight"] = (FULL_WEIGHT - weight).into();
    }
    let label = (weight > 0).then_some("in-progress");
    let labels = route.metadata.labels.as_ref();
    let known = labels.and_then(|labels| labels.get(IN_PROGRESS));
    let same_label = known.map(String::as_str) == label;
    let same_rules = route.data.pointer("/spec/rules") == Some(&rules);
    if same_label && same_rules {
        return None;
    }
    let mut body = json!({ "metadata": { "resourceVersion": route.metadata.resource_version } });
    if !same_label {
        body["metadata"]["labels"] = json!({ IN_PROGRESS: label });
    }
    if !same_rules {
        body["spec"] = json!({ "rules": rules });
    }
    Some(body)
}
