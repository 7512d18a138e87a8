//! Signatures of Amazon's services, version 4.

use http::{HeaderValue, header, request::Parts};
use reqsign_aws_v4::{RequestSigner, StaticCredentialProvider};
use reqsign_core::{Context, Signer};
use sha2::{Digest, Sha256};
use thiserror::Error;

/// A request that cannot be signed.
#[derive(Debug, Error)]
#[error("cannot sign the request: {0}")]
pub(crate) struct SigningError(String);

impl From<http::Error> for SigningError {
    fn from(error: http::Error) -> Self {
        Self(error.to_string())
    }
}

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

/// The value of the header `x-amz-content-sha256`.
pub(crate) fn content_hash(body: &[u8]) -> String {
    hex::encode(Sha256::digest(body))
}

/// Adds the headers of the signature. The body is covered by [`content_hash`].
pub(crate) async fn sign(
    request: &mut Parts,
    service: &Service<'_>,
    keys: &Keys<'_>,
) -> Result<(), SigningError> {
    let mut credentials = StaticCredentialProvider::new(keys.access, keys.secret);
    if let Some(token) = keys.session {
        credentials = credentials.with_session_token(token);
    }
    let signer = RequestSigner::new(service.name, service.region);
    Signer::new(Context::new(), credentials, signer)
        .sign(request, None)
        .await
        .map_err(|error| SigningError(error.to_string()))?;
    for name in ["x-amz-security-token", header::AUTHORIZATION.as_str()] {
        if let Some(value) = request.headers.get_mut(name) {
            HeaderValue::set_sensitive(value, true);
        }
    }
    Ok(())
}
