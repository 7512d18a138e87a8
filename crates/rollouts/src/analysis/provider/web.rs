//! Any HTTP endpoint: the value is its answer, or a part of it.

use std::time::Duration;

use expressions::{analysis::AnalysisValue, jsonpath::JsonPath};
use futures::future::BoxFuture;
use reconcile_core::object::FieldError;
use reqwest::{
    Method, Url,
    header::{CONTENT_TYPE, HeaderValue},
};
use serde_json::Value;

use super::{
    MetricProvider, Reading, Step, Task,
    checks::{self, SECRET_STAND_IN, filled},
    error::ProviderError,
    http::{Call, Login, Signature, headers},
};
use crate::api::analysis::{Provider, Web};

/// Time that a call may take where the metric says nothing.
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(10);

/// Calls of any HTTP endpoint.
pub(super) struct WebProvider;

impl MetricProvider for WebProvider {
    fn name(&self) -> &'static str {
        "web"
    }

    fn check(&self, spec: &Provider) -> Result<(), FieldError> {
        spec.web.as_ref().map_or(Ok(()), check)
    }

    fn deadline(&self, spec: &Provider) -> Duration {
        spec.web.as_ref().map_or(DEFAULT_TIMEOUT, timeout)
    }

    fn run<'a>(&'a self, task: &'a Task<'a>) -> BoxFuture<'a, Result<Step, ProviderError>> {
        Box::pin(async move {
            let spec = task.spec(|provider| provider.web.as_ref())?;
            let call = call(task, spec)?;
            let reply = task.tools.http.send(call, task.redactor).await?;
            if !reply.status.is_success() {
                let code = reply.status.as_u16();
                let message = format!("received non 2xx response code: {code}");
                return Err(ProviderError::status(reply.status, &reply.headers, message));
            }
            reading(spec, &reply.body).map(Step::Read)
        })
    }
}

fn check(spec: &Web) -> Result<(), FieldError> {
    checks::url("web.url", &spec.url)?;
    let has_body = filled(spec.body.as_ref()).is_some();
    match filled(spec.method.as_ref()).unwrap_or("GET") {
        "GET" if has_body || spec.json_body.is_some() => {
            let field = if has_body { "web.body" } else { "web.jsonBody" };
            return Err(FieldError::new(
                field,
                "body and jsonBody need the method POST or PUT",
            ));
        }
        "GET" | "POST" | "PUT" => {}
        other if other.contains(SECRET_STAND_IN) => {}
        other => {
            let message = format!("{other:?} is none of GET, POST and PUT");
            return Err(FieldError::new("web.method", message));
        }
    }
    if has_body && spec.json_body.is_some() {
        let message = "use either body or jsonBody; a call has one of them";
        return Err(FieldError::new("web.jsonBody", message));
    }
    checks::headers("web.headers", &spec.headers)?;
    checks::login("web.authentication", spec.authentication.as_ref())?;
    if let Some(path) = filled(spec.json_path.as_ref())
        && !path.contains(SECRET_STAND_IN)
    {
        JsonPath::parse(path).map_err(|error| {
            let message = format!("{error}; use for example {{$.data.value}}");
            FieldError::new("web.jsonPath", message)
        })?;
    }
    Ok(())
}

fn timeout(spec: &Web) -> Duration {
    // A negative time means the default, as upstream has it.
    checks::seconds(spec.timeout_seconds, DEFAULT_TIMEOUT).unwrap_or(DEFAULT_TIMEOUT)
}

fn call(task: &Task<'_>, spec: &Web) -> Result<Call, ProviderError> {
    let url = checks::parse_url(&spec.url).map_err(ProviderError::invalid)?;
    let authentication = spec.authentication.as_ref();
    let login = match signature(spec, &url) {
        Some(signature) => Login::Signature(signature),
        None => Login::token(authentication, task.redactor)?,
    };
    let mut call = Call::get(url, timeout(spec));
    call.method = match filled(spec.method.as_ref()).unwrap_or("GET") {
        "POST" => Method::POST,
        "PUT" => Method::PUT,
        _ => Method::GET,
    };
    call.headers = headers(&spec.headers, authentication, task.redactor)?;
    if let Some(json) = &spec.json_body {
        let json_type = HeaderValue::from_static("application/json");
        call.headers.insert(CONTENT_TYPE, json_type);
        call.body = json.to_string().into_bytes();
    } else if let Some(text) = filled(spec.body.as_ref()) {
        call.body = text.as_bytes().to_vec();
    }
    call.insecure = spec.insecure;
    call.login = login;
    Ok(call)
}

/// Whom the request is signed as, when the metric asks for a signature.
fn signature(spec: &Web, url: &Url) -> Option<Signature> {
    let sigv4 = spec.authentication.as_ref()?.sigv4.as_ref()?;
    let fields = [&sigv4.region, &sigv4.profile, &sigv4.role_arn];
    fields
        .iter()
        .any(|field| filled(field.as_ref()).is_some())
        .then(|| Signature {
            service: service(url.host_str().unwrap_or_default()),
            region: sigv4.region.clone().unwrap_or_default(),
            profile: sigv4.profile.clone().unwrap_or_default(),
            role_arn: sigv4.role_arn.clone().unwrap_or_default(),
        })
}

/// The service of AWS that a host belongs to. A host of one's own stands for API Gateway, which is what
/// signed endpoints of one's own run behind.
fn service(host: &str) -> &'static str {
    const SERVICES: &[(&str, &str)] = &[
        ("aps-workspaces", "aps"),
        ("lambda-url", "lambda"),
        ("monitoring", "monitoring"),
        ("vpc-lattice-svcs", "vpc-lattice-svcs"),
    ];
    let is_aws = host.ends_with(".amazonaws.com")
        || host.ends_with(".amazonaws.com.cn")
        || host.ends_with(".on.aws");
    let found = SERVICES
        .iter()
        .find(|(label, _)| is_aws && host.split('.').any(|part| part == *label));
    found.map_or("execute-api", |(_, service)| service)
}

fn reading(spec: &Web, body: &[u8]) -> Result<Reading, ProviderError> {
    let Ok(json) = serde_json::from_slice::<Value>(body) else {
        let text = String::from_utf8_lossy(body).into_owned();
        return Ok(Reading::new(AnalysisValue::String(text.clone()), text));
    };
    let found = match filled(spec.json_path.as_ref()) {
        None => json,
        Some(path) => JsonPath::parse(path)
            .map_err(ProviderError::invalid)?
            .first(&json)
            .map_err(|error| {
                ProviderError::answer(format!("Could not find JSONPath in body: {error}"))
            })?
            .clone(),
    };
    let text = found.to_string();
    Ok(Reading::new(AnalysisValue::Json(found), text))
}

#[cfg(test)]
mod tests {
    use super::service;

    #[test]
    fn the_signed_service_follows_from_the_host() {
        for (host, expected) in [
            ("aps-workspaces.eu-west-1.amazonaws.com", "aps"),
            ("abc.execute-api.eu-west-1.amazonaws.com", "execute-api"),
            ("abc.lambda-url.eu-west-1.on.aws", "lambda"),
            ("monitoring.cn-north-1.amazonaws.com.cn", "monitoring"),
            ("monitoring.example.com", "execute-api"),
        ] {
            assert_eq!(service(host), expected, "{host}");
        }
    }
}
