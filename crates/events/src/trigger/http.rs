//! The http trigger: one call, whatever the answer says, unless a policy lists the statuses that count.

use std::{collections::HashMap, sync::Arc, time::Duration};

use base64::{Engine, engine::general_purpose::STANDARD};
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use parking_lot::Mutex;
use reconcile_core::object::FieldError;
use reqwest::{Client, Url};
use serde_json::Value;

use super::{Executor, Firing, Success, TriggerError};
use crate::{
    api::{
        TlsConfig,
        trigger::{BasicAuth, HttpTrigger},
    },
    sensor::{checked::decode, parameter},
};

/// Deadline when the manifest gives none, as upstream.
const TIMEOUT: Duration = Duration::from_secs(60);
/// Connections kept per host while they are not used.
const IDLE_CONNECTIONS: usize = 64;
/// A connection that is not used for this long is closed.
const IDLE: Duration = Duration::from_secs(60);
/// Clients with settings of their own; more are made anew when needed.
const MOST_CLIENTS: usize = 64;
/// An answer is read so far, so that its connection can be used again; nobody looks at it.
const ANSWER: usize = 64 * 1024;
/// The same for every try of the same firing: lets a receiver drop repetitions.
const IDEMPOTENCY: HeaderName = HeaderName::from_static("idempotency-key");

/// HTTP clients by their TLS settings. Cloning shares connections.
#[derive(Clone, Default)]
pub struct HttpClients(Arc<Mutex<HashMap<Tls, Client>>>);

#[derive(Clone, Default, PartialEq, Eq, Hash)]
struct Tls {
    ca: Option<String>,
    insecure: bool,
}

impl HttpClients {
    /// Builds the client for the usual settings ahead of the first call: reading the system's
    /// certificates takes tens of milliseconds.
    pub fn warm(&self) {
        if let Err(error) = self.get(Tls::default()) {
            tracing::warn!(error, "cannot build the HTTP client");
        }
    }

    fn get(&self, tls: Tls) -> Result<Client, String> {
        let mut clients = self.0.lock();
        if let Some(client) = clients.get(&tls) {
            return Ok(client.clone());
        }
        let mut builder = Client::builder()
            .pool_max_idle_per_host(IDLE_CONNECTIONS)
            .pool_idle_timeout(IDLE)
            .connect_timeout(Duration::from_secs(10))
            .tcp_nodelay(true)
            .danger_accept_invalid_certs(tls.insecure);
        if let Some(ca) = &tls.ca {
            let certificate = reqwest::Certificate::from_pem(ca.as_bytes());
            builder = builder.add_root_certificate(certificate.map_err(|error| error.to_string())?);
        }
        let client = builder.build().map_err(|error| error.to_string())?;
        if clients.len() >= MOST_CLIENTS {
            clients.clear();
        }
        clients.insert(tls, client.clone());
        Ok(client)
    }
}

/// Checks what can be checked before parameters are applied.
pub(super) fn check(path: &str, action: &HttpTrigger) -> Result<(), FieldError> {
    let patched = |field: &str| {
        action
            .parameters
            .iter()
            .any(|parameter| parameter.dest == field)
    };
    if action.url.is_empty() && !patched("url") {
        return Err(FieldError::new(format!("{path}.url"), "must not be empty"));
    }
    if !patched("url") {
        let url = Url::parse(&action.url);
        let url = url.map_err(|error| FieldError::new(format!("{path}.url"), error.to_string()))?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(FieldError::new(
                format!("{path}.url"),
                "must be http or https",
            ));
        }
    }
    method(action).map_err(|error| FieldError::new(format!("{path}.method"), error))?;
    for (index, header) in action.secure_headers.iter().enumerate() {
        if header.name.is_empty() || header.value_from.is_none() {
            let path = format!("{path}.secureHeaders[{index}]");
            return Err(FieldError::new(path, "needs a name and valueFrom"));
        }
    }
    let lists = [
        ("payload", &action.payload),
        ("dynamicHeaders", &action.dynamic_headers),
    ];
    for (list, parameters) in lists {
        for (index, parameter) in parameters.iter().enumerate() {
            let path = format!("{path}.{list}[{index}]");
            let source = parameter.src.as_ref();
            if source.is_none_or(|source| source.dependency_name.is_empty()) {
                let path = format!("{path}.src.dependencyName");
                return Err(FieldError::new(path, "must not be empty"));
            }
            // Without a destination a value becomes the body.
            if list == "dynamicHeaders" && parameter.dest.is_empty() {
                return Err(FieldError::new(format!("{path}.dest"), "must not be empty"));
            }
        }
    }
    Ok(())
}

