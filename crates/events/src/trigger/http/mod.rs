//! The http trigger: one call, whatever the answer says, unless a policy lists the statuses that count.

mod client;

use std::{borrow::Cow, time::Duration};

use base64::{Engine, engine::general_purpose::STANDARD};
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use reconcile_core::object::FieldError;
use reqwest::Url;
use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;

pub use client::HttpClients;
use client::{Call, HttpError};

use super::{Executor, Firing, SuccessPolicy, TriggerError};
use crate::{
    api::decode,
    api::{
        KeySelector, TlsConfig,
        trigger::{BasicAuth, HttpTrigger},
    },
    sensor::parameter,
    tls::{ClientCertificate, TlsSettings},
};

/// Deadline when the manifest gives none, as upstream.
const TIMEOUT: Duration = Duration::from_secs(60);
/// An answer is read so far, so that its connection can be used again; nobody looks at it.
const ANSWER: usize = 64 * 1024;
/// The same for every try of the same firing: lets a receiver drop repetitions.
const IDEMPOTENCY: HeaderName = HeaderName::from_static("idempotency-key");

impl From<HttpError> for TriggerError {
    fn from(error: HttpError) -> Self {
        Self::Failed(error.to_string())
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
        let url = Url::parse(&action.url)
            .map_err(|error| FieldError::new(format!("{path}.url"), error.to_string()))?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(FieldError::new(
                format!("{path}.url"),
                "must be http or https",
            ));
        }
    }
    method(action).map_err(|error| FieldError::new(format!("{path}.method"), error))?;
    check_headers(path, action)?;
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

/// Names of headers are tokens; values hold no control characters.
fn check_headers(path: &str, action: &HttpTrigger) -> Result<(), FieldError> {
    let name = |path: String, name: &str| match name.parse::<HeaderName>() {
        Ok(_) => Ok(()),
        Err(_) => Err(FieldError::new(
            path,
            format!("{name:?} is not the name of a header"),
        )),
    };
    for (header, text) in &action.headers {
        name(format!("{path}.headers"), header)?;
        if HeaderValue::from_str(text).is_err() {
            let path = format!("{path}.headers.{header}");
            return Err(FieldError::new(path, "must not hold control characters"));
        }
    }
    for (index, header) in action.secure_headers.iter().enumerate() {
        let path = format!("{path}.secureHeaders[{index}]");
        if header.name.is_empty() || header.value_from.is_none() {
            return Err(FieldError::new(path, "needs a name and valueFrom"));
        }
        name(format!("{path}.name"), &header.name)?;
    }
    for (index, parameter) in action.dynamic_headers.iter().enumerate() {
        if !parameter.dest.is_empty() {
            name(
                format!("{path}.dynamicHeaders[{index}].dest"),
                &parameter.dest,
            )?;
        }
    }
    Ok(())
}

pub(super) fn method(action: &HttpTrigger) -> Result<Method, String> {
    match action.method.as_deref() {
        None | Some("") => Ok(Method::POST),
        Some(name @ ("GET" | "POST" | "PUT" | "PATCH" | "DELETE" | "HEAD" | "OPTIONS")) => {
            Method::from_bytes(name.as_bytes()).map_err(|error| error.to_string())
        }
        Some(other) => Err(format!("{other:?} is not an HTTP method")),
    }
}

/// The action with its own parameters applied.
pub(super) fn patched<'a>(
    action: &'a HttpTrigger,
    firing: &Firing,
) -> Result<Cow<'a, HttpTrigger>, TriggerError> {
    if action.parameters.is_empty() {
        return Ok(Cow::Borrowed(action));
    }
    let document = serde_json::to_value(action).unwrap_or(Value::Null);
    let document = parameter::apply(document, &action.parameters, firing.inputs())?;
    Ok(Cow::Owned(decode("http", &document)?))
}

impl Executor {
    pub(super) async fn call(
        &self,
        action: &HttpTrigger,
        success: &SuccessPolicy,
        firing: &Firing,
    ) -> Result<(), TriggerError> {
        let action = patched(action, firing)?;
        let action = action.as_ref();
        let failed = TriggerError::Failed;
        let url = Url::parse(&action.url).map_err(|error| failed(format!("url: {error}")))?;
        let shown = shown(&url);
        let tls = self.tls(action.tls.as_ref(), firing).await?;
        let client = self.http.get(&tls)?;
        let timeout = action
            .timeout
            .and_then(|seconds| u64::try_from(seconds).ok())
            .filter(|seconds| *seconds > 0);
        let body = if action.payload.is_empty() {
            None
        } else {
            Some(parameter::payload(&action.payload, firing.inputs())?.into())
        };
        let call = Call {
            method: method(action).map_err(failed)?,
            url,
            headers: self.headers(action, firing).await?,
            body,
            timeout: timeout.map_or(TIMEOUT, Duration::from_secs),
        };
        let answer = self
            .http
            .send(&client, call)
            .await
            .map_err(|error| failed(format!("{shown}: {error}")))?;
        let status = answer.status().as_u16();
        drain(answer).await;
        if success.statuses.is_empty() || success.statuses.contains(&status) {
            tracing::debug!(sensor = %firing.sensor, trigger = %firing.trigger, status, "called {shown}");
            Ok(())
        } else {
            Err(failed(format!(
                "{shown} answered {status}, which the policy does not allow"
            )))
        }
    }

