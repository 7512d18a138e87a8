//! A manifest on a web server.

use std::{fmt, time::Duration};

use http::{HeaderMap, Method};
use reconcile_core::{credentials::redact_url, object::FieldError};
use reqwest::Url;

use super::text_of;
use crate::{
    api::artifact::UrlArtifact,
    http_client::Call,
    tls::TlsSettings,
    trigger::{Run, TriggerError},
};

/// For one file, redirects included.
pub(super) const DEADLINE: Duration = Duration::from_secs(60);

/// A file on a web server.
pub(in crate::trigger) struct WebFile {
    url: Url,
    /// Accepts any certificate.
    pub(super) insecure: bool,
}

impl fmt::Display for WebFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&redact_url(self.url.as_str()))
    }
}

impl WebFile {
    pub(super) fn check(path: &str, artifact: &UrlArtifact) -> Result<Self, FieldError> {
        let wrong = |message: String| FieldError::new(format!("{path}.path"), message);
        let url =
            Url::parse(&artifact.path).map_err(|error| wrong(format!("is not a URL: {error}")))?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(wrong("must begin with https:// or http://".to_owned()));
        }
        Ok(Self {
            url,
            // Upstream verifies nothing without this field.
            insecure: artifact.verify_cert == Some(false),
        })
    }

    pub(super) async fn read(&self, run: Run<'_>) -> Result<String, TriggerError> {
        let failed = |reason: String| TriggerError::Failed(format!("cannot read {self}: {reason}"));
        let http = &run.executor.http;
        let client = http.get(&TlsSettings {
            insecure: self.insecure,
            ..TlsSettings::default()
        })?;
        let call = Call {
            method: Method::GET,
            url: self.url.clone(),
            headers: HeaderMap::new(),
            body: None,
            timeout: DEADLINE,
        };
        let answer = http.send(&client, call).await;
        let answer = answer.map_err(|error| failed(error.to_string()))?;
        text_of(answer).await.map_err(failed)
    }
}
