//! Services that keep webhooks in lists: what is there is listed, a hook with our URL is changed where it differs, and
//! one that is missing is created.

use std::{collections::BTreeSet, fmt};

use futures::{FutureExt, future::BoxFuture};
use http::{HeaderMap, Method};
use reconcile_core::object::FieldError;
use reqwest::Url;
use serde_json::Value;

use super::{Registering, Target, keep, session::Session};
use crate::{
    api::KeySelector,
    source::{
        http_server::HttpServer,
        kind::{Input, Source, SourceContext, SourceError},
        registered::Registered,
        service_context::ServiceContext,
    },
    tls::TlsSettings,
};

/// Pages of a list that are read.
pub(super) const PAGES: usize = 20;
/// Hooks of a page.
pub(super) const PAGE: usize = 100;
/// Places of one event.
pub(super) const PLACES: usize = 500;

/// Where hooks are kept, and what ours looks like.
pub(super) trait Registrar: fmt::Debug + Send + Sync {
    /// The Secrets that it needs, by field.
    fn secrets(&self) -> Vec<(&'static str, KeySelector)>;

    /// TLS settings of the API.
    fn tls(&self, _context: &ServiceContext) -> TlsSettings {
        TlsSettings::default()
    }

    /// Lists of hooks.
    fn places(&self) -> &[Place];

    /// The headers that prove who asks.
    fn login<'r>(
        &'r self,
        context: &'r ServiceContext,
        server: &'r HttpServer,
    ) -> BoxFuture<'r, Result<HeaderMap, SourceError>>;

    /// Our hook, as it is created.
    fn hook(&self, context: &ServiceContext) -> Value;

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
pub(super) struct Place {
    /// For example `repository shop/api`.
    pub(super) name: String,
    pub(super) url: Url,
}

/// Keeps hooks registered in lists.
#[derive(Debug)]
pub(super) struct Registration<R> {
    registrar: R,
    target: Target,
}

impl<R: Registrar> Registration<R> {
    /// Checks `webhook.url` and its endpoint, and that there is a place for the hook.
    pub(super) fn check(
        input: &Input<'_>,
        registrar: impl FnOnce(&str) -> Result<R, FieldError>,
    ) -> Result<Self, FieldError> {
        let target = Target::check(input)?;
        let registrar = registrar(&target.url)?;
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

impl<R: Registrar + 'static> Source for Registration<R> {
    fn secrets(&self) -> Vec<(&'static str, KeySelector)> {
        self.registrar.secrets()
    }

    fn registered(&self) -> Option<&dyn Registered> {
        Some(self)
    }

    fn run<'s>(&'s self, context: &'s SourceContext) -> BoxFuture<'s, Result<(), SourceError>> {
        keep(self, context).boxed()
    }
}

impl<R: Registrar + 'static> Registering for Registration<R> {
    fn target(&self) -> &Target {
        &self.target
    }

    fn places(&self) -> BTreeSet<String> {
        let places = self.registrar.places().iter();
        places.map(|place| place.url.to_string()).collect()
    }

    fn register<'r>(
        &'r self,
        context: &'r ServiceContext,
    ) -> BoxFuture<'r, Result<(), SourceError>> {
        async move {
            let Some(session) = self.session(context).await? else {
                return Ok(());
            };
            for place in self.registrar.places() {
                let done = self.register_at(&session, place).await;
                done.map_err(|error| place.named(error))?;
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
            let Some(session) = self.session(context).await? else {
                return Ok(());
            };
            let mut first = Ok(());
            let places = self.registrar.places().iter();
            // One place that is gone does not save the hooks of the others.
            for place in places.filter(|place| removes(place.url.as_str())) {
                let done = self.remove_at(&session, place).await;
                first = first.and(done.map_err(|error| place.named(error)));
            }
            first
        }
        .boxed()
    }
}

impl Place {
    fn named(&self, error: SourceError) -> SourceError {
        match error {
            SourceError::Server { server, reason } => SourceError::Server {
                server,
                reason: format!("{}: {reason}", self.name),
            },
            other => other,
        }
    }
}

impl<R: Registrar> Registration<R> {
    /// `None` where there is no place to ask.
    async fn session<'c>(
        &self,
        context: &'c ServiceContext,
    ) -> Result<Option<Session<'c>>, SourceError> {
        let Some(first) = self.registrar.places().first() else {
            return Ok(None);
        };
        let server = HttpServer::new(&first.url, context, &self.registrar.tls(context))?;
        let headers = self.registrar.login(context, &server).await?;
        Ok(Some(Session::new(context, server, headers)))
    }

    /// The hooks of a place that call us. As soon as there are some, further pages are not read.
    async fn ours(&self, session: &Session<'_>, place: &Place) -> Result<Vec<Value>, SourceError> {
        for page in 0..PAGES {
            let mut url = place.url.clone();
            url.set_query(Some(&self.registrar.page(page)));
            let answer = session.ask(Method::GET, url, None).await?;
            let Some(hooks) = self.registrar.listed(&answer) else {
                return Err(session.failed("the answer is no list of webhooks"));
            };
            let ours = |hook: &&Value| self.registrar.url_of(hook) == Some(&self.target.url);
            let found: Vec<Value> = hooks.iter().filter(ours).cloned().collect();
            if !found.is_empty() || hooks.len() < PAGE {
                return Ok(found);
            }
        }
        Ok(Vec::new())
    }

    /// Makes one hook with our URL be there as it should be.
    async fn register_at(&self, session: &Session<'_>, place: &Place) -> Result<(), SourceError> {
        let wanted = self.registrar.hook(session.context());
        if let Some(found) = self.ours(session, place).await?.first() {
            if holds(found, &wanted) {
                return Ok(());
            }
            let url = url_of(session, place, found)?;
            let edit = self.registrar.edit();
            return session.ask(edit, url, Some(&wanted)).await.map(drop);
        }
        session
            .ask(Method::POST, place.url.clone(), Some(&wanted))
            .await?;
        let context = session.context();
        tracing::info!(eventsource = %context.key, event = context.event(), place = place.name, "webhook registered");
        Ok(())
    }

    /// Removes all hooks with our URL.
    async fn remove_at(&self, session: &Session<'_>, place: &Place) -> Result<(), SourceError> {
        // A page that lost its hooks is read again, because others may have moved up.
        for _ in 0..PAGES {
            let found = self.ours(session, place).await?;
            if found.is_empty() {
                return Ok(());
            }
            for hook in &found {
                session.remove(url_of(session, place, hook)?).await?;
            }
            let context = session.context();
            tracing::info!(eventsource = %context.key, event = context.event(), place = place.name, "webhook removed");
        }
        Err(session.failed("the webhook is listed again and again after its removal"))
    }
}

/// Where a listed hook is changed and removed.
fn url_of(session: &Session<'_>, place: &Place, hook: &Value) -> Result<Url, SourceError> {
    let id = ["id", "uuid"].iter().find_map(|field| match &hook[*field] {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    });
    let id = id.ok_or_else(|| session.failed("a listed webhook has no id"))?;
    let mut url = place.url.clone();
    if let Ok(mut path) = url.path_segments_mut() {
        path.push(&id);
    }
    Ok(url)
}

/// Fields that a service takes and does not show again.
const WRITE_ONLY: [&str; 4] = ["secret", "token", "configuration", "name"];

/// Whether everything of `wanted` is in `found`, as far as the service shows it. Lists are sets.
pub(super) fn holds(found: &Value, wanted: &Value) -> bool {
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
