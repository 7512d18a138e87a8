//! Istio: the weights in VirtualServices, and with a DestinationRule what its subsets select.

mod destination_rule;
mod virtual_service;

use std::sync::Arc;

use futures::{FutureExt, future::BoxFuture};
use reconcile_core::object::FieldError;
use serde::Deserialize;
use serde_json::Value;

use self::virtual_service::RouteNames;
use super::{
    objects::RouteObjects,
    parse::parse,
    router::{
        Capabilities, ExtraWeights, HeaderMatching, Registration, RouteContext, Router, RouterError,
    },
    state::{RouteGoal, RouteHashes, RouteState},
};
use crate::rollout::resources::resource;

/// Istio.
pub(super) const REGISTRATION: Registration = Registration {
    name: "istio",
    plugin: false,
    can: Capabilities {
        max_weight: false,
        headers: HeaderMatching::Any,
        mirror: true,
        ping_pong: true,
        extra: ExtraWeights::Any,
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
        let config: Config = parse(at, config)?;
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

    fn objects<'a>(&'a self, context: &'a RouteContext<'_>, kind: &str) -> RouteObjects<'a> {
        let plural = format!("{}s", kind.to_lowercase());
        RouteObjects {
            at: &self.at,
            resource: resource(GROUP, VERSION, kind, &plural),
            context,
        }
    }

    /// The subsets first: a weight must not lead to a subset that selects another version.
    async fn write(
        &self,
        context: &RouteContext<'_>,
        goal: &RouteGoal,
        hashes: Option<&RouteHashes>,
    ) -> Result<(), RouterError> {
        if let Some(rule) = &self.rule {
            let rules = self.objects(context, DESTINATION_RULE);
            let (key, object) = rules.named(&rule.name).await?;
            if let Some(body) = rule.patch(&self.at, &object, context, hashes)? {
                rules.patch(&key, &body).await?;
            }
        }
        let services = self.objects(context, VIRTUAL_SERVICE);
        for service in &self.services {
            let (key, object) = services.named(&service.name).await?;
            let routes = service.find(&self.at, &object, context, self.rule.as_ref())?;
            if let Some(body) = routes.patch(goal) {
                services.patch(&key, &body).await?;
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
            let services = self.objects(context, VIRTUAL_SERVICE);
            let mut states = Vec::new();
            for service in &self.services {
                let (_, object) = services.named(&service.name).await?;
                let routes = service.find(&self.at, &object, context, self.rule.as_ref())?;
                states.push(routes.state());
            }
            let mut state = RouteState::together(states);
            if let Some(rule) = &self.rule {
                let rules = self.objects(context, DESTINATION_RULE);
                let (_, object) = rules.named(&rule.name).await?;
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
