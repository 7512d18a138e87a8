//! Any HTTP endpoint: the value is its answer, or a part of it.

use std::{collections::BTreeMap, time::Duration};

use expressions::{analysis::AnalysisValue, jsonpath::JsonPath};
use jiff::Timestamp;
use reconcile_core::reconcile::error_chain;
use reqwest::{
    Client, Method, Url,
    header::{CONTENT_TYPE, HeaderMap, HeaderValue},
};
use serde_json::Value;

use super::{
    MetricProvider, Reading,
    http::{HttpClients, headers, log_in, oauth2, read_body, timeout},
};
use crate::api::analysis::{OAuth2, Web};

/// Time that a call may take where the metric says nothing.
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(10);

/// A call of one endpoint.
#[derive(Debug)]
pub(super) struct WebProvider {
    client: Client,
    method: Method,
    url: Url,
    body: Option<String>,
    headers: HeaderMap,
    token: Option<OAuth2>,
    path: Option<JsonPath>,
    timeout: Duration,
}

impl WebProvider {
    /// The provider for a metric.
    pub(super) fn new(clients: &HttpClients, spec: &Web) -> Result<Self, String> {
        let text = spec.body.as_deref().filter(|body| !body.is_empty());
        let method = match spec.method.as_deref().unwrap_or_default() {
            "" | "GET" => Method::GET,
            "POST" => Method::POST,
            "PUT" => Method::PUT,
            other => return Err(format!("the method {other:?} is none of GET, POST and PUT")),
        };
        if text.is_some() && spec.json_body.is_some() {
            return Err("use either body or jsonBody; a call has one of them".to_owned());
        }
        if method == Method::GET && (text.is_some() || spec.json_body.is_some()) {
            return Err("body and jsonBody need the method POST or PUT".to_owned());
        }
        let client = clients.client(spec.insecure)?;
        let mut headers = headers(&spec.headers, spec.authentication.as_ref())?;
        let url =
            Url::parse(&spec.url).map_err(|error| format!("the url {:?}: {error}", spec.url))?;
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
            .map_err(|error| error.to_string())?;
        // A negative time means the default, as upstream has it.
        let timeout = timeout(spec.timeout_seconds, DEFAULT_TIMEOUT).unwrap_or(DEFAULT_TIMEOUT);
        let token = oauth2(spec.authentication.as_ref()).cloned();
        Ok(Self {
            client,
            method,
            url,
            body,
            headers,
            token,
            path,
            timeout,
        })
    }

    async fn call(&self) -> Result<Reading, String> {
        let mut headers = self.headers.clone();
        if let Some(token) = &self.token {
            log_in(&self.client, token, &mut headers).await?;
        }
        let mut request = self
            .client
            .request(self.method.clone(), self.url.clone())
            .headers(headers);
        if let Some(body) = &self.body {
            request = request.body(body.clone());
        }
        let response = request.send().await.map_err(|error| error_chain(&error))?;
        if !response.status().is_success() {
            return Err(format!(
                "received non 2xx response code: {}",
                response.status().as_u16()
            ));
        }
        let body = read_body(response).await?;
        self.reading(&body)
    }

    fn reading(&self, body: &[u8]) -> Result<Reading, String> {
        let (value, text) = match serde_json::from_slice::<Value>(body) {
            Err(_) => {
                let text = String::from_utf8_lossy(body).into_owned();
                (AnalysisValue::String(text.clone()), text)
            }
            Ok(json) => {
                let found = match &self.path {
                    None => &json,
                    Some(path) => path
                        .first(&json)
                        .map_err(|error| format!("Could not find JSONPath in body: {error}"))?,
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
    async fn read(&self, _: Timestamp) -> Result<Reading, String> {
        tokio::time::timeout(self.timeout, self.call())
            .await
            .map_err(|_| format!("no answer within {} s", self.timeout.as_secs()))?
    }

    fn timeout(&self) -> Duration {
        self.timeout
    }

    fn metadata(&self) -> BTreeMap<String, String> {
        BTreeMap::new()
    }
}
