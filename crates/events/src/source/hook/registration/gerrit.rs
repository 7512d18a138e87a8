//! Webhooks of projects at Gerrit, kept by its plugin `webhooks` as remotes with a name.

use std::{collections::BTreeSet, sync::Arc};

use base64::prelude::{BASE64_STANDARD, Engine as _};
use futures::{FutureExt, future::BoxFuture};
use http::{HeaderMap, Method, header};
use reconcile_core::object::FieldError;
use reqwest::Url;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    Registering, RegistrationKind, Target, keep, kind,
    list::{PLACES, holds},
    session::{Session, base, below, secret_header},
};
use crate::{
    api::{KeySelector, trigger::BasicAuth},
    source::{
        http_server::HttpServer,
        kind::{Input, Source, SourceContext, SourceError},
        registered::Registered,
        service_context::ServiceContext,
    },
    tls::TlsSettings,
};

/// The kind.
pub(in crate::source::hook) static KIND: RegistrationKind = kind(
    "gerrit",
    |input| Ok(Arc::new(Gerrit::check(input)?)),
    &["auth"],
);

const USER: &str = "auth.username";
const PASSWORD: &str = "auth.password";

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Config {
    auth: BasicAuth,
    events: Vec<String>,
    #[serde(rename = "gerritBaseURL")]
    base_url: String,
    hook_name: String,
    projects: Vec<String>,
    ssl_verify: bool,
}

#[derive(Debug)]
struct Gerrit {
    target: Target,
    /// The remotes of each project.
    remotes: Vec<Url>,
    name: String,
    hook: Value,
    secrets: Vec<(&'static str, KeySelector)>,
}

impl Gerrit {
    fn check(input: &Input<'_>) -> Result<Self, FieldError> {
        let config: Config = input.decode()?;
        let target = Target::check(input)?;
        let base = base(input, "gerritBaseURL", &config.base_url, "")?;
        if config.hook_name.is_empty() {
            return Err(input.wrong("hookName", "must not be empty"));
        }
        let projects = config.projects.len();
        if projects == 0 || projects > PLACES {
            let message = format!("names {projects} projects; it may be 1 to {PLACES}");
            return Err(input.wrong("projects", message));
        }
        let mut secrets = Vec::new();
        for (field, key) in [
            (USER, config.auth.username),
            (PASSWORD, config.auth.password),
        ] {
            secrets.push((field, key.ok_or_else(|| input.wrong(field, "must be set"))?));
        }
        // Below `a` a request is answered as the user who asks.
        let remotes = config.projects.iter().map(|project| {
            let path = [
                "a",
                "config",
                "server",
                "webhooks~projects",
                project,
                "remotes",
            ];
            below(&base, path)
        });
        let mut hook = json!({"url": target.url, "sslVerify": config.ssl_verify});
        if !config.events.is_empty() {
            hook["events"] = json!(config.events);
        }
        Ok(Self {
            remotes: remotes.collect(),
            target,
            name: config.hook_name,
            hook,
            secrets,
        })
    }

    fn session<'c>(&self, context: &'c ServiceContext) -> Result<Session<'c>, SourceError> {
        let secret = |field| context.secret(field).map_or("", |secret| secret.expose());
        let pair = BASE64_STANDARD.encode(format!("{}:{}", secret(USER), secret(PASSWORD)));
        context.hide(&pair);
        let headers: HeaderMap = secret_header(header::AUTHORIZATION, &format!("Basic {pair}"));
        let server = HttpServer::new(&self.remotes[0], context, &TlsSettings::default())?;
        Ok(Session::new(context, server, headers))
    }

    /// The remote of our name, as it is.
    async fn found(
        &self,
        session: &Session<'_>,
        remotes: &Url,
    ) -> Result<Option<Value>, SourceError> {
        // The plugin answers with a list below a path that ends in a slash.
        let answer = session.ask(Method::GET, below(remotes, [""]), None).await?;
        let Value::Object(mut all) = answer else {
            return Err(session.failed("the answer is no list of webhooks"));
        };
        Ok(all.remove(&self.name))
    }

    async fn register_at(&self, session: &Session<'_>, remotes: &Url) -> Result<(), SourceError> {
        let found = self.found(session, remotes).await?;
        if found.is_some_and(|found| holds(&with_defaults(found), &self.hook)) {
            return Ok(());
        }
        let url = below(remotes, [self.name.as_str()]);
        session.ask(Method::PUT, url, Some(&self.hook)).await?;
        let context = session.context();
        tracing::info!(eventsource = %context.key, event = context.event(), %remotes, "webhook registered");
        Ok(())
    }

    async fn remove_at(&self, session: &Session<'_>, remotes: &Url) -> Result<(), SourceError> {
        let found = self.found(session, remotes).await?;
        let ours = found.is_some_and(|found| found["url"] == json!(self.target.url));
        if ours {
            session.remove(below(remotes, [self.name.as_str()])).await?;
            let context = session.context();
            tracing::info!(eventsource = %context.key, event = context.event(), %remotes, "webhook removed");
        }
        Ok(())
    }
}

/// Gerrit leaves out what is false.
fn with_defaults(mut found: Value) -> Value {
    if found.get("sslVerify").is_none() {
        found["sslVerify"] = json!(false);
    }
    found
}

impl Source for Gerrit {
    fn secrets(&self) -> Vec<(&'static str, KeySelector)> {
        self.secrets.clone()
    }

    fn registered(&self) -> Option<&dyn Registered> {
        Some(self)
    }

    fn run<'s>(&'s self, context: &'s SourceContext) -> BoxFuture<'s, Result<(), SourceError>> {
        keep(self, context).boxed()
    }
}

impl Registering for Gerrit {
    fn target(&self) -> &Target {
        &self.target
    }

    fn places(&self) -> BTreeSet<String> {
        let name = &self.name;
        let remotes = self.remotes.iter();
        remotes
            .map(|url| below(url, [name.as_str()]).into())
            .collect()
    }

    fn register<'r>(
        &'r self,
        context: &'r ServiceContext,
    ) -> BoxFuture<'r, Result<(), SourceError>> {
        async move {
            let session = self.session(context)?;
            for remotes in &self.remotes {
                self.register_at(&session, remotes).await?;
            }
            Ok(())
        }
        .boxed()
    }

    fn unregister<'r>(
        &'r self,
        context: &'r ServiceContext,
        removes: &'r (dyn Fn(&str) -> bool + Sync),
    ) -> BoxFuture<'r, Result<(), SourceError>> {
        async move {
            let session = self.session(context)?;
            let mut first = Ok(());
            for remotes in &self.remotes {
                if removes(below(remotes, [self.name.as_str()]).as_str()) {
                    first = first.and(self.remove_at(&session, remotes).await);
                }
            }
            first
        }
        .boxed()
    }
}
