//! A manifest in a bucket.

use std::fmt;

use http::{HeaderMap, Method};
use reconcile_core::object::FieldError;
use secrecy::ExposeSecret;

use super::{text_of, url::DEADLINE};
use crate::{
    api::{KeySelector, artifact::S3Artifact},
    aws::{self, Keys},
    http_client::Call,
    s3::Bucket,
    tls::TlsSettings,
    trigger::{Run, TriggerError},
};

/// An object of S3.
pub(in crate::trigger) struct S3Object {
    bucket: Bucket,
    key: String,
    access_key: KeySelector,
    secret_key: KeySelector,
    ca: Option<KeySelector>,
}

impl fmt::Display for S3Object {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "s3://{}/{}", self.bucket.name, self.key)
    }
}

impl S3Object {
    pub(super) fn check(path: &str, artifact: &S3Artifact) -> Result<Self, FieldError> {
        let missing = |field: &str, message: &str| {
            FieldError::new(format!("{path}.{field}"), message.to_owned())
        };
        let key = |field: &str, selector: &Option<KeySelector>| {
            let reason = "must not be empty: a Sensor has no pod whose role could be used";
            selector.clone().ok_or_else(|| missing(field, reason))
        };
        if artifact.bucket.key.is_empty() {
            return Err(missing("bucket.key", "must not be empty"));
        }
        Ok(Self {
            bucket: Bucket::check(path, artifact)?,
            key: artifact.bucket.key.clone(),
            access_key: key("accessKey", &artifact.access_key)?,
            secret_key: key("secretKey", &artifact.secret_key)?,
            ca: artifact.ca_certificate.clone(),
        })
    }

    pub(super) async fn read(&self, run: Run<'_>) -> Result<String, TriggerError> {
        let failed = |reason: String| TriggerError::Failed(format!("cannot read {self}: {reason}"));
        let (secrets, namespace) = (&run.executor.secrets, &run.firing.sensor.namespace);
        let access = secrets.needed_secret(namespace, &self.access_key).await?;
        let secret = secrets.needed_secret(namespace, &self.secret_key).await?;
        let ca = match &self.ca {
            Some(key) => Some(secrets.needed_secret(namespace, key).await?),
            None => None,
        };
        let keys = Keys {
            access: access.expose_secret(),
            secret: secret.expose_secret(),
            session: None,
        };
        let mut call = Call {
            method: Method::GET,
            url: self.bucket.url(&self.key),
            headers: HeaderMap::new(),
            body: None,
            timeout: DEADLINE,
        };
        aws::sign(&mut call, &self.bucket.service(), &keys).await?;
        let http = &run.executor.http;
        let client = http.get(&TlsSettings {
            ca: ca.map(|ca| ca.expose_secret().to_owned()),
            ..TlsSettings::default()
        })?;
        let answer = http.send(&client, call).await;
        let answer = answer.map_err(|error| failed(error.to_string()))?;
        text_of(answer).await.map_err(failed)
    }
}
