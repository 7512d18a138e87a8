//! Signatures of Amazon's services, version 4.

use http::{HeaderValue, header};
use reqsign_aws_v4::{RequestSigner, StaticCredentialProvider};
use reqsign_core::{Context, Signer};
use sha2::{Digest, Sha256};
use thiserror::Error;

use crate::http_client::Call;

/// A request that cannot be signed.
#[derive(Debug, Error)]
#[error("cannot sign the request: {0}")]
pub(crate) struct SigningError(String);

/// Whom a request is for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Service<'s> {
    /// For example `s3`.
    pub(crate) name: &'s str,
    /// For example `eu-central-1`.
    pub(crate) region: &'s str,
}

/// The keys of an account.
#[derive(Clone, Copy)]
pub(crate) struct Keys<'k> {
    /// Id of the access key.
    pub(crate) access: &'k str,
    /// Its secret.
    pub(crate) secret: &'k str,
    /// The token of temporary keys.
    pub(crate) session: Option<&'k str>,
}

/// Adds the headers of the signature, which covers the headers and the body.
pub(crate) async fn sign(
    call: &mut Call,
    service: &Service<'_>,
    keys: &Keys<'_>,
) -> Result<(), SigningError> {
    let body = call.body.as_deref().unwrap_or_default();
    let mut request = http::Request::builder()
        .method(call.method.clone())
        .uri(call.url.as_str())
        .header("x-amz-content-sha256", hex::encode(Sha256::digest(body)))
        .body(())
        .map_err(|error| SigningError(error.to_string()))?
        .into_parts()
        .0;
    request.headers.extend(std::mem::take(&mut call.headers));
    let mut credentials = StaticCredentialProvider::new(keys.access, keys.secret);
    if let Some(token) = keys.session {
        credentials = credentials.with_session_token(token);
    }
    let signer = RequestSigner::new(service.name, service.region);
    Signer::new(Context::new(), credentials, signer)
        .sign(&mut request, None)
        .await
        .map_err(|error| SigningError(error.to_string()))?;
    for name in ["x-amz-security-token", header::AUTHORIZATION.as_str()] {
        if let Some(value) = request.headers.get_mut(name) {
            HeaderValue::set_sensitive(value, true);
        }
    }
    call.headers = request.headers;
    Ok(())
}
