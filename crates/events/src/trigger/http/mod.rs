//! The http trigger: one call, whatever the answer says, unless a policy lists the statuses that count.

mod check;
mod headers;
#[cfg(test)]
mod tests;

use std::time::Duration;

use bytes::Bytes;
use http::Method;
use reconcile_core::object::FieldError;
use reqwest::Url;
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Map, Value, json};

use super::{
    Done, Firing, Run, Trigger, TriggerError,
    kind::{patched, text_or_json},
};
use crate::{
    api::{
        KeySelector, TlsConfig,
        trigger::{HttpTrigger, Parameter},
    },
    http_client::{Call, HttpError, finish},
    sensor::parameter,
    tls::{ClientCertificate, TlsSettings},
};

/// Deadline when the manifest gives none, as upstream.
const TIMEOUT: Duration = Duration::from_secs(60);

impl From<HttpError> for TriggerError {
    fn from(error: HttpError) -> Self {
        Self::Failed(error.to_string())
    }
}

/// A call without the values of Secrets.
pub struct HttpRequest {
    action: HttpTrigger,
    method: Method,
    url: Url,
    dynamic_headers: Vec<(String, String)>,
    body: Option<Bytes>,
    timeout: Duration,
}

impl Trigger for HttpTrigger {
    const KEY: &'static str = "http";

    type Request = HttpRequest;

    fn check(&mut self, path: &str) -> Result<(), FieldError> {
        check::check(path, self)
    }

    fn parameters(&self) -> &[Parameter] {
        &self.parameters
    }

    fn resolve(&self, firing: &Firing) -> Result<HttpRequest, TriggerError> {
        let action = patched(self, firing)?;
        let url = Url::parse(&action.url)
            .map_err(|error| FieldError::new("http.url", error.to_string()))?;
        let mut dynamic_headers = Vec::new();
        for (index, parameter) in action.dynamic_headers.iter().enumerate() {
            if let Some(text) = parameter::text(index, parameter, firing.inputs())? {
                dynamic_headers.push((parameter.dest.clone(), text));
            }
        }
        let body = if action.payload.is_empty() {
            None
        } else {
            Some(parameter::payload(&action.payload, firing.inputs())?.into())
        };
        let timeout = action
            .timeout
            .and_then(|seconds| u64::try_from(seconds).ok());
        Ok(HttpRequest {
            method: check::method("http", &action)?,
            url,
            dynamic_headers,
            body,
            timeout: match timeout {
                None | Some(0) => TIMEOUT,
                Some(seconds) => Duration::from_secs(seconds),
            },
            action,
        })
    }

    fn preview(request: &HttpRequest) -> Value {
        let plain = request.action.headers.iter();
        let mut headers: Map<String, Value> = plain
            .chain(
                request
                    .dynamic_headers
                    .iter()
                    .map(|(name, text)| (name, text)),
            )
            .map(|(name, text)| (name.clone(), json!(text)))
            .collect();
        for header in &request.action.secure_headers {
            headers.insert(header.name.clone(), json!("(from a Secret or ConfigMap)"));
        }
        let mut shown = json!({
            "method": request.method.as_str(),
            "url": url_without_credentials(&request.url),
            "headers": headers,
        });
        if let Some(body) = &request.body {
            shown["body"] = text_or_json(body);
        }
        json!({ "http": shown })
    }

    async fn execute(request: HttpRequest, run: Run<'_>) -> Result<Done, TriggerError> {
        let tls = tls_settings(request.action.tls.as_ref(), run).await?;
        let http = &run.executor.http;
        let client = http.get(&tls)?;
        let shown = url_without_credentials(&request.url);
        let call = Call {
            headers: headers::headers(&request, run).await?,
            method: request.method,
            url: request.url,
            body: request.body,
            timeout: request.timeout,
        };
        let answer = http
            .send(&client, call)
            .await
            .map_err(|error| TriggerError::Failed(format!("{shown}: {error}")))?;
        let status = finish(answer).await;
        let statuses = &run.success.statuses;
        if statuses.is_empty() || statuses.contains(&status) {
            Ok(Done(format!("{shown} answered {status}")))
        } else {
            Err(TriggerError::Failed(format!(
                "{shown} answered {status}, which the policy does not allow"
            )))
        }
    }
}

pub(super) async fn tls_settings(
    tls: Option<&TlsConfig>,
    run: Run<'_>,
) -> Result<TlsSettings, TriggerError> {
    let (secrets, namespace) = (&run.executor.secrets, &run.firing.sensor.namespace);
    let Some(tls) = tls else {
        return Ok(TlsSettings::default());
    };
    let secret = async |key: Option<&KeySelector>| match key {
        Some(key) => secrets.secret(namespace, key).await,
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

fn url_without_credentials(url: &Url) -> String {
    let mut url = url.clone();
    match (url.set_username(""), url.set_password(None)) {
        (Ok(()), Ok(())) => url.to_string(),
        // A URL without a host has neither.
        _ => url.scheme().to_owned(),
    }
}
