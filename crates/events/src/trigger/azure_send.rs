//! Sending one message to Azure over HTTPS.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method};

use super::{Done, Run, TriggerError};
use crate::{
    azure::Namespace,
    http_client::{Call, finish},
    tls::TlsSettings,
};

/// For one message.
const DEADLINE: Duration = Duration::from_secs(60);

/// One message to a queue, topic or hub.
pub(super) struct Message<'m> {
    pub(super) namespace: &'m Namespace,
    /// The queue, topic or hub.
    pub(super) entity: &'m str,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
    pub(super) tls: TlsSettings,
}

impl Message<'_> {
    /// Sends it; the server has it when this is done.
    pub(super) async fn send(self, run: Run<'_>) -> Result<Done, TriggerError> {
        let entity = self.entity;
        let failed = |reason: String| TriggerError::Failed(format!("{entity}: {reason}"));
        let url = self.namespace.url(&[entity]);
        let signature = self.namespace.signature(&url, run.executor.clock.now());
        let mut authorization = HeaderValue::from_str(&signature)
            .map_err(|_| failed("the key has no valid name".to_owned()))?;
        authorization.set_sensitive(true);
        let mut headers = self.headers;
        headers.insert(http::header::AUTHORIZATION, authorization);
        let call = Call {
            method: Method::POST,
            url: self.namespace.url(&[entity, "messages"]),
            headers,
            body: Some(self.body),
            timeout: DEADLINE,
        };
        let http = &run.executor.http;
        let client = http.get(&self.tls)?;
        let answer = http.send(&client, call).await;
        let answer = answer.map_err(|error| failed(error.to_string()))?;
        let status = finish(answer).await;
        if (200..300).contains(&status) {
            Ok(Done(format!("{entity} answered {status}")))
        } else {
            Err(failed(format!("answered {status}")))
        }
    }
}