fn method(action: &HttpTrigger) -> Result<Method, String> {
    match action.method.as_deref() {
        None | Some("") => Ok(Method::POST),
        Some(name @ ("GET" | "POST" | "PUT" | "PATCH" | "DELETE" | "HEAD" | "OPTIONS")) => {
            Method::from_bytes(name.as_bytes()).map_err(|error| error.to_string())
        }
        Some(other) => Err(format!("{other:?} is not an HTTP method")),
    }
}

impl Executor {
    pub(super) async fn call(
        &self,
        action: &HttpTrigger,
        success: &Success,
        firing: &Firing,
    ) -> Result<(), TriggerError> {
        let patched;
        let action = if action.parameters.is_empty() {
            action
        } else {
            let document = serde_json::to_value(action).unwrap_or(Value::Null);
            let document = parameter::apply(document, &action.parameters, firing.inputs())?;
            patched = decode::<HttpTrigger>("http", &document)?;
            &patched
        };
        let failed = TriggerError::Failed;
        let client = self
            .http
            .get(self.tls(action.tls.as_ref(), firing).await?)
            .map_err(failed)?;
        let timeout = action
            .timeout
            .and_then(|seconds| u64::try_from(seconds).ok());
        let timeout = timeout
            .filter(|seconds| *seconds > 0)
            .map_or(TIMEOUT, Duration::from_secs);
        let mut request = client
            .request(method(action).map_err(failed)?, &action.url)
            .timeout(timeout)
            .headers(self.headers(action, firing).await?);
        if !action.payload.is_empty() {
            request = request.body(parameter::payload(&action.payload, firing.inputs())?);
        }
        let answer = request
            .send()
            .await
            .map_err(|error| failed(explain(&error)))?;
        let status = answer.status().as_u16();
        drain(answer).await;
        if success.statuses.is_empty() || success.statuses.contains(&status) {
            tracing::debug!(sensor = %firing.sensor, trigger = %firing.trigger, status, "called {}", action.url);
            Ok(())
        } else {
            Err(failed(format!(
                "{} answered {status}, which the policy does not allow",
                action.url
            )))
        }
    }

    async fn tls(&self, tls: Option<&TlsConfig>, firing: &Firing) -> Result<Tls, TriggerError> {
        let Some(tls) = tls else {
            return Ok(Tls::default());
        };
        let ca = match &tls.ca_cert_secret {
            Some(key) => self.secrets.secret(&firing.sensor.namespace, key).await?,
            None => None,
        };
        Ok(Tls {
            ca,
            insecure: tls.insecure_skip_verify == Some(true),
        })
    }

    async fn basic_auth(
        &self,
        auth: &BasicAuth,
        firing: &Firing,
    ) -> Result<HeaderValue, TriggerError> {
        let namespace = &firing.sensor.namespace;
        let mut parts = Vec::new();
        for key in [&auth.username, &auth.password] {
            let part = match key {
                Some(key) => self.secrets.secret(namespace, key).await?,
                None => None,
            };
            parts.push(part.unwrap_or_default());
        }
        let text = format!("Basic {}", STANDARD.encode(parts.join(":")));
        let mut secret = value("Authorization", &text)?;
        secret.set_sensitive(true);
        Ok(secret)
    }

