//! Any HTTP endpoint: the value is its answer, or a part of it.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use expressions::{analysis::AnalysisValue, jsonpath::JsonPath};
use jiff::Timestamp;
use reconcile_core::error::error_chain;
use reqwest::{
    Client, Method, Url,
    header::{CONTENT_TYPE, HeaderMap, HeaderValue},
};
use serde_json::Value;

use futures::{FutureExt, future::BoxFuture};

use super::{
    Environment, Measures, MetricProvider, ProviderError, Reading, Registration,
    http::{ClientOptions, Redirects, TokenLogin, headers, read_body, timeout},
    redaction::Redactor,
};
use crate::api::analysis::{Provider, Web};

/// HTTP endpoints as metrics.
pub(super) const REGISTRATION: Registration = Registration {
    name: "web",
    check,
    measures: Measures::AtOnce(|environment, provider| {
        let web = provider.web.as_ref();
        let web = web.ok_or_else(|| ProviderError::invalid("the metric has no provider.web"))?;
        Ok(Box::new(WebProvider::new(environment, web)?))
    }),
};

/// Time that a call may take where the metric says nothing.
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(10);

fn check(provider: &Provider) -> Result<(), ProviderError> {
    let authentication = provider
        .web
        .as_ref()
        .and_then(|web| web.authentication.as_ref());
    let sigv4 = authentication.and_then(|how| how.sigv4.as_ref());
    if sigv4.is_some_and(|sigv4| sigv4.region.is_some()) {
        return Err(ProviderError::unsupported("web authentication with sigv4"));
    }
    Ok(())
}

/// A call of one endpoint.
#[derive(Debug)]
struct WebProvider {
    client: Client,
    method: Method,
    url: Url,
    body: Option<String>,
    headers: HeaderMap,
    token: Option<TokenLogin>,
    redactor: Arc<Redactor>,
    path: Option<JsonPath>,
    timeout: Duration,
}

impl WebProvider {
    /// The provider for a metric.
    fn new(environment: &Environment<'_>, spec: &Web) -> Result<Self, ProviderError> {
        let text = spec.body.as_deref().filter(|body| !body.is_empty());
        let method = match spec.method.as_deref().unwrap_or_default() {
            "" | "GET" => Method::GET,
            "POST" => Method::POST,
            "PUT" => Method::PUT,
            other => {
                let message = format!("method {other:?}: use GET, POST or PUT");
                return Err(ProviderError::invalid(message));
            }
        };
        if text.is_some() && spec.json_body.is_some() {
            return Err(ProviderError::invalid(
                "use either body or jsonBody, not both",
            ));
        }
        let has_body = text.is_some() || spec.json_body.is_some();
        if method == Method::GET && has_body {
            return Err(ProviderError::invalid(
                "body and jsonBody need the method POST or PUT",
            ));
        }
        let mut headers = headers(&spec.headers, spec.authentication.as_ref())?;
        let token = TokenLogin::new(spec.authentication.as_ref())?;
        let private = has_body || token.is_some() || !headers.is_empty();
        let client = environment.http.client(ClientOptions {
            insecure: spec.insecure,
            redirects: Redirects::for_request(private),
        })?;
        let url = Url::parse(&spec.url)
            .map_err(|error| ProviderError::invalid(format!("url {:?}: {error}", spec.url)))?;
        if spec.json_body.is_some() {
            headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        }
        let body = spec
            .json_body
            .as_ref()
            .map(Value::to_string)
            .or(text.map(str::to_owned));
        let path = spec.json_path.as_deref().filter(|path| !path.is_empty());
        let path = path
            .map(JsonPath::parse)
            .transpose()
            .map_err(ProviderError::invalid)?;
        // A negative time means the default, as upstream has it.
        let timeout = timeout(spec.timeout_seconds, DEFAULT_TIMEOUT).unwrap_or(DEFAULT_TIMEOUT);
        Ok(Self {
            client,
            method,
            url,
            body,
            headers,
            token,
            redactor: Arc::clone(environment.redactor),
            path,
            timeout,
        })
    }

    async fn call(&self) -> Result<Reading, ProviderError> {
        let mut headers = self.headers.clone();
        if let Some(token) = &self.token {
            token
                .log_in(&self.client, &self.redactor, &mut headers)
                .await?;
        }
        let mut request = self
            .client
            .request(self.method.clone(), self.url.clone())
            .headers(headers);
        if let Some(body) = &self.body {
            request = request.body(body.clone());
        }
        let response = request
            .send()
            .await
            .map_err(|error| ProviderError::unavailable(error_chain(&error)))?;
        let status = response.status();
        if !status.is_success() {
            let message = format!("received non 2xx response code: {}", status.as_u16());
            return Err(ProviderError::status(status, response.headers(), message));
        }
        let body = read_body(response).await?;
        self.reading(&body)
    }

    fn reading(&self, body: &[u8]) -> Result<Reading, ProviderError> {
        let (value, text) = match serde_json::from_slice::<Value>(body) {
            Err(_) => {
                let text = String::from_utf8_lossy(body).into_owned();
                (AnalysisValue::String(text.clone()), text)
            }
            Ok(json) => {
                let found = match &self.path {
                    None => &json,
                    Some(path) => path.first(&json).map_err(|error| {
                        ProviderError::answer(format!("Could not find JSONPath in body: {error}"))
                    })?,
                };
                (AnalysisValue::Json(found.clone()), found.to_string())
            }
        };
        Ok(Reading {
            value,
            text,
            metadata: BTreeMap::new(),
        })
    }
}

impl MetricProvider for WebProvider {
    fn read(&self, _: Timestamp) -> BoxFuture<'_, Result<Reading, ProviderError>> {
        async {
            let answered = tokio::time::timeout(self.timeout, self.call()).await;
            answered.map_err(|_| {
                let message = format!("no answer within {} s", self.timeout.as_secs());
                ProviderError::unavailable(message)
            })?
        }
        .boxed()
    }

    fn timeout(&self) -> Duration {
        self.timeout
    }
}
