//! Webhooks of repositories at Bitbucket Cloud.

use std::sync::Arc;

use base64::prelude::{BASE64_STANDARD, Engine as _};
use futures::{FutureExt, future::BoxFuture};
use http::{HeaderMap, header};
use reconcile_core::object::FieldError;
use reqwest::Url;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    RegistrationKind, kind,
    list::{PAGE, Place, Registrar, Registration},
    session::{bearer, below, secret_header},
};
use crate::{
    api::{KeySelector, trigger::BasicAuth},
    source::{
        http_server::HttpServer,
        kind::{Input, SourceError},
        service_context::ServiceContext,
    },
};

/// The kind.
pub(in crate::source::hook) static KIND: RegistrationKind = kind(
    "bitbucket",
    |input| {
        Ok(Arc::new(Registration::check(input, |target| {
            Bitbucket::check(input, target, "https://api.bitbucket.org/2.0")
        })?))
    },
    &["auth"],
);

const USER: &str = "auth.basic.username";
const PASSWORD: &str = "auth.basic.password";
const TOKEN: &str = "auth.token";
const OAUTH: &str = "auth.oauthToken";

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Config {
    auth: Auth,
    events: Vec<String>,
    owner: String,
    repository_slug: String,
    repositories: Vec<Repository>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Auth {
    basic: Option<BasicAuth>,
    token: Option<KeySelector>,
    oauth_token: Option<KeySelector>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Repository {
    owner: String,
    repository_slug: String,
}

#[derive(Debug)]
struct Bitbucket {
    places: Vec<Place>,
    secrets: Vec<(&'static str, KeySelector)>,
    hook: Value,
}

impl Bitbucket {
    fn check(input: &Input<'_>, target: &str, base: &str) -> Result<Self, FieldError> {
        let config: Config = input.decode()?;
        let base =
            Url::parse(base).map_err(|error| FieldError::new(input.path, error.to_string()))?;
        let mut repositories = config.repositories;
        if repositories.is_empty() && !config.repository_slug.is_empty() {
            repositories.push(Repository {
                owner: config.owner,
                repository_slug: config.repository_slug,
            });
        }
        let places = repositories.iter().map(|repository| {
            let (owner, slug) = (&repository.owner, &repository.repository_slug);
            Place {
                name: format!("repository {owner}/{slug}"),
                url: below(&base, ["repositories", owner, slug, "hooks"]),
            }
        });
        let basic = config.auth.basic.unwrap_or_default();
        let secrets = [
            (USER, basic.username),
            (PASSWORD, basic.password),
            (TOKEN, config.auth.token),
            (OAUTH, config.auth.oauth_token),
        ];
        let secrets: Vec<_> = secrets
            .into_iter()
            .filter_map(|(field, key)| Some((field, key?)))
            .collect();
        if secrets.is_empty() {
            return Err(input.wrong("auth", "must have basic, token or oauthToken"));
        }
        if config.events.is_empty() {
            return Err(input.wrong("events", "must not be empty"));
        }
        Ok(Self {
            places: places.collect(),
            secrets,
            hook: json!({
                "description": "argo-events", "url": target, "active": true, "events": config.events,
            }),
        })
    }
}

impl Registrar for Bitbucket {
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
        let login = match (context.secret(USER), context.secret(PASSWORD)) {
            (Some(user), Some(password)) => {
                let pair =
                    BASE64_STANDARD.encode(format!("{}:{}", user.expose(), password.expose()));
                context.hide(&pair);
                secret_header(header::AUTHORIZATION, &format!("Basic {pair}"))
            }
            _ if context.secret(TOKEN).is_some() => bearer(context, TOKEN),
            _ => bearer(context, OAUTH),
        };
        std::future::ready(Ok(login)).boxed()
    }

    fn hook(&self, _context: &ServiceContext) -> Value {
        self.hook.clone()
    }

    fn page(&self, page: usize) -> String {
        format!("pagelen={PAGE}&page={}", page + 1)
    }

    fn listed<'v>(&self, answer: &'v Value) -> Option<&'v Vec<Value>> {
        answer["values"].as_array()
    }

    fn url_of<'v>(&self, listed: &'v Value) -> Option<&'v str> {
        listed["url"].as_str()
    }
}
