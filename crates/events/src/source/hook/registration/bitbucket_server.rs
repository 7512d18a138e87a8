//! Webhooks of repositories and projects at Bitbucket Server and Data Center.

use std::sync::Arc;

use futures::{FutureExt, future::BoxFuture};
use http::HeaderMap;
use reconcile_core::object::FieldError;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    RegistrationKind, kind,
    list::{PAGE, Place, Registrar, Registration},
    session::{base, bearer, below},
};
use crate::{
    api::{KeySelector, TlsConfig},
    source::{
        http_server::HttpServer,
        kind::{Input, SourceError},
        server::ServerTls,
        service_context::ServiceContext,
    },
    tls::TlsSettings,
};

/// The kind.
pub(in crate::source::hook) static KIND: RegistrationKind = kind(
    "bitbucketserver",
    |input| {
        Ok(Arc::new(Registration::check(input, |target| {
            BitbucketServer::check(input, target)
        })?))
    },
    &["accessToken"],
);

const TOKEN: &str = "accessToken";
const SECRET: &str = "webhookSecret";

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Config {
    #[serde(rename = "bitbucketserverBaseURL")]
    base_url: String,
    access_token: Option<KeySelector>,
    webhook_secret: Option<KeySelector>,
    events: Vec<String>,
    project_key: String,
    repository_slug: String,
    repositories: Vec<Repository>,
    projects: Vec<String>,
    tls: Option<TlsConfig>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Repository {
    project_key: String,
    repository_slug: String,
}

#[derive(Debug)]
struct BitbucketServer {
    places: Vec<Place>,
    secrets: Vec<(&'static str, KeySelector)>,
    tls: Option<ServerTls>,
    hook: Value,
}

impl BitbucketServer {
    fn check(input: &Input<'_>, target: &str) -> Result<Self, FieldError> {
        let config: Config = input.decode()?;
        let base = base(input, "bitbucketserverBaseURL", &config.base_url, "")?;
        let api = if base.path().trim_end_matches('/').ends_with("/rest") {
            below(&base, ["api", "1.0"])
        } else {
            below(&base, ["rest", "api", "1.0"])
        };
        let mut repositories = config.repositories;
        if repositories.is_empty() && !config.repository_slug.is_empty() {
            repositories.push(Repository {
                project_key: config.project_key,
                repository_slug: config.repository_slug,
            });
        }
        let repositories = repositories.iter().map(|repository| {
            let (project, slug) = (&repository.project_key, &repository.repository_slug);
            Place {
                name: format!("repository {project}/{slug}"),
                url: below(&api, ["projects", project, "repos", slug, "webhooks"]),
            }
        });
        let projects = config.projects.iter().map(|project| Place {
            name: format!("project {project}"),
            url: below(&api, ["projects", project, "webhooks"]),
        });
        if config.events.is_empty() {
            return Err(input.wrong("events", "must not be empty"));
        }
        let tls = ServerTls::check(input, config.tls.as_ref())?;
        let token = config.access_token.map(|key| (TOKEN, key));
        let secret = config.webhook_secret.map(|key| (SECRET, key));
        let certificates = tls.iter().flat_map(|tls| tls.secrets.clone());
        Ok(Self {
            places: repositories.chain(projects).collect(),
            secrets: token
                .into_iter()
                .chain(secret)
                .chain(certificates)
                .collect(),
            tls,
            hook: json!({
                "name": "argo-events", "url": target, "active": true, "events": config.events,
            }),
        })
    }
}

impl Registrar for BitbucketServer {
    fn secrets(&self) -> Vec<(&'static str, KeySelector)> {
        self.secrets.clone()
    }

    fn tls(&self, context: &ServiceContext) -> TlsSettings {
        let tls = self.tls.as_ref();
        tls.map(|tls| tls.settings(|field| context.secret(field).cloned()))
            .unwrap_or_default()
    }

    fn places(&self) -> &[Place] {
        &self.places
    }

    fn login<'r>(
        &'r self,
        context: &'r ServiceContext,
        _server: &'r HttpServer,
    ) -> BoxFuture<'r, Result<HeaderMap, SourceError>> {
        std::future::ready(Ok(bearer(context, TOKEN))).boxed()
    }

    fn hook(&self, context: &ServiceContext) -> Value {
        let mut hook = self.hook.clone();
        if let Some(secret) = context.secret(SECRET) {
            hook["configuration"] = json!({"secret": secret.expose()});
        }
        hook
    }

    fn page(&self, page: usize) -> String {
        format!("limit={PAGE}&start={}", page * PAGE)
    }

    fn listed<'v>(&self, answer: &'v Value) -> Option<&'v Vec<Value>> {
        answer["values"].as_array()
    }

    fn url_of<'v>(&self, listed: &'v Value) -> Option<&'v str> {
        listed["url"].as_str()
    }
}
