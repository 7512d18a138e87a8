//! Istio: the weights in VirtualServices, and with a DestinationRule what its subsets select.

mod destination_rule;
mod virtual_service;

use std::sync::Arc;

use futures::{FutureExt, future::BoxFuture};
use kube::api::{ApiResource, DynamicObject};
use reconcile_core::{
    apply,
    object::{FieldError, ObjectKey},
};
use serde::Deserialize;
use serde_json::Value;

use self::virtual_service::RouteNames;
use super::{
    Capabilities, HeaderMatching, Registration, RouteContext, RouteGoal, RouteHashes, RouteState,
    Router, RouterError, split::not_found,
};
use crate::rollout::apply::{MANAGER, resource};

/// Istio.
pub(super) const REGISTRATION: Registration = Registration {
    name: "istio",
    plugin: false,
    can: Capabilities {
        max_weight: false,
        headers: HeaderMatching::Any,
        mirror: true,
        ping_pong: true,
    },
    open: |at, config| Ok(Arc::new(Istio::new(at, config)?)),
};

const GROUP: &str = "networking.istio.io";
const VERSION: &str = "v1alpha3";
const VIRTUAL_SERVICE: &str = "VirtualService";
const DESTINATION_RULE: &str = "DestinationRule";

/// The objects of one Rollout.
#[derive(Debug)]
struct Istio {
    at: String,
    services: Vec<RouteNames>,
    rule: Option<Subsets>,
}

/// The subsets of both versions.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Subsets {
    /// Name of the DestinationRule.
    name: String,
    /// Subset of the new version.
    canary_subset_name: String,
    /// Subset of the stable version.
    stable_subset_name: String,
    /// Other subsets whose destinations stay in the routes.
    #[serde(default)]
    additional_subset_names: Vec<String>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Config {
    virtual_service: Option<RouteNames>,
    virtual_services: Vec<RouteNames>,
    destination_rule: Option<Subsets>,
}

impl Istio {
    fn new(at: &str, config: &Value) -> Result<Self, FieldError> {
        let config = Config::deserialize(config)
            .map_err(|error| FieldError::new(at, format!("Invalid value: {error}")))?;
        let services = match (config.virtual_service, config.virtual_services) {
            (Some(one), several) if several.is_empty() => vec![one],
            (None, several) if !several.is_empty() => several,
            _ => {
                let message = "Invalid value: set either virtualService or virtualServices";
                return Err(FieldError::new(at, message));
            }
        };
        for service in &services {
            if service.name.is_empty() || service.name.contains('/') {
                let message = format!(
                    "Invalid value: \"{}\": name a VirtualService in the namespace of the Rollout",
                    service.name
                );
                return Err(FieldError::new(
                    format!("{at}.virtualService.name"),
                    message,
                ));
            }
        }
        if let Some(rule) = &config.destination_rule {
            let names = [
                &rule.name,
                &rule.canary_subset_name,
                &rule.stable_subset_name,
            ];
            if names.into_iter().any(String::is_empty)
                || rule.canary_subset_name == rule.stable_subset_name
            {
                let message = "Invalid value: name the rule and two different subsets";
                return Err(FieldError::new(format!("{at}.destinationRule"), message));
            }
        }
        Ok(Self {
            at: at.to_owned(),
            services,
            rule: config.destination_rule,
        })
    }

    async fn read(
        &self,
        context: &RouteContext<'_>,
        kind: &str,
        name: &str,
    ) -> Result<(ObjectKey, DynamicObject), RouterError> {
        let key = ObjectKey::new(&context.rollout.namespace, name);
        let found = apply::get(context.client, &resource_of(kind), &key).await?;
        let object = found.ok_or_else(|| not_found(&self.at, kind, name))?;
        Ok((key, object))
    }

    /// The subsets first: a weight must not lead to a subset that selects another version.
    async fn write(
        &self,
        context: &RouteContext<'_>,
        goal: &RouteGoal,
        hashes: Option<&RouteHashes>,
    ) -> Result<(), RouterError> {
        if let Some(rule) = &self.rule {
            let (key, object) = self.read(context, DESTINATION_RULE, &rule.name).await?;
            if let Some(body) = rule.patch(&self.at, &object, context, hashes)? {
                let resource = resource_of(DESTINATION_RULE);
                apply::merge_patch(context.client, &resource, &key, &body, MANAGER).await?;
            }
        }
        for service in &self.services {
            let (key, object) = self.read(context, VIRTUAL_SERVICE, &service.name).await?;
            let routes = service.find(&self.at, &object, context, self.rule.as_ref())?;
            if let Some(body) = routes.patch(goal) {
                let resource = resource_of(VIRTUAL_SERVICE);
                apply::merge_patch(context.client, &resource, &key, &body, MANAGER).await?;
            }
        }
        Ok(())
    }
}

impl Router for Istio {
    fn routes(&self) -> Vec<String> {
        let services = self.services.iter();
        let services = services.map(|service| format!("{VIRTUAL_SERVICE} {}", service.name));
        let rule = self.rule.iter();
        services
            .chain(rule.map(|rule| format!("{DESTINATION_RULE} {}", rule.name)))
            .collect()
    }

    fn needs_services(&self) -> bool {
        self.rule.is_none()
    }

    fn observe<'a>(
        &'a self,
        context: &'a RouteContext<'_>,
    ) -> BoxFuture<'a, Result<RouteState, RouterError>> {
        async move {
            let mut all: Option<RouteState> = None;
            for service in &self.services {
                let (_, object) = self.read(context, VIRTUAL_SERVICE, &service.name).await?;
                let routes = service.find(&self.at, &object, context, self.rule.as_ref())?;
                let state = routes.state();
                all = Some(match all {
                    Some(known) => known.and(state),
                    None => state,
                });
            }
            let mut state = all.unwrap_or_default();
            if let Some(rule) = &self.rule {
                let (_, object) = self.read(context, DESTINATION_RULE, &rule.name).await?;
                state.hashes = Some(rule.hashes(&self.at, &object)?);
            }
            Ok(state)
        }
        .boxed()
    }

    fn apply<'a>(
        &'a self,
        context: &'a RouteContext<'_>,
        goal: &'a RouteGoal,
    ) -> BoxFuture<'a, Result<(), RouterError>> {
        self.write(context, goal, Some(&goal.hashes)).boxed()
    }

    fn clear<'a>(
        &'a self,
        context: &'a RouteContext<'_>,
    ) -> BoxFuture<'a, Result<(), RouterError>> {
        async move { self.write(context, &RouteGoal::default(), None).await }.boxed()
    }
}

fn resource_of(kind: &str) -> ApiResource {
    let plural = format!("{}s", kind.to_lowercase());
    resource(GROUP, VERSION, kind, &plural)
}
