//! Signatures of Amazon's services, version 4.

use reconcile_core::aws;
pub(crate) use reconcile_core::aws::SigningError;
use reqsign_aws_v4::{RequestSigner, StaticCredentialProvider};
use reqsign_core::{Context, Signer};

use crate::http_client::Call;

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
    let mut credentials = StaticCredentialProvider::new(keys.access, keys.secret);
    if let Some(token) = keys.session {
        credentials = credentials.with_session_token(token);
    }
    let how = RequestSigner::new(service.name, service.region);
    let signer = Signer::new(Context::new(), credentials, how);
    let body = call.body.as_deref().unwrap_or_default();
    aws::sign(&signer, (&call.method, &call.url), &mut call.headers, body).await
}
