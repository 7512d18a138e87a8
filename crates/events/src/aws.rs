//! Signatures of Amazon's services, version 4.

use std::{collections::HashMap, sync::Arc};

use parking_lot::Mutex;
pub(crate) use reconcile_core::aws::SigningError;
use reconcile_core::aws::{self, Account, Accounts, Environment};
use reqsign_aws_v4::{Credential, RequestSigner, StaticCredentialProvider};
use reqsign_core::{Context, Signer};
use sha2::{Digest, Sha256};

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

/// What sessions of assumed roles are called in the log of AWS.
const SESSION: &str = "argo-events";
/// Signers that are kept; beyond that number all are dropped, and made again when needed.
const MOST: usize = 256;

/// Signs requests with the keys of a manifest, or of a role that they assume.
pub(crate) struct AwsSigner(Signer<Credential>);

impl AwsSigner {
    /// Adds the headers of the signature. A role is assumed where it was not yet, or again shortly before its session ends.
    pub(crate) async fn sign(&self, call: &mut Call) -> Result<(), SigningError> {
        let body = call.body.as_deref().unwrap_or_default();
        aws::sign(&self.0, (&call.method, &call.url), &mut call.headers, body).await
    }
}

/// Signers by keys, so that a role is not assumed for each request. Cloning shares them.
#[derive(Clone)]
pub struct AwsSigners {
    accounts: Accounts,
    kept: Arc<Mutex<HashMap<[u8; 32], Arc<AwsSigner>>>>,
}

impl AwsSigners {
    /// `environment` may say where STS is, as for the SDKs of AWS.
    pub fn new(environment: Environment) -> Self {
        Self {
            accounts: Accounts::new(environment, SESSION),
            kept: Arc::default(),
        }
    }

    /// The signer of a service for these keys, and for the role that they are to assume; none when that is empty.
    pub(crate) fn signer(
        &self,
        service: &Service<'_>,
        keys: &Keys<'_>,
        role: &str,
    ) -> Arc<AwsSigner> {
        let parts = [
            service.name,
            service.region,
            keys.access,
            keys.secret,
            keys.session.unwrap_or_default(),
            role,
        ];
        let id: [u8; 32] = Sha256::digest(serde_json::to_vec(&parts).unwrap_or_default()).into();
        let mut kept = self.kept.lock();
        if let Some(signer) = kept.get(&id) {
            return signer.clone();
        }
        let mut provider = StaticCredentialProvider::new(keys.access, keys.secret);
        if let Some(token) = keys.session {
            provider = provider.with_session_token(token);
        }
        let account = Account {
            region: service.region.to_owned(),
            profile: String::new(),
            role_arn: role.to_owned(),
        };
        let how = RequestSigner::new(service.name, service.region);
        let signer = self.accounts.signer_of(provider, &account, how);
        if kept.len() >= MOST {
            kept.clear();
        }
        let signer = Arc::new(AwsSigner(signer));
        kept.insert(id, signer.clone());
        signer
    }
}

/// The ARN of a role; empty for none.
pub(crate) fn checked_role(arn: &str) -> Result<String, String> {
    let known = |c: char| c.is_ascii_alphanumeric() || "-_+=,.@/:".contains(c);
    let parts: Vec<&str> = arn.splitn(6, ':').collect();
    let is_role =
        matches!(parts.as_slice(), ["arn", _, "iam", "", _, role] if role.starts_with("role/"));
    if arn.is_empty() || (is_role && arn.chars().all(known)) {
        return Ok(arn.to_owned());
    }
    Err(format!("{arn:?} is not the ARN of a role"))
}
