//! Questions to the API of a service about what it sent.

use std::{fmt, sync::OnceLock, time::Duration};

use http::{HeaderMap, HeaderValue, StatusCode, header};
use reconcile_core::redaction::Redactor;
use serde_json::Value;

use super::call::Call;
use crate::{
    http_client::{self, HttpClients},
    source::request::Answer,
    tls::TlsSettings,
};

/// For one question: the service waits for the answer to its own request meanwhile.
pub(super) const DEADLINE: Duration = Duration::from_secs(10);
/// Largest answer that is read.
const MOST_ANSWER: usize = 1 << 20;

/// Connections to a service.
#[derive(Default)]
pub(super) struct ServiceApi(OnceLock<HttpClients>);

impl fmt::Debug for ServiceApi {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ServiceApi")
    }
}

impl ServiceApi {
    /// The JSON of an answer. The error is the answer to the service, which sends its request again later.
    pub(super) async fn ask(
        &self,
        call: &Call<'_>,
        tls: &TlsSettings,
        mut question: http_client::Call,
    ) -> Result<Value, Answer> {
        let name = HeaderValue::from_static("argo-events");
        question.headers.insert(header::USER_AGENT, name);
        let redactor = Redactor::default();
        for (_, secret) in call.secrets {
            redactor.add(secret.expose());
        }
        let failed = |reason: String| unanswered(&redactor.excerpt(reason.as_bytes()));
        let clients = self.0.get_or_init(|| HttpClients::new(call.egress));
        let client = clients
            .get(tls)
            .map_err(|error| failed(error.to_string()))?;
        let sent = clients.send(&client, question).await;
        let answer = sent.map_err(|error| failed(error.to_string()))?;
        if !answer.status().is_success() {
            return Err(failed(format!("it answered {}", answer.status().as_u16())));
        }
        let body = http_client::read_answer(answer, MOST_ANSWER).await;
        let body = body.map_err(|error| failed(error.to_string()))?;
        if body.len() == MOST_ANSWER {
            return Err(failed(format!(
                "its answer has {MOST_ANSWER} bytes or more"
            )));
        }
        serde_json::from_slice(&body).map_err(|_| failed("its answer is not JSON".to_owned()))
    }
}

/// The API did not say what an event needs.
pub(super) fn unanswered(reason: &str) -> Answer {
    let message = format!("cannot ask the service about the event: {reason}");
    (StatusCode::BAD_GATEWAY, message.into())
}

/// The headers with a token, which no text shows.
pub(super) fn bearer(token: &str) -> HeaderMap {
    let mut headers = HeaderMap::new();
    if let Ok(mut value) = HeaderValue::from_str(&format!("Bearer {token}")) {
        value.set_sensitive(true);
        headers.insert(header::AUTHORIZATION, value);
    }
    headers
}
