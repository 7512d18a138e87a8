//! AWS Load Balancer Controller: the weights in an action annotation of each Ingress. Whether the load balancer
//! has taken them over is asked of AWS where the controller may ([`super::aws`]). The action stays when the Ingress
//! is restored, with all traffic to the stable version, because the Ingress leads to it.

mod config;
mod verification;

use std::{collections::BTreeMap, sync::Arc};

use futures::{FutureExt, future::BoxFuture};
use kube::api::DynamicObject;
use reconcile_core::object::{FieldError, ObjectKey};
use serde_json::{Map, Value, json};

use super::{
    extra::of_all_weights,
    managed::{HeaderRoute, ManagedRoute, StringMatch},
    objects::{RouteObjects, unfit},
    parse::parse,
    router::{
        Capabilities, ExtraWeights, FULL_WEIGHT, HeaderMatching, Registration, RouteContext,
        Router, RouterError,
    },
    state::{RouteGoal, RouteState},
};
use crate::rollout::resources::resource;
use config::Config;

/// ALB.
pub(super) const REGISTRATION: Registration = Registration {
    name: "alb",
    plugin: false,
    can: Capabilities {
        headers: HeaderMatching::Exact,
        ping_pong: true,
        extra: ExtraWeights::Any,
        ..Capabilities::WEIGHTS
    },
    open: |at, config| Ok(Arc::new(Alb::new(at, config)?)),
};

const KIND: &str = "Ingress";
const DEFAULT_PREFIX: &str = "alb.ingress.kubernetes.io";
/// Annotation that says which annotations each Rollout has written.
const MANAGED: &str = "rollouts.argoproj.io/managed-alb-annotations";
/// Port of a Service in an Ingress that stands for an annotation.
const BY_ANNOTATION: &str = "use-annotation";
/// Longest time that AWS keeps a client with a target group, in seconds.
const LONGEST_STICKINESS: i64 = 604_800;

/// The Ingresses of one Rollout.
#[derive(Debug)]
struct Alb {
    at: String,
    /// Ingresses, and the ports of the Services in each.
    ingresses: Vec<(String, Vec<i64>)>,
    /// Service that the Ingress names; the stable one when absent.
    root: Option<String>,
    prefix: String,
    /// Seconds that a client stays with its version.
    sticky: Option<i64>,
}

impl Alb {
    fn new(at: &str, config: &Value) -> Result<Self, FieldError> {
        let config: Config = parse(at, config)?;
        let sticky = config.stickiness;
        if sticky.enabled && !(1..=LONGEST_STICKINESS).contains(&sticky.duration_seconds) {
            return Err(FieldError::new(
                format!("{at}.stickinessConfig.durationSeconds"),
                format!(
                    "Invalid value: {}: must be between 1 and {LONGEST_STICKINESS}",
                    sticky.duration_seconds
                ),
            ));
        }
        let names = match (config.ingress.is_empty(), config.ingresses.is_empty()) {
            (false, true) => vec![config.ingress],
            (true, false) => config.ingresses,
            _ => {
                let message = "Invalid value: set either ingress or ingresses";
                return Err(FieldError::new(at, message));
            }
        };
        let ports_of = |name: &str| {
            let own = config
                .service_ports
                .iter()
                .find(|ports| ports.ingress == name);
            match own {
                Some(own) if !own.service_ports.is_empty() => own.service_ports.clone(),
                _ => vec![config.service_port],
            }
        };
        let ingresses: Vec<_> = names
            .into_iter()
            .map(|name| (name.clone(), ports_of(&name)))
            .collect();
        if ingresses
            .iter()
            .any(|(_, ports)| ports.iter().any(|port| *port <= 0))
        {
            return Err(FieldError::new(
                format!("{at}.servicePort"),
                "Required value",
            ));
        }
        let prefix = config.annotation_prefix.filter(|prefix| !prefix.is_empty());
        Ok(Self {
            at: at.to_owned(),
            ingresses,
            root: config.root_service.filter(|name| !name.is_empty()),
            prefix: prefix.unwrap_or_else(|| DEFAULT_PREFIX.to_owned()),
            sticky: sticky.enabled.then_some(sticky.duration_seconds),
        })
    }

    fn action(&self, name: &str) -> String {
        format!("{}/actions.{name}", self.prefix)
    }

    fn conditions(&self, name: &str) -> String {
        format!("{}/conditions.{name}", self.prefix)
    }

