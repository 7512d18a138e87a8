//! Webhooks of repositories and organisations at GitHub.

use std::sync::Arc;

use futures::{FutureExt, future::BoxFuture};
use http::{HeaderMap, HeaderValue, Method, header};
use reconcile_core::object::FieldError;
use reqwest::Url;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    RegistrationKind,
    github_app::{GitHubApp, PRIVATE_KEY, token},
    kind,
    list::{Place, Registrar, Registration},
    session::{base, bearer, below, secret_header},
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
    "github",
    |input| {
        Ok(Arc::new(Registration::check(input, |target| {
            GitHub::check(input, target)
        })?))
    },
    &["apiToken", "githubApp"],
);

const TOKEN: &str = "apiToken";
const SECRET: &str = "webhookSecret";

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Config {
    owner: String,
    repository: String,
    repositories: Vec<Owned>,
    organizations: Vec<String>,
    events: Vec<String>,
    api_token: Option<KeySelector>,
    webhook_secret: Option<KeySelector>,
    github_app: Option<GitHubApp>,
    #[serde(rename = "githubBaseURL")]
    base_url: String,
    active: Option<bool>,
    insecure: bool,
    content_type: String,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Owned {
    owner: String,
    names: Vec<String>,
}

#[derive(Debug)]
struct GitHub {
    base: Url,
    places: Vec<Place>,
    secrets: Vec<(&'static str, KeySelector)>,
    app: Option<GitHubApp>,
    hook: Value,
}

impl GitHub {
    fn check(input: &Input<'_>, target: &str) -> Result<Self, FieldError> {
        let config: Config = input.decode()?;
        let base = base(
            input,
            "githubBaseURL",
            &config.base_url,
            "https://api.github.com",
        )?;
        let mut places = Vec::new();
        let mut repositories = config.repositories;
        if repositories.is_empty() && !config.repository.is_empty() {
            repositories.push(Owned {
                owner: config.owner,
                names: vec![config.repository],
            });
        }
        for Owned { owner, names } in &repositories {
            places.extend(names.iter().map(|name| Place {
                name: format!("repository {owner}/{name}"),
                url: below(&base, ["repos", owner.as_str(), name, "hooks"]),
            }));
        }
        places.extend(config.organizations.iter().map(|name| Place {
            name: format!("organization {name}"),
            url: below(&base, ["orgs", name, "hooks"]),
        }));
        let content_type = match config.content_type.as_str() {
            "" => "json",
            given => given,
        };
        let mut hook = json!({
            "name": "web",
            "active": config.active.unwrap_or(true),
            "config": {
                "url": target,
                "content_type": content_type,
                "insecure_ssl": if config.insecure { "1" } else { "0" },
            },
        });
        if !config.events.is_empty() {
            hook["events"] = json!(config.events);
        }
        let mut secrets = Vec::new();
        match &config.github_app {
            Some(app) => secrets.extend(app.check(input)?),
            None => secrets.extend(config.api_token.map(|key| (TOKEN, key))),
        }
        secrets.extend(config.webhook_secret.map(|key| (SECRET, key)));
        Ok(Self {
            base,
            places,
            secrets,
            app: config.github_app,
            hook,
        })
    }
}

impl Registrar for GitHub {
    fn secrets(&self) -> Vec<(&'static str, KeySelector)> {
        self.secrets.clone()
    }

    fn places(&self) -> &[Place] {
        &self.places
    }

    fn login<'r>(
        &'r self,
        context: &'r ServiceContext,
        server: &'r HttpServer,
    ) -> BoxFuture<'r, Result<HeaderMap, SourceError>> {
        async move {
            let mut headers = match (&self.app, context.secret(PRIVATE_KEY)) {
                (Some(app), Some(key)) => {
                    let token = token(app, key, &self.base, context, server).await?;
                    secret_header(header::AUTHORIZATION, &format!("Bearer {token}"))
                }
                _ => bearer(context, TOKEN),
            };
            let accept = HeaderValue::from_static("application/vnd.github+json");
            headers.insert(header::ACCEPT, accept);
            Ok(headers)
        }
        .boxed()
    }

    fn hook(&self, context: &ServiceContext) -> Value {
        let mut hook = self.hook.clone();
        if let Some(secret) = context.secret(SECRET) {
            hook["config"]["secret"] = json!(secret.expose());
        }
        hook
    }

    fn edit(&self) -> Method {
        Method::PATCH
    }

    fn listed<'v>(&self, answer: &'v Value) -> Option<&'v Vec<Value>> {
        answer.as_array()
    }

    fn url_of<'v>(&self, listed: &'v Value) -> Option<&'v str> {
        listed["config"]["url"].as_str()
    }
}
