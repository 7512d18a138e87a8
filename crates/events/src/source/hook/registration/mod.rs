//! Registers webhooks at the services that call them, where a manifest gives credentials and the URL to be called.
//!
//! A [`Registrar`] says where hooks are kept and what one looks like; the rest is the same for all: what is there is
//! listed, a hook with our URL is changed where it differs, and one that is missing is created. The list is read again
//! now and then, because somebody may delete a hook by hand.

mod bitbucket;
mod bitbucket_server;
mod github;
mod github_app;
mod gitlab;

use std::{fmt, sync::Arc, time::Duration};

use bytes::Bytes;
use futures::{FutureExt, future::BoxFuture};
use http::{HeaderMap, HeaderValue, Method, header};
use reconcile_core::object::FieldError;
use reqwest::Url;
use serde_json::Value;

use crate::{
    api::KeySelector,
    http_client::Call,
    source::{
        http_server::HttpServer,
        kind::{Input, Source, SourceContext, SourceError, SourceKind},
    },
    tls::TlsSettings,
};

pub(super) use bitbucket::KIND as BITBUCKET;
pub(super) use bitbucket_server::KIND as BITBUCKET_SERVER;
pub(super) use github::KIND as GITHUB;
pub(super) use gitlab::KIND as GITLAB;

/// How often hooks are checked.
const LOOK: Duration = Duration::from_secs(10 * 60);
/// Pauses after a failure: from, to.
const PAUSES: (Duration, Duration) = (Duration::from_secs(5), Duration::from_secs(300));
/// For one request.
const DEADLINE: Duration = Duration::from_secs(30);
/// Lists of hooks are small.
const ANSWER: usize = 4 << 20;
/// Pages of a list that are read.
const PAGES: usize = 20;
/// Hooks of a page.
const PAGE: usize = 100;
/// Places of one event.
const PLACES: usize = 500;

/// How the hooks of a service are registered.
#[derive(Debug)]
pub struct RegistrationKind {
    /// Runs the registration. Its key is that of the service.
    pub task: SourceKind,
    /// Fields that give credentials: without one of them nothing is registered.
    pub credentials: &'static [&'static str],
}

impl RegistrationKind {
    /// Whether the settings of an event ask for it.
    pub fn is_wanted(&self, event: &Value) -> bool {
        let given = |value: Option<&Value>| value.is_some_and(|value| !value.is_null());
        let url = event.pointer("/webhook/url").and_then(Value::as_str);
        url.is_some_and(|url| !url.is_empty())
            && self
                .credentials
                .iter()
                .any(|field| given(event.get(*field)))
    }
}

/// Where hooks are kept, and what ours looks like.
trait Registrar: fmt::Debug + Send + Sync {
    /// The Secrets that it needs, by field.
    fn secrets(&self) -> Vec<(&'static str, KeySelector)>;

    /// TLS settings of the API.
    fn tls(&self, _context: &SourceContext) -> TlsSettings {
        TlsSettings::default()
    }

    /// Lists of hooks.
    fn places(&self) -> &[Place];

    /// The headers that prove who asks.
    fn login<'r>(
        &'r self,
        context: &'r SourceContext,
        server: &'r HttpServer,
    ) -> BoxFuture<'r, Result<HeaderMap, SourceError>>;

    /// Our hook, as it is created.
    fn hook(&self, context: &SourceContext) -> Value;

    /// Changes a hook.
    fn edit(&self) -> Method {
        Method::PUT
    }

    /// The query of a page, from 0.
    fn page(&self, page: usize) -> String {
        format!("per_page={PAGE}&page={}", page + 1)
    }

    /// The hooks of an answer.
    fn listed<'v>(&self, answer: &'v Value) -> Option<&'v Vec<Value>>;

    /// The URL that a listed hook calls.
    fn url_of<'v>(&self, listed: &'v Value) -> Option<&'v str>;
}

/// A list of hooks.
#[derive(Debug)]
struct Place {
    /// For example `repository shop/api`.
    name: String,
    url: Url,
}

/// Keeps hooks registered. It brings no event in.
#[derive(Debug)]
struct Registration<R> {
    registrar: R,
    /// What is called.
    target: String,
}