    fn root<'a>(&'a self, context: &'a RouteContext<'_>) -> &'a str {
        self.root.as_deref().unwrap_or(context.stable)
    }

    fn objects<'a>(&'a self, context: &'a RouteContext<'_>) -> RouteObjects<'a> {
        RouteObjects {
            at: &self.at,
            resource: resource("networking.k8s.io", "v1", KIND, "ingresses"),
            context,
        }
    }

    async fn read(
        &self,
        context: &RouteContext<'_>,
        name: &str,
    ) -> Result<(ObjectKey, DynamicObject), RouterError> {
        let (key, ingress) = self.objects(context).named(name).await?;
        let root = self.root(context);
        if !paths(&ingress).any(|path| service_of(path) == Some(root)) {
            let what = format!("has no rule with a backend to the Service {root}");
            return Err(unfit(&self.at, KIND, name, &what).into());
        }
        Ok((key, ingress))
    }

    /// A forward action, in the form and order that the original writes.
    fn forward(&self, groups: &[(&str, i32)], ports: &[i64]) -> String {
        let groups = groups.iter().flat_map(|(service, weight)| {
            ports.iter().map(move |port| {
                format!(
                    "{{\"ServiceName\":{},\"ServicePort\":\"{port}\",\"Weight\":{weight}}}",
                    json!(service)
                )
            })
        });
        let groups = groups.collect::<Vec<_>>().join(",");
        let sticky = self.sticky.map_or_else(String::new, |seconds| {
            format!(
                ",\"TargetGroupStickinessConfig\":{{\"Enabled\":true,\"DurationSeconds\":{seconds}}}"
            )
        });
        format!(
            "{{\"Type\":\"forward\",\"ForwardConfig\":{{\"TargetGroups\":[{groups}]{sticky}}}}}"
        )
    }

    /// The annotations that `goal` needs, by name.
    fn wanted(
        &self,
        context: &RouteContext<'_>,
        ports: &[i64],
        goal: &RouteGoal,
    ) -> BTreeMap<String, String> {
        let mut split = vec![(context.canary, goal.weight)];
        let extra = goal.extra.iter();
        split.extend(extra.map(|extra| (extra.service.as_str(), extra.weight)));
        split.push((context.stable, goal.stable_weight()));
        let mut wanted = BTreeMap::new();
        wanted.insert(self.action(self.root(context)), self.forward(&split, ports));
        for route in &goal.managed {
            let ManagedRoute::Header(route) = route else {
                continue;
            };
            let all = self.forward(&[(context.canary, FULL_WEIGHT)], ports);
            wanted.insert(self.action(&route.name), all);
            wanted.insert(self.conditions(&route.name), conditions_of(route));
        }
        wanted
    }

    async fn write(&self, context: &RouteContext<'_>, goal: &RouteGoal) -> Result<(), RouterError> {
        for (name, ports) in &self.ingresses {
            let (key, ingress) = self.read(context, name).await?;
            if let Some(body) = self.patch(context, &ingress, ports, goal)? {
                self.objects(context).patch(&key, &body).await?;
            }
        }
        Ok(())
    }

    fn patch(
        &self,
        context: &RouteContext<'_>,
        ingress: &DynamicObject,
        ports: &[i64],
        goal: &RouteGoal,
    ) -> Result<Option<Value>, FieldError> {
        let old = ingress.metadata.annotations.clone().unwrap_or_default();
        let mut wanted = self.wanted(context, ports, goal);
        let managed = managed_annotation(&self.at, &old, context, wanted.keys())?;
        wanted.insert(MANAGED.to_owned(), managed);
        let mut changes: Map<String, Value> = wanted
            .iter()
            .filter(|(key, value)| old.get(*key) != Some(*value))
            .map(|(key, value)| (key.clone(), value.clone().into()))
            .collect();
        for name in context.managed {
            for key in [self.action(name), self.conditions(name)] {
                if old.contains_key(&key) && !wanted.contains_key(&key) {
                    changes.insert(key, Value::Null);
                }
            }
        }
        let rules = with_managed(ingress, context, goal);
        let same_rules = ingress.data["spec"]["rules"] == rules;
        if changes.is_empty() && same_rules {
            return Ok(None);
        }
        let mut body =
            json!({ "metadata": { "resourceVersion": ingress.metadata.resource_version } });
        if !changes.is_empty() {
            body["metadata"]["annotations"] = changes.into();
        }
        if !same_rules {
            body["spec"] = json!({ "rules": rules });
        }
        Ok(Some(body))
    }

    fn state(&self, context: &RouteContext<'_>, ingress: &DynamicObject) -> RouteState {
        let annotations = ingress.metadata.annotations.as_ref();
        let action = annotations.and_then(|all| all.get(&self.action(self.root(context))));
        let Some(action) = action else {
            // Nothing was written yet, and nothing leads to the new version.
            return RouteState::default();
        };
        let action: Value = serde_json::from_str(action).unwrap_or_default();
        let groups = action["ForwardConfig"]["TargetGroups"].as_array();
        let weight = |service: &str| {
            let mut groups = groups.into_iter().flatten();
            let group = groups.find(|group| group["ServiceName"] == service);
            group
                .and_then(|group| group["Weight"].as_i64())
                .unwrap_or_default()
        };
        // The whole action is the Rollout's. A Service has a group for each of its ports.
        let others = groups.into_iter().flatten().filter_map(|group| {
            let service = group["ServiceName"].as_str()?;
            let weight = i32::try_from(group["Weight"].as_i64()?).ok()?;
            let beside = service != context.canary && service != context.stable;
            beside.then(|| (service.to_owned(), weight))
        });
        let (canary, stable) = (weight(context.canary), weight(context.stable));
        let mut state = of_all_weights(canary, stable, others.collect());
        let names = context.managed.iter();
        let present = names.filter(|name| paths(ingress).any(|path| is_by_annotation(path, name)));
        state.managed = present.cloned().collect();
        state
    }
}

