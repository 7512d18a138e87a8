//! The weights, header and mirror routes in a VirtualService.

use kube::api::DynamicObject;
use reconcile_core::object::FieldError;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::{
    super::{
        extra::of_all_weights,
        managed::{HeaderRoute, ManagedRoute, MirrorRoute, StringMatch},
        objects::unfit,
        router::{FULL_WEIGHT, RouteContext},
        state::{RouteGoal, RouteState},
    },
    Subsets, VIRTUAL_SERVICE,
};

/// A VirtualService, and which of its routes split traffic.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct RouteNames {
    pub(super) name: String,
    /// Names of HTTP routes.
    routes: Vec<String>,
    /// TLS routes by port and names of hosts.
    tls_routes: Vec<TlsRoute>,
    /// TCP routes by port.
    tcp_routes: Vec<TcpRoute>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct TlsRoute {
    port: i64,
    sni_hosts: Vec<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct TcpRoute {
    port: i64,
}

const HTTP: &str = "http";
const TLS: &str = "tls";
const TCP: &str = "tcp";

/// The version that a destination leads to.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Side {
    Canary,
    Stable,
    /// Neither, and the manifest lets it stay.
    Kept,
    Other,
}

/// The routes of a VirtualService that split traffic.
pub(super) struct Routes<'a> {
    object: &'a DynamicObject,
    context: &'a RouteContext<'a>,
    subsets: Option<&'a Subsets>,
    /// Lists and positions of the routes; managed ones are not among them.
    found: Vec<(&'static str, usize)>,
}

impl RouteNames {
    /// Finds the routes: those that the manifest names, else the first of each list that has both versions.
    pub(super) fn find<'a>(
        &self,
        at: &str,
        object: &'a DynamicObject,
        context: &'a RouteContext<'a>,
        subsets: Option<&'a Subsets>,
    ) -> Result<Routes<'a>, FieldError> {
        let mut routes = Routes {
            object,
            context,
            subsets,
            found: Vec::new(),
        };
        let wrong = |what: String| unfit(at, VIRTUAL_SERVICE, &self.name, &what);
        let named = self.named(&routes);
        for (what, places) in named {
            let fit = |place: &(&'static str, usize)| routes.has_both(*place);
            if places.is_empty() || !places.iter().all(fit) {
                return Err(wrong(format!(
                    "has no {what} with destinations of both versions"
                )));
            }
            routes.found.extend(places);
        }
        if routes.found.is_empty() {
            routes.found = routes.first_of_each();
        }
        if routes.found.is_empty() {
            return Err(wrong(
                "has no route with destinations of both versions".to_owned(),
            ));
        }
        Ok(routes)
    }

    /// The routes that the manifest names, with what it calls them.
    fn named(&self, routes: &Routes<'_>) -> Vec<(String, Vec<(&'static str, usize)>)> {
        let places = |list: &'static str, fits: &dyn Fn(&Value) -> bool| {
            let entries = routes.list(list).iter().enumerate();
            let fitting = entries.filter(|(_, route)| fits(route));
            fitting.map(|(index, _)| (list, index)).collect()
        };
        let mut named = Vec::new();
        for name in &self.routes {
            let found = places(HTTP, &|route| route["name"] == name.as_str());
            named.push((format!("HTTP route {name}"), found));
        }
        for tls in &self.tls_routes {
            let found = places(TLS, &|route| tls.matches(route));
            let what = format!(
                "TLS route of port {} for {}",
                tls.port,
                tls.sni_hosts.join(", ")
            );
            named.push((what, found));
        }
        for tcp in &self.tcp_routes {
            let found = places(TCP, &|route| ports(route).any(|port| port == tcp.port));
            named.push((format!("TCP route of port {}", tcp.port), found));
        }
        named
    }
}

impl TlsRoute {
    fn matches(&self, route: &Value) -> bool {
        let mut matches = route["match"].as_array().into_iter().flatten();
        matches.any(|one| {
            let hosts = one["sniHosts"].as_array().into_iter().flatten();
            let hosts: Vec<&str> = hosts.filter_map(Value::as_str).collect();
            let same = hosts.len() == self.sni_hosts.len()
                && self
                    .sni_hosts
                    .iter()
                    .all(|host| hosts.contains(&host.as_str()));
            let port = self.port == 0 || one["port"].as_i64() == Some(self.port);
            port && (self.sni_hosts.is_empty() || same)
        })
    }
}