impl<R: Registrar> Registration<R> {
    /// Checks `webhook.url` and its endpoint, and that there is a place for the hook.
    fn check(
        input: &Input<'_>,
        registrar: impl FnOnce(&str) -> Result<R, FieldError>,
    ) -> Result<Self, FieldError> {
        let text = |pointer: &str| {
            input
                .value
                .pointer(pointer)
                .and_then(Value::as_str)
                .unwrap_or_default()
        };
        let base = text("/webhook/url").trim_end_matches('/');
        let wrong = || {
            input.wrong(
                "webhook.url",
                format!("{base:?} is not a URL with http or https"),
            )
        };
        let url = Url::parse(base).map_err(|_| wrong())?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(wrong());
        }
        let target = format!(
            "{base}/{}",
            text("/webhook/endpoint").trim_start_matches('/')
        );
        let registrar = registrar(&target)?;
        let places = registrar.places().len();
        if places == 0 || places > PLACES {
            let message = format!(
                "names {places} repositories, projects or organizations for its webhook; it may be 1 to {PLACES}"
            );
            return Err(FieldError::new(input.path, message));
        }
        Ok(Self { registrar, target })
    }
}

impl<R: Registrar> Source for Registration<R> {
    fn secrets(&self) -> Vec<(&'static str, KeySelector)> {
        self.registrar.secrets()
    }

    fn run<'s>(&'s self, context: &'s SourceContext) -> BoxFuture<'s, Result<(), SourceError>> {
        self.keep(context).boxed()
    }
}

impl<R: Registrar> Registration<R> {
    /// Registers the hook, and looks at it again and again.
    async fn keep(&self, context: &SourceContext) -> Result<(), SourceError> {
        let mut pause = PAUSES.0;
        loop {
            match self.register(context).await {
                Ok(()) => {
                    context.report(None);
                    pause = PAUSES.0;
                    tokio::time::sleep(LOOK).await;
                }
                Err(error) => {
                    // A service that refuses is not asked again each second.
                    context.report(Some(format!("cannot register the webhook: {error}")));
                    tokio::time::sleep(pause).await;
                    pause = (pause * 2).min(PAUSES.1);
                }
            }
        }
    }

    async fn register(&self, context: &SourceContext) -> Result<(), SourceError> {
        let Some(first) = self.registrar.places().first() else {
            return Ok(());
        };
        let server = HttpServer::new(&first.url, context, &self.registrar.tls(context))?;
        let mut headers = self.registrar.login(context, &server).await?;
        headers.insert(header::USER_AGENT, HeaderValue::from_static("argo-events"));
        let session = Session {
            context,
            server: &server,
            headers,
        };
        for place in self.registrar.places() {
            let done = self.register_at(&session, place).await;
            done.map_err(|error| match error {
                SourceError::Server { server, reason } => SourceError::Server {
                    server,
                    reason: format!("{}: {reason}", place.name),
                },
                other => other,
            })?;
        }
        Ok(())
    }

    /// Makes one hook with our URL be there as it should be.
    async fn register_at(&self, session: &Session<'_>, place: &Place) -> Result<(), SourceError> {
        let wanted = self.registrar.hook(session.context);
        for page in 0..PAGES {
            let mut url = place.url.clone();
            url.set_query(Some(&self.registrar.page(page)));
            let answer = session.ask(Method::GET, url, None).await?;
            let Some(hooks) = self.registrar.listed(&answer) else {
                return Err(session.server.failed("the answer is no list of webhooks"));
            };
            let ours = |hook: &&Value| self.registrar.url_of(hook) == Some(self.target.as_str());
            if let Some(found) = hooks.iter().find(ours) {
                return self.change(session, place, found, &wanted).await;
            }
            if hooks.len() < PAGE {
                break;
            }
        }
        session
            .ask(Method::POST, place.url.clone(), Some(&wanted))
            .await?;
        tracing::info!(eventsource = %session.context.emitter.key, event = session.context.event(), place = place.name, "webhook registered");
        Ok(())
    }

    async fn change(
        &self,
        session: &Session<'_>,
        place: &Place,
        found: &Value,
        wanted: &Value,
    ) -> Result<(), SourceError> {
        if holds(found, wanted) {
            return Ok(());
        }
        let id = ["id", "uuid"]
            .iter()
            .find_map(|field| match &found[*field] {
                Value::String(text) => Some(text.clone()),
                Value::Number(number) => Some(number.to_string()),
                _ => None,
            });
        let id = id.ok_or_else(|| session.server.failed("a listed webhook has no id"))?;
        let mut url = place.url.clone();
        if let Ok(mut path) = url.path_segments_mut() {
            path.push(&id);
        }
        session
            .ask(self.registrar.edit(), url, Some(wanted))
            .await
            .map(drop)
    }
}

