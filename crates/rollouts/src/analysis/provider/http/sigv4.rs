//! Signatures of AWS (`SigV4`), by account.

use std::collections::HashMap;

use parking_lot::Mutex;
use reconcile_core::aws::{self, Account, Accounts, Environment};
use reqsign_aws_v4::{Credential, RequestSigner};
use reqsign_core::Signer;

use super::Call;
use crate::analysis::provider::error::ProviderError;

/// Signers that are kept, with their credentials. Far more than the roles of a controller.
const MOST_SIGNERS: usize = 64;
/// How sessions of assumed roles are named in AWS's log.
const SESSION_NAME: &str = "rollouts";

/// Whom a request is signed for and as.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(in crate::analysis::provider) struct Signature {
    /// Service, for example `aps`.
    pub(in crate::analysis::provider) service: &'static str,
    /// Region; that of the environment when empty.
    pub(in crate::analysis::provider) region: String,
    /// Profile of the credentials file; empty for the default way.
    pub(in crate::analysis::provider) profile: String,
    /// Role to assume; empty for none.
    pub(in crate::analysis::provider) role_arn: String,
}

/// Signers by whom they sign for. They keep their credentials until these expire.
pub(super) struct Signers {
    accounts: Accounts,
    environment: Environment,
    kept: Mutex<HashMap<Signature, Signer<Credential>>>,
}

impl Signers {
    pub(super) fn new(environment: Environment) -> Self {
        Self {
            accounts: Accounts::new(environment.clone(), SESSION_NAME),
            environment,
            kept: Mutex::default(),
        }
    }

    /// Signs a request that is complete otherwise.
    pub(super) async fn sign(
        &self,
        call: &mut Call,
        signature: &Signature,
    ) -> Result<(), ProviderError> {
        let mut signature = signature.clone();
        if signature.region.is_empty() {
            signature.region = aws::region(&self.environment).ok_or_else(|| {
                ProviderError::invalid("no region: set it in sigv4.region or AWS_REGION")
            })?;
        }
        let signer = self.signer(&signature);
        let request = (&call.method, &call.url);
        aws::sign(&signer, request, &mut call.headers, &call.body)
            .await
            .map_err(|error| ProviderError::unavailable(error.to_string()))
    }

    fn signer(&self, signature: &Signature) -> Signer<Credential> {
        let mut kept = self.kept.lock();
        if let Some(signer) = kept.get(signature) {
            return signer.clone();
        }
        if kept.len() >= MOST_SIGNERS {
            kept.clear();
        }
        let account = Account {
            region: signature.region.clone(),
            profile: signature.profile.clone(),
            role_arn: signature.role_arn.clone(),
        };
        let how = RequestSigner::new(signature.service, &signature.region);
        let signer = self.accounts.signer(&account, how);
        kept.insert(signature.clone(), signer.clone());
        signer
    }
}