fn ports(route: &Value) -> impl Iterator<Item = i64> {
    let matches = route["match"].as_array().into_iter().flatten();
    matches.filter_map(|one| one["port"].as_i64())
}

impl Routes<'_> {
    fn list(&self, list: &str) -> &[Value] {
        let list = self.object.data["spec"][list].as_array();
        list.map(Vec::as_slice).unwrap_or_default()
    }

    fn side(&self, destination: &Value) -> Side {
        let destination = &destination["destination"];
        let service = service_name(destination);
        let subset = destination["subset"].as_str().unwrap_or_default();
        let of = |name: &str, subset_name: Option<&String>| {
            (!name.is_empty() && service == name)
                || subset_name.is_some_and(|wanted| wanted == subset)
        };
        let (context, subsets) = (self.context, self.subsets);
        if of(context.canary, subsets.map(|rule| &rule.canary_subset_name)) {
            Side::Canary
        } else if of(context.stable, subsets.map(|rule| &rule.stable_subset_name)) {
            Side::Stable
        } else if subsets.is_some_and(|rule| {
            rule.additional_subset_names
                .iter()
                .any(|name| name == subset)
        }) {
            Side::Kept
        } else {
            Side::Other
        }
    }

    fn place(&self, route: &Value, side: Side) -> Option<usize> {
        let destinations = route["route"].as_array()?;
        destinations.iter().position(|one| self.side(one) == side)
    }

    fn has_both(&self, (list, index): (&str, usize)) -> bool {
        let route = &self.list(list)[index];
        self.place(route, Side::Canary).is_some() && self.place(route, Side::Stable).is_some()
    }

    fn is_managed(&self, route: &Value) -> bool {
        let name = route["name"].as_str();
        name.is_some_and(|name| self.context.managed.iter().any(|managed| managed == name))
    }

    fn first_of_each(&self) -> Vec<(&'static str, usize)> {
        let first = |list: &'static str| {
            let routes = self.list(list).iter().enumerate();
            let mut own = routes.filter(|(_, route)| !self.is_managed(route));
            let found = own.find(|(index, _)| self.has_both((list, *index)))?;
            Some((list, found.0))
        };
        [HTTP, TLS, TCP].into_iter().filter_map(first).collect()
    }

    /// What the routes say.
    pub(super) fn state(&self) -> RouteState {
        let states = self.found.iter().map(|(list, index)| {
            let route = &self.list(list)[*index];
            let weight = |side: Side| {
                let index = self.place(route, side).unwrap_or_default();
                route["route"][index]["weight"].as_i64().unwrap_or_default()
            };
            let destinations = route["route"].as_array().into_iter().flatten();
            let others = destinations.filter_map(|one| {
                let weight = i32::try_from(one["weight"].as_i64()?).ok()?;
                (self.side(one) == Side::Other).then(|| (service_of(one).to_owned(), weight))
            });
            of_all_weights(weight(Side::Canary), weight(Side::Stable), others.collect())
        });
        let mut state = RouteState::together(states);
        let has = |name: &String| {
            let mut routes = self.list(HTTP).iter();
            routes.any(|route| route["name"] == name.as_str())
        };
        let names = self.context.managed.iter();
        state.managed = names.filter(|name| has(name)).cloned().collect();
        state
    }

    /// The patch that makes the routes say what `goal` says; none when they do already.
    pub(super) fn patch(&self, goal: &RouteGoal) -> Option<Value> {
        let mut spec = Map::new();
        for name in [HTTP, TLS, TCP] {
            let old = self.list(name);
            let mut new = old.to_vec();
            for (list, index) in &self.found {
                if *list == name {
                    self.set(&mut new[*index], goal);
                }
            }
            if name == HTTP {
                new = self.with_managed(new, goal);
            }
            if old != new {
                spec.insert(name.to_owned(), new.into());
            }
        }
        if spec.is_empty() {
            return None;
        }
        let version = &self.object.metadata.resource_version;
        Some(json!({ "metadata": { "resourceVersion": version }, "spec": spec }))
    }

    /// Gives the new version and Experiments their weights. Destinations that the Rollout does not know go, because
    /// the weights of a route are a share of 100.
    fn set(&self, route: &mut Value, goal: &RouteGoal) {
        let Some(destinations) = route["route"].as_array_mut() else {
            return;
        };
        destinations.retain(|one| self.side(one) != Side::Other);
        let port = destinations
            .iter()
            .find(|one| self.side(one) == Side::Canary)
            .and_then(|one| one["destination"].get("port").cloned());
        let kept = destinations
            .iter()
            .filter(|one| self.side(one) == Side::Kept);
        let kept: i64 = kept.filter_map(|one| one["weight"].as_i64()).sum();
        let rest = (i64::from(goal.stable_weight()) - kept).max(0);
        for one in destinations.iter_mut() {
            let wanted = match self.side(one) {
                Side::Canary => i64::from(goal.weight),
                Side::Stable => rest,
                Side::Kept | Side::Other => continue,
            };
            if one["weight"].as_i64() != Some(wanted) {
                one["weight"] = wanted.into();
            }
        }
        destinations.extend(goal.extra.iter().map(|extra| {
            let mut destination = json!({ "host": extra.service });
            if let Some(port) = &port {
                destination["port"] = port.clone();
            }
            json!({ "destination": destination, "weight": extra.weight })
        }));
    }

    /// The HTTP routes with those of the steps in front, in their order.
    fn with_managed(&self, routes: Vec<Value>, goal: &RouteGoal) -> Vec<Value> {
        let source = self.found.iter().find(|(list, _)| *list == HTTP);
        let source = source.map(|(_, index)| routes[*index].clone());
        let mut all: Vec<Value> = goal
            .managed
            .iter()
            .zip(std::iter::repeat(source.as_ref()))
            .filter_map(|(route, source)| {
                let source = source?;
                Some(match route {
                    ManagedRoute::Header(route) => self.header_route(source, route),
                    ManagedRoute::Mirror(route) => self.mirror_route(source, route),
                })
            })
            .collect();
        all.extend(routes.into_iter().filter(|route| !self.is_managed(route)));
        all
    }

    fn canary_destination(&self, source: &Value) -> Value {
        let index = self.place(source, Side::Canary).unwrap_or_default();
        source["route"][index]["destination"].clone()
    }

    fn header_route(&self, source: &Value, route: &HeaderRoute) -> Value {
        let matches: Vec<Value> = route
            .matches
            .iter()
            .map(|one| json!({ "headers": { one.header.as_str(): string_match(&one.value) } }))
            .collect();
        json!({
            "name": route.name,
            "match": matches,
            "route": [{ "destination": self.canary_destination(source), "weight": FULL_WEIGHT }],
        })
    }

    fn mirror_route(&self, source: &Value, route: &MirrorRoute) -> Value {
        let matches: Vec<Value> = route
            .matches
            .iter()
            .map(|one| {
                let mut matched = Map::new();
                for (name, value) in [("method", &one.method), ("uri", &one.path)] {
                    if let Some(value) = value {
                        matched.insert(name.to_owned(), string_match(value));
                    }
                }
                if !one.headers.is_empty() {
                    let headers = one.headers.iter();
                    let headers: Map<String, Value> = headers
                        .map(|(name, value)| (name.clone(), string_match(value)))
                        .collect();
                    matched.insert("headers".to_owned(), headers.into());
                }
                Value::Object(matched)
            })
            .collect();
        let percentage = route.percentage.unwrap_or(FULL_WEIGHT);
        json!({
            "name": route.name,
            "match": matches,
            "route": source["route"],
            "mirror": self.canary_destination(source),
            "mirrorPercentage": { "value": percentage },
        })
    }
}

/// The Service of an entry of a route.
fn service_of(entry: &Value) -> &str {
    service_name(&entry["destination"])
}

fn service_name(destination: &Value) -> &str {
    let host = destination["host"].as_str().unwrap_or_default();
    host.split('.').next().unwrap_or_default()
}

fn string_match(value: &StringMatch) -> Value {
    let (kind, text) = value.parts();
    json!({ kind: text })
}
