//! From path and method to the endpoint of an EventSource.

use std::sync::Arc;

use axum::{
    body::Body,
    extract::State,
    response::{IntoResponse, Response},
};
use expressions::pattern::compile_pattern;
use http::{Method, Request, StatusCode};
use parking_lot::RwLock;
use reconcile_core::object::ObjectKey;
use regex::Regex;

use super::{Emitter, Webhook};

/// An endpoint pattern: `/a/{name}` takes any segment, `/a/{name:[0-9]+}` what the expression matches.
#[derive(Clone, Debug)]
pub struct Endpoint {
    path: String,
    pattern: Option<Regex>,
}

impl PartialEq for Endpoint {
    fn eq(&self, other: &Self) -> bool {
        self.path == other.path
    }
}

impl Eq for Endpoint {}

impl Endpoint {
    /// Parses a pattern; a missing leading slash is added.
    pub fn parse(text: &str) -> Result<Self, String> {
        let path = if text.starts_with('/') {
            text.to_owned()
        } else {
            format!("/{text}")
        };
        let pattern = if path.contains('{') {
            Some(compile(&path)?)
        } else {
            None
        };
        Ok(Self { path, pattern })
    }

    /// The pattern as it was written, with its leading slash.
    pub fn path(&self) -> &str {
        &self.path
    }

    fn matches(&self, path: &str) -> bool {
        match &self.pattern {
            None => self.path == path,
            Some(pattern) => pattern.is_match(path),
        }
    }
}

fn compile(path: &str) -> Result<Regex, String> {
    let mut pattern = String::from("^");
    let mut rest = path;
    while let Some((literal, after)) = rest.split_once('{') {
        pattern.push_str(&regex::escape(literal));
        let end = closing(after).ok_or_else(|| format!("{path:?}: a brace is not closed"))?;
        match after[..end].split_once(':') {
            Some((_, expression)) => pattern.extend(["(?:", expression, ")"]),
            None => pattern.push_str("[^/]+"),
        }
        rest = &after[end + 1..];
    }
    pattern.push_str(&regex::escape(rest));
    pattern.push('$');
    compile_pattern(&pattern).map_err(|error| format!("{path:?}: {error}"))
}

/// Where the brace is closed; an expression may hold pairs of braces.
fn closing(text: &str) -> Option<usize> {
    let mut depth = 1_usize;
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            b'{' => depth += 1,
            b'}' => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return Some(at);
        }
    }
    None
}

/// One endpoint of an EventSource.
#[derive(Clone)]
pub(super) struct Route {
    pub(super) owner: ObjectKey,
    pub(super) webhook: Arc<Webhook>,
    pub(super) emitter: Arc<Emitter>,
}

impl Route {
    /// Both would answer the same requests.
    pub(super) fn collides(&self, other: &Self) -> bool {
        self.webhook.method == other.webhook.method
            && self.webhook.endpoint == other.webhook.endpoint
    }
}

/// The routes of one port. They change in one step, so a change of a manifest never loses a request.
#[derive(Default)]
pub(super) struct Routes(RwLock<Vec<Route>>);

impl Routes {
    /// Replaces the routes of `owner`. Returns those that collide with a route of another owner: they are
    /// not added.
    pub(super) fn replace(&self, owner: &ObjectKey, wanted: Vec<Route>) -> Vec<(Route, ObjectKey)> {
        let mut routes = self.0.write();
        routes.retain(|route| route.owner != *owner);
        let mut collisions = Vec::new();
        for route in wanted {
            match routes.iter().find(|other| other.collides(&route)) {
                Some(holder) => collisions.push((route, holder.owner.clone())),
                None => routes.push(route),
            }
        }
        // Exact paths win over patterns.
        routes.sort_by_key(|route| route.webhook.endpoint.pattern.is_some());
        collisions
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.read().is_empty()
    }

    /// True when no other EventSource has a route here.
    pub(super) fn is_only_of(&self, owner: &ObjectKey) -> bool {
        self.0.read().iter().all(|route| route.owner == *owner)
    }

    fn find(&self, path: &str, method: &Method) -> Result<Route, StatusCode> {
        let routes = self.0.read();
        let mut known = routes
            .iter()
            .filter(|route| route.webhook.endpoint.matches(path))
            .peekable();
        if known.peek().is_none() {
            return Err(StatusCode::NOT_FOUND);
        }
        known
            .find(|route| route.webhook.method == *method)
            .cloned()
            .ok_or(StatusCode::BAD_REQUEST)
    }
}

pub(super) async fn serve(State(routes): State<Arc<Routes>>, request: Request<Body>) -> Response {
    let path = request.uri().path();
    match routes.find(path, request.method()) {
        Ok(route) => route
            .webhook
            .serve(request, &route.emitter)
            .await
            .into_response(),
        // Where no event source has it, probes of load balancers do.
        Err(_) if path == "/health" => (StatusCode::OK, "OK").into_response(),
        Err(StatusCode::NOT_FOUND) => {
            (StatusCode::NOT_FOUND, "404 page not found\n").into_response()
        }
        Err(status) => (status, "the endpoint does not take this method").into_response(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_of_a_path_take_one_segment_or_what_their_expression_matches() {
        let endpoint = |text| Endpoint::parse(text).expect("a pattern");
        let hooks = endpoint("/hooks/{name}");
        assert!(hooks.matches("/hooks/a.b") && !hooks.matches("/hooks/a/b"));
        assert!(!hooks.matches("/hooks/") && !hooks.matches("/hooks/{name}/x"));
        let number = endpoint("n/{id:[0-9]{2,3}}/x");
        assert!(number.matches("/n/12/x") && !number.matches("/n/1/x"));
        let plain = endpoint("/a.b");
        assert!(plain.matches("/a.b") && !plain.matches("/axb") && !plain.matches("/a.b/"));
        assert!(Endpoint::parse("/a/{b").is_err() && Endpoint::parse("/{a:(}").is_err());
        assert!(Endpoint::parse(r"/{a:(\w{100}){100}}").is_err());
    }
}
