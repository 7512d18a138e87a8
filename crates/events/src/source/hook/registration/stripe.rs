//! Webhook endpoints of an account at Stripe.

use std::{collections::BTreeSet, sync::Arc};

use futures::{FutureExt, future::BoxFuture};
use http::Method;
use reconcile_core::object::FieldError;
use reqwest::Url;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    Registering, RegistrationKind, Target, keep, kind,
    list::{PAGE, PAGES, holds},
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
pub(in crate::source::hook) static KIND: RegistrationKind = RegistrationKind {
    asked_by: Some("createWebhook"),
    ..kind(
        "stripe",
        |input| Ok(Arc::new(Stripe::check(input, "https://api.stripe.com")?)),
        &["apiKey"],
    )
};

const KEY: &str = "apiKey";

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Config {
    api_key: Option<KeySelector>,
    event_filter: Vec<String>,
}

#[derive(Debug)]
struct Stripe {
    target: Target,
    endpoints: Url,
    events: Vec<String>,
    key: KeySelector,
}

impl Stripe {
    fn check(input: &Input<'_>, server: &str) -> Result<Self, FieldError> {
        let config: Config = input.decode()?;
        let key = config
            .api_key
            .ok_or_else(|| input.wrong(KEY, "must be set"))?;
        // Stripe requires a list, and takes this for all.
        let events = match config.event_filter.as_slice() {
            [] => vec!["*".to_owned()],
            _ => config.event_filter,
        };
        Ok(Self {
            target: Target::check(input)?,
            endpoints: below(&base(input, KEY, server, "")?, ["v1", "webhook_endpoints"]),
            events,
            key,
        })
    }

    /// The endpoint with our URL.
    async fn found(&self, session: &Session<'_>) -> Result<Option<Value>, SourceError> {
        let mut after: Option<String> = None;
        for _ in 0..PAGES {
            let mut url = self.endpoints.clone();
            url.query_pairs_mut()
                .append_pair("limit", &PAGE.to_string());
            if let Some(after) = &after {
                url.query_pairs_mut().append_pair("starting_after", after);
            }
            let answer = session.ask(Method::GET, url, None).await?;
            let Some(all) = answer["data"].as_array() else {
                return Err(session.failed("the answer is no list of webhooks"));
            };
            if let Some(ours) = all.iter().find(|one| one["url"] == json!(self.target.url)) {
                return Ok(Some(ours.clone()));
            }
            after = all
                .last()
                .and_then(|last| last["id"].as_str())
                .map(str::to_owned);
            if answer["has_more"] != json!(true) || after.is_none() {
                break;
            }
        }
        Ok(None)
    }

    async fn ensure(&self, context: &ServiceContext) -> Result<(), SourceError> {
        let server = HttpServer::new(&self.endpoints, context, &TlsSettings::default())?;
        let session = Session::new(context, server, bearer(context, KEY));
        let mut fields: Vec<_> = self
            .events
            .iter()
            .map(|event| ("enabled_events[]", event.as_str()))
            .collect();
        let url = match self.found(&session).await? {
            Some(found) if holds(&found, &json!({ "enabled_events": self.events })) => {
                return Ok(());
            }
            Some(found) => {
                let id = found["id"].as_str().unwrap_or_default();
                below(&self.endpoints, [id])
            }
            None => {
                fields.push(("url", &self.target.url));
                self.endpoints.clone()
            }
        };
        session.submit(url, &fields).await?;
        tracing::info!(eventsource = %context.key, event = context.event(), "webhook registered");
        Ok(())
    }
}

impl Source for Stripe {
    fn secrets(&self) -> Vec<(&'static str, KeySelector)> {
        vec![(KEY, self.key.clone())]
    }

    fn run<'s>(&'s self, context: &'s SourceContext) -> BoxFuture<'s, Result<(), SourceError>> {
        keep(self, context).boxed()
    }
}

impl Registering for Stripe {
    fn target(&self) -> &Target {
        &self.target
    }

    fn places(&self) -> BTreeSet<String> {
        [self.endpoints.to_string()].into()
    }

    fn register<'r>(
        &'r self,
        context: &'r ServiceContext,
    ) -> BoxFuture<'r, Result<(), SourceError>> {
        self.ensure(context).boxed()
    }
}

#[cfg(test)]
mod tests {
    use axum::{Router, body::Bytes};
    use http::{HeaderMap, Uri};
    use parking_lot::Mutex;

    use super::*;
    use crate::{
        source::{SourceLimits, TaskEvent, kind::SourceKind},
        trigger::stage::Stage,
    };

    static KIND: SourceKind = SourceKind {
        key: "stripe",
        check: |input| Ok(Arc::new(Stripe::check(input, "http://nowhere")?)),
    };

    /// What Stripe is asked when it knows these endpoints.
    async fn asked(known: Value) -> Vec<String> {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await;
        let listener = listener.expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("bound"));
        let log: Arc<Mutex<Vec<String>>> = Arc::default();
        let got = log.clone();
        let app = Router::new().fallback(
            move |method: Method, uri: Uri, headers: HeaderMap, body: Bytes| {
                assert_eq!(headers["authorization"], "Bearer sk_hush");
                let body = String::from_utf8_lossy(&body).into_owned();
                got.lock().push(format!("{method} {uri} {body}"));
                std::future::ready(json!({"data": known, "has_more": false}).to_string())
            },
        );
        tokio::spawn(async move { axum::serve(listener, app).await });
        let config = json!({
            "webhook": {"url": "https://events.shop", "endpoint": "/pay", "port": "1"}, "createWebhook": true,
            "apiKey": {"name": "s", "key": "k"}, "eventFilter": ["charge.failed", "charge.succeeded"],
        });
        let mut task = TaskEvent::check(&KIND, "pay", &config).expect("checked");
        task.secrets = vec!["sk_hush".into()];
        let stage = Stage::with_secret(&json!({}));
        let limits = SourceLimits::of_tests(&stage.executor);
        let key = reconcile_core::object::ObjectKey::new("ns", "src");
        let clock = stage.executor.clock.clone();
        let context = ServiceContext::new(&task, (&key, "uid"), clock, &limits);
        let input = Input {
            path: "spec.stripe.pay",
            value: &config,
        };
        let stripe = Stripe::check(&input, &url).expect("checked");
        stripe.register(&context).await.expect("registered");
        log.lock().clone()
    }

    #[tokio::test]
    async fn an_endpoint_is_created_changed_or_left_as_it_is() {
        let list = "GET /v1/webhook_endpoints?limit=100 ";
        let events = "enabled_events%5B%5D=charge.failed&enabled_events%5B%5D=charge.succeeded";
        let ours = |events: &[&str]| {
            json!([
                {"id": "we_1", "url": "https://other"},
                {"id": "we_2", "url": "https://events.shop/pay", "enabled_events": events},
            ])
        };
        let url = "https%3A%2F%2Fevents.shop%2Fpay";
        let created = format!("POST /v1/webhook_endpoints {events}&url={url}");
        assert_eq!(asked(json!([])).await, [list, &created]);
        let changed = format!("POST /v1/webhook_endpoints/we_2 {events}");
        assert_eq!(asked(ours(&["charge.failed"])).await, [list, &changed]);
        let same = ours(&["charge.succeeded", "charge.failed"]);
        assert_eq!(asked(same).await, [list]);
    }
}
