//! Signs a request by its headers.

use http::{HeaderMap, HeaderValue, Method, header::AUTHORIZATION};
use reqsign_aws_v4::Credential;
use reqsign_core::{Signer, hash::hex_sha256};
use thiserror::Error;
use url::Url;

use crate::{error::error_chain, redaction::shortened};

/// Characters of a message; the answer of a credential service may be in it.
const LONGEST: usize = 512;

/// A request that cannot be signed.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("cannot sign the request: {0}")]
pub struct SigningError(String);

impl From<reqsign_core::Error> for SigningError {
    fn from(error: reqsign_core::Error) -> Self {
        Self(shortened(error_chain(&error), LONGEST))
    }
}

/// Adds the headers of the signature, which covers the headers and the body.
pub async fn sign(
    signer: &Signer<Credential>,
    (method, url): (&Method, &Url),
    headers: &mut HeaderMap,
    body: &[u8],
) -> Result<(), SigningError> {
    let request = http::Request::builder()
        .method(method.clone())
        .uri(url.as_str())
        .body(())
        .map_err(|error| SigningError(error.to_string()))?;
    let mut parts = request.into_parts().0;
    parts.headers.clone_from(headers);
    if let Ok(hash) = HeaderValue::try_from(hex_sha256(body)) {
        parts.headers.insert("x-amz-content-sha256", hash);
    }
    signer.sign(&mut parts, None).await?;
    for name in ["x-amz-security-token", AUTHORIZATION.as_str()] {
        if let Some(value) = parts.headers.get_mut(name) {
            HeaderValue::set_sensitive(value, true);
        }
    }
    *headers = parts.headers;
    Ok(())
}
