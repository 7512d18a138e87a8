//! Apache APISIX: the weights in an `ApisixRoute`, and one more `ApisixRoute` for each header route.

use std::sync::Arc;

use futures::{FutureExt, future::BoxFuture};
use kube::api::DynamicObject;
use reconcile_core::object::{FieldError, ObjectKey};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    managed::{HeaderRoute, ManagedRoute, StringMatch},
    objects::{RouteObjects, unfit},
    parse::parse,
    router::{
        Capabilities, FULL_WEIGHT, HeaderMatching, Registration, RouteContext, Router, RouterError,
    },
    split::Split,
    state::{RouteGoal, RouteState},
};
use crate::rollout::resources::resource;

/// APISIX.
pub(super) const REGISTRATION: Registration = Registration {
    name: "apisix",
    plugin: false,
    can: Capabilities {
        headers: HeaderMatching::Any,
        ..Capabilities::WEIGHTS
    },
    open: |at, config| Ok(Arc::new(Apisix::new(at, config)?)),
};

const KIND: &str = "ApisixRoute";
/// Weight of a backend that has none, as APISIX takes it.
const DEFAULT_WEIGHT: i64 = 100;

/// The `ApisixRoute` of one Rollout.
#[derive(Debug)]
struct Apisix {
    at: String,
    name: String,
    rules: Vec<String>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Config {
    route: RouteConfig,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct RouteConfig {
    name: String,
    rules: Vec<String>,
}

/// An `ApisixRoute` with the places of its rules that split traffic.
struct Found {
    key: ObjectKey,
    object: DynamicObject,
    http: Vec<Value>,
    rules: Vec<(usize, Split)>,
}

impl Apisix {
    fn new(at: &str, config: &Value) -> Result<Self, FieldError> {
        let config: Config = parse(at, config)?;
        let RouteConfig { name, mut rules } = config.route;
        if name.is_empty() {
            let at = format!("{at}.route.name");
            return Err(FieldError::new(at, "Required value"));
        }
        if rules.is_empty() {
            rules.push(name.clone());
        }
        Ok(Self {
            at: at.to_owned(),
            name,
            rules,
        })
    }

    fn objects<'a>(&'a self, context: &'a RouteContext<'_>) -> RouteObjects<'a> {
        RouteObjects {
            at: &self.at,
            resource: resource("apisix.apache.org", "v2", KIND, "apisixroutes"),
            context,
        }
    }

    async fn read(&self, context: &RouteContext<'_>) -> Result<Found, RouterError> {
        let (key, object) = self.objects(context).named(&self.name).await?;
        let http = object.data["spec"]["http"].as_array().cloned();
        let http = http.unwrap_or_default();
        let mut rules = Vec::new();
        for name in &self.rules {
            let rule = http.iter().position(|rule| rule["name"] == name.as_str());
            let place = rule.and_then(|rule| {
                let backends = http[rule]["backends"].as_array()?;
                let split =
                    Split::find(backends, |backend| backend["serviceName"].as_str(), context)?;
                Some((rule, split))
            });
            rules.push(place.ok_or_else(|| {
                let what = format!(
                    "has no rule {name} with backends of both {} and {}",
                    context.stable, context.canary
                );
                unfit(&self.at, KIND, &self.name, &what)
            })?);
        }
        Ok(Found {
            key,
            object,
            http,
            rules,
        })
    }

    async fn write(&self, context: &RouteContext<'_>, goal: &RouteGoal) -> Result<(), RouterError> {
        let found = self.read(context).await?;
        let objects = self.objects(context);
        for name in context.managed {
            let managed = objects.own(name).await?;
            let wanted = goal.managed.iter().find_map(|route| match route {
                ManagedRoute::Header(route) if route.name == *name => Some(route),
                _ => None,
            });
            write_managed(&objects, &found, wanted, managed).await?;
        }
        let mut http = found.http.clone();
        for (rule, split) in &found.rules {
            if let Some(backends) = http[*rule]["backends"].as_array_mut() {
                split.set(backends, goal.weight);
            }
        }
        if http == found.http {
            return Ok(());
        }
        let spec = json!({ "http": http });
        objects.patch_spec(&found.key, &found.object, spec).await
    }
}

/// Creates, changes or deletes the route of a name of `managedRoutes`.
async fn write_managed(
    objects: &RouteObjects<'_>,
    found: &Found,
    wanted: Option<&HeaderRoute>,
    (key, present): (ObjectKey, Option<DynamicObject>),
) -> Result<(), RouterError> {
    let spec = wanted.map(|wanted| header_spec(found, wanted, objects.context));
    match (spec, present) {
        (None, Some(present)) => objects.delete(&key, &present).await,
        (Some(spec), None) => objects.create(&key, &spec).await,
        (Some(spec), Some(present)) if present.data["spec"] != spec => {
            objects.patch_spec(&key, &present, spec).await
        }
        (Some(_), Some(_)) | (None, None) => Ok(()),
    }
}

/// The rules that split traffic, for requests with the headers, all of it to the new version.
fn header_spec(found: &Found, route: &HeaderRoute, context: &RouteContext<'_>) -> Value {
    let exprs: Vec<Value> = route
        .matches
        .iter()
        .map(|one| {
            let (op, value) = match &one.value {
                StringMatch::Exact(text) => ("Equal", text.clone()),
                StringMatch::Prefix(text) => {
                    ("RegexMatch", format!("^{}.*", regex::escape(text)))
                }
                StringMatch::Regex(text) => ("RegexMatch", text.clone()),
            };
            json!({ "subject": { "scope": "Header", "name": one.header }, "op": op, "value": value })
        })
        .collect();
    let rules = found.rules.iter().map(|(index, _)| {
        let mut rule = found.http[*index].clone();
        let priority = rule["priority"].as_i64().unwrap_or_default();
        rule["priority"] = priority.saturating_add(1).into();
        rule["match"]["exprs"] = exprs.clone().into();
        if let Some(backends) = rule["backends"].as_array_mut() {
            backends.retain(|backend| backend["serviceName"] == context.canary);
            for backend in backends {
                backend["weight"] = FULL_WEIGHT.into();
            }
        }
        rule
    });
    let mut spec = found.object.data["spec"].clone();
    spec["http"] = rules.collect();
    spec
}

impl Router for Apisix {
    fn routes(&self) -> Vec<String> {
        vec![format!("{KIND} {}", self.name)]
    }

    fn observe<'a>(
        &'a self,
        context: &'a RouteContext<'_>,
    ) -> BoxFuture<'a, Result<RouteState, RouterError>> {
        async move {
            let found = self.read(context).await?;
            let states = found.rules.iter().map(|(rule, split)| {
                let backends = found.http[*rule]["backends"].as_array();
                split.state(
                    backends.map(Vec::as_slice).unwrap_or_default(),
                    DEFAULT_WEIGHT,
                )
            });
            let mut state = RouteState::together(states);
            let objects = self.objects(context);
            for name in context.managed {
                if objects.own(name).await?.1.is_some() {
                    state.managed.push(name.clone());
                }
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
        self.write(context, goal).boxed()
    }
}
