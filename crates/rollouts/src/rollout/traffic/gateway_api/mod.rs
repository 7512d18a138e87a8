//! Gateway API routes, under the key of the plugin that users already have in their manifests.

mod config;
mod experiments;
mod managed;
mod rules;

use std::sync::Arc;

use futures::{FutureExt, future::BoxFuture};
use kube::api::{ApiResource, DynamicObject};
use reconcile_core::{
    apply,
    object::{FieldError, ObjectKey},
};
use serde_json::{Value, json};

use self::{
    config::{Config, selectors},
    rules::{backend, patch, rules_of, state},
};
use super::{
    objects::{not_found, unfit},
    parse::parse,
    router::{
        Capabilities, ExtraWeights, HeaderMatching, Registration, RouteContext, Router, RouterError,
    },
    state::{RouteGoal, RouteState},
};
use crate::rollout::resources::{MANAGER, resource};

/// Gateway API.
pub(super) const REGISTRATION: Registration = Registration {
    name: "argoproj-labs/gatewayAPI",
    plugin: true,
    can: Capabilities {
        max_weight: false,
        headers: HeaderMatching::Any,
        mirror: true,
        ping_pong: true,
        extra: ExtraWeights::Any,
    },
    open: |at, config| Ok(Arc::new(GatewayApi::new(at, config)?)),
};

const GROUP: &str = "gateway.networking.k8s.io";
/// Label of a route while part of its traffic goes to the new version.
const IN_PROGRESS: &str = "rollouts.argoproj.io/gatewayapi-canary";

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