/// Which annotations each Rollout has written, with those of this one.
fn managed_annotation<'k>(
    at: &str,
    annotations: &BTreeMap<String, String>,
    context: &RouteContext<'_>,
    keys: impl Iterator<Item = &'k String>,
) -> Result<String, FieldError> {
    let text = annotations.get(MANAGED).map_or("{}", String::as_str);
    let mut all: BTreeMap<String, Vec<String>> = serde_json::from_str(text).map_err(|error| {
        FieldError::new(at, format!("Invalid value: annotation {MANAGED}: {error}"))
    })?;
    all.insert(context.rollout.name.clone(), keys.cloned().collect());
    Ok(json!(all).to_string())
}

fn conditions_of(route: &HeaderRoute) -> String {
    let conditions = route.matches.iter().filter_map(|one| {
        // Other matches are refused when the Rollout is checked.
        let StringMatch::Exact(value) = &one.value else {
            return None;
        };
        let (name, value) = (json!(one.header), json!(value));
        Some(format!(
            "{{\"field\":\"http-header\",\"httpHeaderConfig\":{{\"httpHeaderName\":{name},\"values\":[{value}]}}}}"
        ))
    });
    format!("[{}]", conditions.collect::<Vec<_>>().join(","))
}

fn paths(ingress: &DynamicObject) -> impl Iterator<Item = &Value> {
    let rules = ingress.data["spec"]["rules"].as_array();
    let paths = rules
        .into_iter()
        .flatten()
        .filter_map(|rule| rule["http"]["paths"].as_array());
    paths.flatten()
}

fn service_of(path: &Value) -> Option<&str> {
    path["backend"]["service"]["name"].as_str()
}

fn is_by_annotation(path: &Value, name: &str) -> bool {
    service_of(path) == Some(name) && path["backend"]["service"]["port"]["name"] == BY_ANNOTATION
}

/// The rules of an Ingress with a path for each header route in front of the others.
fn with_managed(ingress: &DynamicObject, context: &RouteContext<'_>, goal: &RouteGoal) -> Value {
    let mut rules = ingress.data["spec"]["rules"].clone();
    for rule in rules.as_array_mut().into_iter().flatten() {
        let Some(paths) = rule["http"]["paths"].as_array() else {
            continue;
        };
        let own = paths.iter().filter(|path| {
            !context
                .managed
                .iter()
                .any(|name| is_by_annotation(path, name))
        });
        let managed = goal.managed.iter().map(|route| {
            json!({
                "path": "/*",
                "pathType": "ImplementationSpecific",
                "backend": { "service": { "name": route.name(), "port": { "name": BY_ANNOTATION } } },
            })
        });
        let paths: Vec<Value> = managed.chain(own.cloned()).collect();
        rule["http"]["paths"] = paths.into();
    }
    rules
}

impl Router for Alb {
    fn routes(&self) -> Vec<String> {
        let names = self.ingresses.iter();
        names.map(|(name, _)| format!("{KIND} {name}")).collect()
    }

    fn check_ping_pong(&self) -> Result<(), FieldError> {
        if self.root.is_some() {
            return Ok(());
        }
        let message = "Required value: pingPong needs a Service that does not change its role";
        Err(FieldError::new(format!("{}.rootService", self.at), message))
    }

    fn observe<'a>(
        &'a self,
        context: &'a RouteContext<'_>,
    ) -> BoxFuture<'a, Result<RouteState, RouterError>> {
        async move {
            let mut states = Vec::new();
            for (name, ports) in &self.ingresses {
                let (_, ingress) = self.read(context, name).await?;
                let mut state = self.state(context, &ingress);
                verification::verify(context, ports, &ingress, &mut state).await;
                states.push(state);
            }
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