    async fn tls(
        &self,
        tls: Option<&TlsConfig>,
        firing: &Firing,
    ) -> Result<TlsSettings, TriggerError> {
        let Some(tls) = tls else {
            return Ok(TlsSettings::default());
        };
        let secret = async |key: Option<&KeySelector>| match key {
            Some(key) => self.secrets.secret(&firing.sensor.namespace, key).await,
            None => Ok(None),
        };
        let certificate = secret(tls.client_cert_secret.as_ref()).await?;
        let key = secret(tls.client_key_secret.as_ref()).await?;
        let text = |secret: SecretString| secret.expose_secret().to_owned();
        Ok(TlsSettings {
            ca: secret(tls.ca_cert_secret.as_ref()).await?.map(text),
            client: certificate.zip(key).map(|(chain, key)| ClientCertificate {
                chain: text(chain),
                key: key.into(),
            }),
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
            parts.push(part.map_or_else(String::new, |part| part.expose_secret().to_owned()));
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
                let mut secret = value(&header.name, text.expose_secret())?;
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

/// A URL without credentials.
pub(super) fn shown(url: &Url) -> String {
    let mut url = url.clone();
    match (url.set_username(""), url.set_password(None)) {
        (Ok(()), Ok(())) => url.to_string(),
        // A URL without a host has neither.
        _ => url.scheme().to_owned(),
    }
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

    /// An HTTP server that answers every request with `answer`, and the headers of what it got.
    async fn server(
        answer: impl Fn() -> axum::response::Response + Clone + Send + Sync + 'static,
    ) -> (String, std::sync::Arc<parking_lot::Mutex<Vec<HeaderMap>>>) {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0")
            .await
            .expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("bound"));
        let got: std::sync::Arc<parking_lot::Mutex<Vec<HeaderMap>>> = std::sync::Arc::default();
        let app = axum::Router::new().fallback({
            let got = got.clone();
            move |headers: HeaderMap| {
                got.lock().push(headers);
                std::future::ready(answer())
            }
        });
        tokio::spawn(async move { axum::serve(listener, app).await });
        (url, got)
    }

    fn redirect(to: String) -> impl Fn() -> axum::response::Response + Clone + Send + Sync {
        move || {
            http::Response::builder()
                .status(307)
                .header("location", &to)
                .body(axum::body::Body::empty())
                .expect("an answer")
        }
    }

    fn call(url: &str) -> Call {
        let mut headers = HeaderMap::new();
        headers.insert("x-plain", HeaderValue::from_static("plain"));
        let mut secret = HeaderValue::from_static("hush");
        secret.set_sensitive(true);
        headers.insert("x-api-key", secret);
        Call {
            method: Method::POST,
            url: Url::parse(url).expect("a URL"),
            headers,
            body: None,
            timeout: TIMEOUT,
        }
    }

    #[tokio::test]
    async fn a_redirect_to_another_server_carries_no_secret_header() {
        reconcile_core::operator::install_tls();
        let clients = HttpClients::default();
        let client = clients.get(&TlsSettings::default()).expect("a client");
        let (other, got) = server(axum::response::Response::default).await;
        let (first, _) = server(redirect(format!("{other}/there"))).await;
        let answer = clients.send(&client, call(&first)).await;
        assert_eq!(answer.expect("an answer").status(), 200);
        let headers = got.lock().pop().expect("one request");
        assert_eq!(
            headers.get("x-plain").map(HeaderValue::as_bytes),
            Some(&b"plain"[..])
        );
        assert_eq!(headers.get("x-api-key"), None);
    }

    #[tokio::test]
    async fn link_local_addresses_are_refused_directly_and_by_redirect() {
        reconcile_core::operator::install_tls();
        let clients = HttpClients::default();
        let client = clients.get(&TlsSettings::default()).expect("a client");
        let metadata = "http://169.254.169.254/latest/meta-data";
        let (first, _) = server(redirect(metadata.to_owned())).await;
        for url in [metadata, &first] {
            let error = clients.send(&client, call(url)).await.expect_err("refused");
            assert!(matches!(error, HttpError::LinkLocal { .. }), "{error}");
        }
    }
}