    /// The headers of a call; where two say the same, the later one of upstream's order wins.
    async fn headers(
        &self,
        action: &HttpTrigger,
        firing: &Firing,
    ) -> Result<HeaderMap, TriggerError> {
        let mut headers = HeaderMap::new();
        if !action.payload.is_empty() {
            headers.insert(
                http::header::CONTENT_TYPE,
                HeaderValue::from_static("application/json"),
            );
        }
        headers.insert(IDEMPOTENCY, value("Idempotency-Key", &firing.id)?);
        if let Some(host) = action.host.as_deref().filter(|host| !host.is_empty()) {
            headers.insert(http::header::HOST, value("Host", host)?);
        }
        for (name, text) in &action.headers {
            headers.insert(header_name(name)?, value(name, text)?);
        }
        for (index, parameter) in action.dynamic_headers.iter().enumerate() {
            if let Some(text) = parameter::text(index, parameter, firing.inputs())? {
                headers.insert(
                    header_name(&parameter.dest)?,
                    value(&parameter.dest, &text)?,
                );
            }
        }
        for header in &action.secure_headers {
            let Some(from) = &header.value_from else {
                continue;
            };
            if let Some(text) = self
                .secrets
                .value_from(&firing.sensor.namespace, from)
                .await?
            {
                let mut secret = value(&header.name, &text)?;
                secret.set_sensitive(true);
                headers.insert(header_name(&header.name)?, secret);
            }
        }
        if let Some(auth) = &action.basic_auth {
            headers.insert(
                http::header::AUTHORIZATION,
                self.basic_auth(auth, firing).await?,
            );
        }
        Ok(headers)
    }
}

fn header_name(name: &str) -> Result<HeaderName, TriggerError> {
    name.parse()
        .map_err(|_| TriggerError::Failed(format!("{name:?} cannot be the name of a header")))
}

fn value(name: &str, text: &str) -> Result<HeaderValue, TriggerError> {
    let failed = || TriggerError::Failed(format!("the value for header {name} cannot be sent"));
    HeaderValue::from_str(text).map_err(|_| failed())
}

/// The innermost reason; the outer ones only repeat the URL.
fn explain(error: &reqwest::Error) -> String {
    let mut text = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(inner) = source {
        text = format!("{error}: {inner}");
        source = inner.source();
    }
    text
}

async fn drain(mut answer: reqwest::Response) {
    let mut read = 0;
    while let Ok(Some(chunk)) = answer.chunk().await {
        read += chunk.len();
        if read > ANSWER {
            break;
        }
    }
}

#[cfg(test)]
mod tests {
    use reconcile_core::{clock::Clock, object::ObjectKey, operator::Operator, testkit::FakeApi};
    use serde_json::json;

    use super::*;
    use crate::{event::CloudEvent, sensor::parameter::Events, trigger::secrets::Secrets};

    #[tokio::test]
    async fn secret_headers_win_over_those_of_events_and_those_over_plain_ones() {
        let api = FakeApi::new();
        api.put(&json!({
            "apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s", "namespace": "ns"},
            "data": {"user": "dQ==", "word": "cHc=", "header": "c2VjcmV0"},
        }));
        let operator = Operator::detached(api.client(), Clock::system());
        let executor = Executor::new(&operator, Secrets::new(api.client()));
        let now = "2026-01-02T03:04:05Z".parse().expect("a time");
        let data = r#"{"v":"event"}"#;
        let event = CloudEvent::new("7".into(), "src", "webhook", "a", now, data.into());
        let firing = Firing {
            id: "f".into(),
            sensor: ObjectKey::new("ns", "sensor"),
            trigger: "t".into(),
            service_account: "default".into(),
            events: Events::from([("a".to_owned(), event)]),
            now,
        };
        let from_event =
            |dest: &str| json!({"src": {"dependencyName": "a", "dataKey": "v"}, "dest": dest});
        let secret = |key: &str| json!({"name": "s", "key": key});
        let action = json!({
            "url": "http://there/", "host": "elsewhere",
            "headers": {"A": "plain", "B": "plain", "C": "plain", "Authorization": "plain"},
            "dynamicHeaders": [from_event("B"), from_event("C")],
            "secureHeaders": [{"name": "C", "valueFrom": {"secretKeyRef": secret("header")}}],
            "basicAuth": {"username": secret("user"), "password": secret("word")},
        });
        let action: HttpTrigger = serde_json::from_value(action).expect("a trigger");
        let headers = executor.headers(&action, &firing).await.expect("headers");
        let all: Vec<_> = ["a", "b", "c", "host", "authorization", "idempotency-key"]
            .iter()
            .map(|name| headers.get_all(*name).iter().collect::<Vec<_>>())
            .collect();
        let expected = [
            "plain",
            "event",
            "secret",
            "elsewhere",
            "Basic dTpwdw==",
            "f",
        ];
        assert_eq!(all, expected.map(|value| vec![value]));
    }
}
