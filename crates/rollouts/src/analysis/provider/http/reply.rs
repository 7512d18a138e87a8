//! Answers of metric servers.

use reqwest::{Response, StatusCode, header::HeaderMap};
use serde::de::DeserializeOwned;

use crate::analysis::provider::{error::ProviderError, redaction::Redactor};
use reconcile_core::error::error_chain;

/// An answer of more bytes is refused: a verdict needs few numbers, and memory must not follow a query.
/// Requests do not ask for compression, so nothing is inflated behind this limit.
pub(super) const LARGEST_ANSWER: usize = 4 * 1024 * 1024;

/// An answer.
#[derive(Clone, Debug)]
pub(in crate::analysis::provider) struct Reply {
    pub(in crate::analysis::provider) status: StatusCode,
    pub(in crate::analysis::provider) headers: HeaderMap,
    /// The whole body.
    pub(in crate::analysis::provider) body: Vec<u8>,
    /// The secrets that the server may have sent back.
    redactor: Redactor,
}

impl Reply {
    /// An answer that was received elsewhere.
    pub(in crate::analysis::provider) fn received(body: Vec<u8>) -> Self {
        Self {
            status: StatusCode::OK,
            headers: HeaderMap::new(),
            body,
            redactor: Redactor::default(),
        }
    }

    /// Reads an answer to its end, unless it is too large.
    pub(super) async fn read(
        mut response: Response,
        redactor: &Redactor,
    ) -> Result<Self, ProviderError> {
        let too_large = || {
            ProviderError::answer(format!(
                "the answer is larger than {LARGEST_ANSWER} bytes; make the query return fewer series"
            ))
        };
        let announced = response.content_length().unwrap_or_default();
        if usize::try_from(announced).is_ok_and(|length| length > LARGEST_ANSWER) {
            return Err(too_large());
        }
        let mut body = Vec::new();
        let unreadable = |error: reqwest::Error| ProviderError::unavailable(error_chain(&error));
        while let Some(chunk) = response.chunk().await.map_err(unreadable)? {
            if body.len() + chunk.len() > LARGEST_ANSWER {
                return Err(too_large());
            }
            body.extend_from_slice(&chunk);
        }
        Ok(Self {
            status: response.status(),
            headers: response.headers().clone(),
            body,
            redactor: redactor.clone(),
        })
    }

    /// The beginning of the body without secrets, for a message.
    pub(in crate::analysis::provider) fn excerpt(&self) -> String {
        self.redactor.excerpt(&self.body)
    }

    /// The body as JSON.
    pub(in crate::analysis::provider) fn json<T: DeserializeOwned>(
        &self,
    ) -> Result<T, ProviderError> {
        serde_json::from_slice(&self.body).map_err(|error| {
            let found = self.excerpt();
            ProviderError::answer(format!("cannot read the answer as JSON: {error}: {found}"))
        })
    }

    /// The reply, if its status says that the request succeeded.
    pub(in crate::analysis::provider) fn success(self) -> Result<Self, ProviderError> {
        if self.status.is_success() {
            return Ok(self);
        }
        Err(self.refusal("the server answered"))
    }

    /// The error for a status that is none of success. `what` says who answered.
    pub(in crate::analysis::provider) fn refusal(&self, what: &str) -> ProviderError {
        let text = format!("{what} {}: {}", self.status, self.excerpt());
        ProviderError::status(
            self.status,
            &self.headers,
            text.trim_end_matches([':', ' ']),
        )
    }
}
