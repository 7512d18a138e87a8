//! Registers webhooks at the services that call them, where a manifest gives credentials and the URL to be called, and
//! removes them with their event where it wants that.
//!
//! A [`Registering`] makes the service call us, and undoes that. Most services keep webhooks in lists: for these a
//! [`list::Registrar`] says where the lists are and what a hook looks like. What is registered is checked now and
//! then, because somebody may delete a hook by hand.

mod bitbucket;
mod bitbucket_server;
mod gerrit;
mod github;
mod github_app;
mod gitlab;
mod list;
mod session;
mod sns;
mod storage_grid;
mod stripe;

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use futures::future::BoxFuture;
use reconcile_core::object::FieldError;
use reqwest::Url;
use serde::Deserialize;
use serde_json::Value;

use crate::source::{
    kind::{Input, Source, SourceContext, SourceError, SourceKind},
    registered::Registered,
    service_context::ServiceContext,
};

pub(super) use bitbucket::KIND as BITBUCKET;
pub(super) use bitbucket_server::KIND as BITBUCKET_SERVER;
pub(super) use gerrit::KIND as GERRIT;
pub(super) use github::KIND as GITHUB;
pub(super) use github_app::{GitHubApp, PRIVATE_KEY, question, token_of};
pub(super) use gitlab::KIND as GITLAB;
pub(super) use session::{base, below};
pub(super) use sns::KIND as SNS;
pub(super) use storage_grid::KIND as STORAGE_GRID;
pub(super) use stripe::KIND as STRIPE;

/// How often hooks are checked.
const LOOK: Duration = Duration::from_secs(10 * 60);
/// Pauses after a failure: from, to.
const PAUSES: (Duration, Duration) = (Duration::from_secs(5), Duration::from_secs(300));

/// How the hooks of a service are registered.
#[derive(Debug)]
pub struct RegistrationKind {
    /// Runs the registration. Its key is that of the service.
    pub task: SourceKind,
    /// Fields that give credentials: without one of them nothing is registered.
    pub credentials: &'static [&'static str],
    /// A field that must be true too, where upstream has one.
    pub asked_by: Option<&'static str>,
}

impl RegistrationKind {
    /// Whether the settings of an event ask for it.
    pub fn is_wanted(&self, event: &Value) -> bool {
        let given = |value: Option<&Value>| value.is_some_and(|value| !value.is_null());
        let url = event.pointer("/webhook/url").and_then(Value::as_str);
        let asked = |field| event.get(field).and_then(Value::as_bool) == Some(true);
        url.is_some_and(|url| !url.is_empty())
            && self.asked_by.is_none_or(asked)
            && self
                .credentials
                .iter()
                .any(|field| given(event.get(*field)))
    }
}

/// What has a service call an endpoint.
trait Registering: Source {
    /// What is called.
    fn target(&self) -> &Target;

    /// Where it is registered, by name.
    fn places(&self) -> BTreeSet<String>;

    /// Makes everything registered as it should be.
    fn register<'r>(
        &'r self,
        context: &'r ServiceContext,
    ) -> BoxFuture<'r, Result<(), SourceError>>;

    /// Removes what is registered, but where the name of the place is refused by `removes`. Services whose manifests have
    /// no field that asks for this are left alone.
    fn unregister<'r>(
        &'r self,
        _context: &'r ServiceContext,
        _removes: &'r (dyn Fn(&str) -> bool + Sync),
    ) -> BoxFuture<'r, Result<(), SourceError>> {
        Box::pin(std::future::ready(Ok(())))
    }
}

impl<R: Registering> Registered for R {
    fn ends_with_event(&self) -> bool {
        self.target().ends_with_event
    }

    fn names(&self, _uid: &str, _event: &str) -> BTreeSet<String> {
        let places = self.places().into_iter();
        places.map(|place| self.target().at(&place)).collect()
    }

    fn remove<'r>(
        &'r self,
        context: &'r ServiceContext,
        kept: &'r BTreeSet<String>,
    ) -> BoxFuture<'r, Result<(), SourceError>> {
        Box::pin(async move {
            let removes = |place: &str| !kept.contains(&self.target().at(place));
            self.unregister(context, &removes).await
        })
    }
}

/// The URL that a service is to call.
#[derive(Debug)]
struct Target {
    url: String,
    ends_with_event: bool,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct TargetConfig {
    webhook: WebhookConfig,
    delete_hook_on_finish: bool,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct WebhookConfig {
    url: String,
    endpoint: String,
}

impl Target {
    /// Checks `webhook.url` and its endpoint.
    fn check(input: &Input<'_>) -> Result<Self, FieldError> {
        let config: TargetConfig = input.decode()?;
        let base = config.webhook.url.trim_end_matches('/');
        let url = Url::parse(base).ok();
        if !url.is_some_and(|url| matches!(url.scheme(), "http" | "https")) {
            let message = format!("{base:?} is not a URL with http or https");
            return Err(input.wrong("webhook.url", message));
        }
        let endpoint = config.webhook.endpoint.trim_start_matches('/');
        Ok(Self {
            url: format!("{base}/{endpoint}"),
            ends_with_event: config.delete_hook_on_finish,
        })
    }

    /// The name of its hook at a place.
    fn at(&self, place: &str) -> String {
        format!("{place} {}", self.url)
    }
}

/// Registers the hook, and looks at it again and again. It brings no event in.
async fn keep(registering: &impl Registering, context: &SourceContext) -> Result<(), SourceError> {
    let mut pause = PAUSES.0;
    loop {
        match registering.register(context).await {
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

/// The task of a service.
const fn kind(
    key: &'static str,
    check: fn(&Input<'_>) -> Result<Arc<dyn Source>, FieldError>,
    credentials: &'static [&'static str],
) -> RegistrationKind {
    RegistrationKind {
        task: SourceKind { key, check },
        credentials,
        asked_by: None,
    }
}
