//! An endpoint of a tenant at `StorageGRID`, and the notifications of a bucket that go there.

use std::{collections::BTreeSet, sync::Arc};

use futures::{FutureExt, future::BoxFuture};
use http::Method;
use reconcile_core::object::FieldError;
use reqwest::Url;
use serde::Deserialize;
use serde_json::json;

use super::{
    Registering, RegistrationKind, Target, keep, kind,
    session::{Session, base, bearer, below},
};
use crate::{
    api::KeySelector,
    source::{
        http_server::HttpServer,
        kind::{Input, Source, SourceContext, SourceError},
        service_context::ServiceContext,
    },
    tls::TlsSettings,
};

/// The kind.
pub(in crate::source::hook) static KIND: RegistrationKind = kind(
    "storageGrid",
    |input| Ok(Arc::new(StorageGrid::check(input)?)),
    &["authToken"],
);

const TOKEN: &str = "authToken";

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Config {
    #[serde(rename = "apiURL")]
    api_url: String,
    auth_token: Option<KeySelector>,
    bucket: String,
    events: Vec<String>,
    topic_arn: String,
}

#[derive(Debug)]
struct StorageGrid {
    target: Target,
    api: Url,
    bucket: String,
    events: Vec<String>,
    topic: String,
    token: KeySelector,
}

impl StorageGrid {
    fn check(input: &Input<'_>) -> Result<Self, FieldError> {
        let config: Config = input.decode()?;
        let key = config.auth_token;
        // They become part of a document.
        let plain = |field: &str, text: &str| {
            let known = |c: char| c.is_ascii_alphanumeric() || "-_.:/*".contains(c);
            if !text.is_empty() && text.chars().all(known) {
                return Ok(());
            }
            Err(input.wrong(field, format!("{text:?} is not a name")))
        };
        plain("topicArn", &config.topic_arn)?;
        plain("bucket", &config.bucket)?;
        for event in &config.events {
            plain("events", event)?;
        }
        if config.events.is_empty() {
            return Err(input.wrong("events", "must not be empty"));
        }
        Ok(Self {
            target: Target::check(input)?,
            api: base(input, "apiURL", &config.api_url, "")?,
            bucket: config.bucket,
            events: config.events,
            topic: config.topic_arn,
            token: key.ok_or_else(|| input.wrong(TOKEN, "must be set"))?,
        })
    }

    async fn ensure(&self, context: &ServiceContext) -> Result<(), SourceError> {
        let server = HttpServer::new(&self.api, context, &TlsSettings::default())?;
        let session = Session::new(context, server, bearer(context, TOKEN));
        self.ensure_endpoint(&session).await?;
        let body = json!({ "notification": self.notifications(context.event()) });
        let path = ["org", "containers", self.bucket.as_str(), "notification"];
        let url = below(&self.api, path);
        session.ask(Method::PUT, url, Some(&body)).await.map(drop)
    }

    async fn ensure_endpoint(&self, session: &Session<'_>) -> Result<(), SourceError> {
        let endpoints = below(&self.api, ["org", "endpoints"]);
        let answer = session.ask(Method::GET, endpoints.clone(), None).await?;
        let Some(all) = answer["data"].as_array() else {
            return Err(session.failed("the answer is no list of endpoints"));
        };
        let found = all
            .iter()
            .find(|one| one["endpointURN"] == json!(self.topic));
        match found.map(|found| found["endpointURI"].as_str().unwrap_or_default()) {
            Some(uri) if uri == self.target.url => return Ok(()),
            Some(uri) => {
                // Somebody else may rely on it.
                let reason = format!(
                    "the endpoint {} calls {uri:?} and not {:?}: change it there, or take another topicArn",
                    self.topic, self.target.url
                );
                return Err(session.failed(&reason));
            }
            None => {}
        }
        let context = session.context();
        let wanted = json!({
            "displayName": context.event(), "endpointURI": self.target.url, "endpointURN": self.topic,
            "authType": "anonymous", "insecureTLS": true,
        });
        session.ask(Method::POST, endpoints, Some(&wanted)).await?;
        tracing::info!(eventsource = %context.key, event = context.event(), "webhook registered");
        Ok(())
    }

    /// The notification configuration of S3. Names of events hold nothing that XML would read otherwise.
    fn notifications(&self, event: &str) -> String {
        let events = self.events.iter();
        let events: String = events
            .map(|event| ["<Event>", event, "</Event>"].concat())
            .collect();
        let id: String = event
            .chars()
            .filter(|c| c.is_ascii_alphanumeric() || "-_".contains(*c))
            .collect();
        format!(
            "<NotificationConfiguration><TopicConfiguration><Id>{id}</Id><Topic>{}</Topic>{events}\
             </TopicConfiguration></NotificationConfiguration>",
            self.topic
        )
    }
}

impl Source for StorageGrid {
    fn secrets(&self) -> Vec<(&'static str, KeySelector)> {
        vec![(TOKEN, self.token.clone())]
    }

    fn run<'s>(&'s self, context: &'s SourceContext) -> BoxFuture<'s, Result<(), SourceError>> {
        keep(self, context).boxed()
    }
}

impl Registering for StorageGrid {
    fn target(&self) -> &Target {
        &self.target
    }

    fn places(&self) -> BTreeSet<String> {
        [self.api.to_string()].into()
    }

    fn register<'r>(
        &'r self,
        context: &'r ServiceContext,
    ) -> BoxFuture<'r, Result<(), SourceError>> {
        self.ensure(context).boxed()
    }
}