/// Fields that a service takes and does not show again.
const WRITE_ONLY: [&str; 4] = ["secret", "token", "configuration", "name"];

/// Whether everything of `wanted` is in `found`, as far as the service shows it. Lists are sets.
fn holds(found: &Value, wanted: &Value) -> bool {
    match (found, wanted) {
        (Value::Object(found), Value::Object(wanted)) => wanted.iter().all(|(key, wanted)| {
            WRITE_ONLY.contains(&key.as_str())
                || found.get(key).is_some_and(|found| holds(found, wanted))
        }),
        (Value::Array(found), Value::Array(wanted)) => {
            found.len() == wanted.len() && wanted.iter().all(|item| found.contains(item))
        }
        (found, wanted) => found == wanted,
    }
}

/// Requests of one pass.
struct Session<'s> {
    context: &'s SourceContext,
    server: &'s HttpServer,
    headers: HeaderMap,
}

impl Session<'_> {
    async fn ask(
        &self,
        method: Method,
        url: Url,
        body: Option<&Value>,
    ) -> Result<Value, SourceError> {
        let mut headers = self.headers.clone();
        if body.is_some() {
            headers.insert(
                header::CONTENT_TYPE,
                HeaderValue::from_static("application/json"),
            );
        }
        let call = Call {
            method: method.clone(),
            url,
            headers,
            body: body.map(|body| Bytes::from(body.to_string())),
            timeout: DEADLINE,
        };
        ask(self.context, self.server, call).await
    }
}

/// The JSON of an answer that is not a refusal.
async fn ask(
    context: &SourceContext,
    server: &HttpServer,
    call: Call,
) -> Result<Value, SourceError> {
    let method = call.method.clone();
    let answer = server.send(call).await?;
    let status = answer.status();
    let held = server.body(context, answer, ANSWER).await?;
    if !status.is_success() {
        let excerpt = context.excerpt(&String::from_utf8_lossy(&held.bytes));
        return Err(server.failed(&format!("{method} answered {}: {excerpt}", status.as_u16())));
    }
    if held.bytes.is_empty() {
        return Ok(Value::Null);
    }
    serde_json::from_slice(&held.bytes).map_err(|_| server.failed("the answer is not JSON"))
}

/// The headers with a token, which no text shows.
fn bearer(context: &SourceContext, field: &str) -> HeaderMap {
    let token = context.secret(field).map(|token| token.expose().to_owned());
    secret_header(
        header::AUTHORIZATION,
        &format!("Bearer {}", token.unwrap_or_default()),
    )
}

fn secret_header(name: header::HeaderName, value: &str) -> HeaderMap {
    let mut headers = HeaderMap::new();
    if let Ok(mut value) = HeaderValue::from_str(value) {
        value.set_sensitive(true);
        headers.insert(name, value);
    }
    headers
}

/// The base of an API, with a path to which segments are added.
fn base(input: &Input<'_>, field: &str, given: &str, default: &str) -> Result<Url, FieldError> {
    let text = if given.is_empty() { default } else { given };
    let url = Url::parse(text).ok().filter(|url| {
        matches!(url.scheme(), "http" | "https")
            && url.username().is_empty()
            && url.query().is_none()
    });
    url.ok_or_else(|| input.wrong(field, format!("{text:?} is not a URL without a user")))
}

/// A URL below `base`; each segment is one, whatever is in it.
fn below<'s>(base: &Url, segments: impl IntoIterator<Item = &'s str>) -> Url {
    let mut url = base.clone();
    if let Ok(mut path) = url.path_segments_mut() {
        path.pop_if_empty().extend(segments);
    }
    url
}

/// The task of a service.
const fn kind(
    key: &'static str,
    check: fn(&Input<'_>) -> Result<Arc<dyn Source>, FieldError>,
    credentials: &'static [&'static str],
) -> RegistrationKind {
    RegistrationKind {
        task: SourceKind { key, check },
        credentials,
    }
}
