//! Webhooks of projects and groups at GitLab.

use std::sync::Arc;

use futures::{FutureExt, future::BoxFuture};
use http::{HeaderMap, header::HeaderName};
use reconcile_core::object::FieldError;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    RegistrationKind, kind,
    list::{Place, Registrar, Registration},
    session::{base, below, secret_header},
};
use crate::{
    api::KeySelector,
    source::{
        http_server::HttpServer,
        kind::{Input, SourceError},
        service_context::ServiceContext,
    },
};

/// The kind.
pub(in crate::source::hook) static KIND: RegistrationKind = kind(
    "gitlab",
    |input| {
        Ok(Arc::new(Registration::check(input, |target| {
            GitLab::check(input, target)
        })?))
    },
    &["accessToken"],
);

const TOKEN: &str = "accessToken";
const SECRET: &str = "secretToken";

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Config {
    #[serde(rename = "projectID")]
    project_id: String,
    projects: Vec<String>,
    groups: Vec<String>,
    events: Vec<String>,
    access_token: Option<KeySelector>,
    secret_token: Option<KeySelector>,
    #[serde(rename = "enableSSLVerification")]
    verify: bool,
    #[serde(rename = "gitlabBaseURL")]
    base_url: String,
}

#[derive(Debug)]
struct GitLab {
    places: Vec<Place>,
    secrets: Vec<(&'static str, KeySelector)>,
    hook: Value,
}

impl GitLab {
    fn check(input: &Input<'_>, target: &str) -> Result<Self, FieldError> {
        let config: Config = input.decode()?;
        let base = base(
            input,
            "gitlabBaseURL",
            &config.base_url,
            "https://gitlab.com",
        )?;
        let api = if base.path().trim_end_matches('/').ends_with("/api/v4") {
            base
        } else {
            below(&base, ["api", "v4"])
        };
        let mut projects = config.projects;
        if projects.is_empty() && !config.project_id.is_empty() {
            projects.push(config.project_id);
        }
        let place = |list: &'static str, kind: &str, name: &String| Place {
            name: format!("{kind} {name}"),
            url: below(&api, [list, name.as_str(), "hooks"]),
        };
        let projects = projects
            .iter()
            .map(|name| place("projects", "project", name));
        let groups = config
            .groups
            .iter()
            .map(|name| place("groups", "group", name));
        // GitLab sends pushes unless the hook says no.
        let mut hook =
            json!({"url": target, "enable_ssl_verification": config.verify, "push_events": false});
        for event in &config.events {
            hook[field(input, event)?] = json!(true);
        }
        if config.events.is_empty() {
            hook["push_events"] = json!(true);
        }
        let token = config.access_token.map(|key| (TOKEN, key));
        let secret = config.secret_token.map(|key| (SECRET, key));
        Ok(Self {
            places: projects.chain(groups).collect(),
            secrets: token.into_iter().chain(secret).collect(),
            hook,
        })
    }
}

/// `MergeRequestsEvents` is `merge_requests_events` in the API.
fn field(input: &Input<'_>, event: &str) -> Result<String, FieldError> {
    let letters = event.chars().all(|c| c.is_ascii_alphabetic() || c == '_');
    let mut name = String::new();
    for letter in event.chars() {
        if letter.is_ascii_uppercase() && !name.is_empty() {
            name.push('_');
        }
        name.push(letter.to_ascii_lowercase());
    }
    if letters && name.ends_with("_events") {
        return Ok(name);
    }
    let message = format!("{event:?} is not the name of events, for example PushEvents");
    Err(input.wrong("events", message))
}

impl Registrar for GitLab {
    fn secrets(&self) -> Vec<(&'static str, KeySelector)> {
        self.secrets.clone()
    }

    fn places(&self) -> &[Place] {
        &self.places
    }

    fn login<'r>(
        &'r self,
        context: &'r ServiceContext,
        _server: &'r HttpServer,
    ) -> BoxFuture<'r, Result<HeaderMap, SourceError>> {
        let token = context.secret(TOKEN).map_or("", |token| token.expose());
        let name = HeaderName::from_static("private-token");
        std::future::ready(Ok(secret_header(name, token))).boxed()
    }

    fn hook(&self, context: &ServiceContext) -> Value {
        let mut hook = self.hook.clone();
        if let Some(secret) = context.secret(SECRET) {
            hook["token"] = json!(secret.expose());
        }
        hook
    }

    fn listed<'v>(&self, answer: &'v Value) -> Option<&'v Vec<Value>> {
        answer.as_array()
    }

    fn url_of<'v>(&self, listed: &'v Value) -> Option<&'v str> {
        listed["url"].as_str()
    }
}
