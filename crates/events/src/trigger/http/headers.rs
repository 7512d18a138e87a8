//! The headers of a call.

use http::{HeaderMap, HeaderName, HeaderValue};
use secrecy::ExposeSecret;

use super::HttpRequest;
use crate::{
    api::trigger::BasicAuth,
    http_client,
    trigger::{Run, TriggerError},
};

/// The same for every try of the same firing: lets a receiver drop repetitions.
const IDEMPOTENCY: HeaderName = HeaderName::from_static("idempotency-key");

async fn basic_auth(auth: &BasicAuth, run: Run<'_>) -> Result<HeaderValue, TriggerError> {
    let namespace = &run.firing.sensor.namespace;
    let mut parts = Vec::new();
    for key in [&auth.username, &auth.password] {
        let part = match key {
            Some(key) => run.executor.secrets.secret(namespace, key).await?,
            None => None,
        };
        parts.push(part.map_or_else(String::new, |part| part.expose_secret().to_owned()));
    }
    if let [name, password] = parts.as_slice() {
        run.executor.secrets.read_login(name, password);
    }
    Ok(http_client::basic_auth(&parts.join(":")))
}

/// The headers of a call; where two say the same, the later one of upstream's order wins.
pub(super) async fn headers(
    request: &HttpRequest,
    run: Run<'_>,
) -> Result<HeaderMap, TriggerError> {
    let action = &request.action;
    let mut headers = HeaderMap::new();
    if request.body.is_some() {
        headers.insert(
            http::header::CONTENT_TYPE,
            HeaderValue::from_static("application/json"),
        );
    }
    headers.insert(IDEMPOTENCY, value("Idempotency-Key", &run.firing.id)?);
    if let Some(host) = action.host.as_deref().filter(|host| !host.is_empty()) {
        headers.insert(http::header::HOST, value("Host", host)?);
    }
    for (name, text) in &action.headers {
        headers.insert(header_name(name)?, value(name, text)?);
    }
    for (name, text) in &request.dynamic_headers {
        headers.insert(header_name(name)?, value(name, text)?);
    }
    for header in &action.secure_headers {
        let Some(from) = &header.value_from else {
            continue;
        };
        let secrets = &run.executor.secrets;
        let namespace = &run.firing.sensor.namespace;
        if let Some(text) = secrets.value_from(namespace, from).await? {
            let mut secret = value(&header.name, text.expose_secret())?;
            secret.set_sensitive(true);
            headers.insert(header_name(&header.name)?, secret);
        }
    }
    if let Some(auth) = &action.basic_auth {
        headers.insert(http::header::AUTHORIZATION, basic_auth(auth, run).await?);
    }
    Ok(headers)
}

fn header_name(name: &str) -> Result<HeaderName, TriggerError> {
    name.parse()
        .map_err(|_| TriggerError::Failed(format!("{name:?} cannot be the name of a header")))
}

fn value(name: &str, text: &str) -> Result<HeaderValue, TriggerError> {
    let failed = || TriggerError::Failed(format!("the value for header {name} cannot be sent"));
    HeaderValue::from_str(text).map_err(|_| failed())
}
