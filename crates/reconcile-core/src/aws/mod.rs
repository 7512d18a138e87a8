//! Signatures of AWS (`SigV4`), with credentials as the SDKs of AWS find them: environment, profile, web identity,
//! container, instance; and roles that they assume.
//!
//! ```text
//!   Environment ──► Accounts::signer(account, how) ──► Signer: credentials, kept until they end ──► sign
//! ```

mod services;
mod sign;

pub use sign::{SigningError, sign};

use std::{fmt, sync::Arc};

use reqsign_aws_v4::{
    AssumeRoleCredentialProvider, Credential, DefaultCredentialProvider, ProfileCredentialProvider,
    RequestSigner,
};
use reqsign_core::{Context, ProvideCredential, SignRequest, Signer};

use services::{CredentialServices, Files, Variables};

/// Reads a variable of the process's environment.
pub type Environment = Arc<dyn Fn(&str) -> Option<String> + Send + Sync>;

/// The first of these variables that is not empty.
pub fn variable(environment: &Environment, names: &[&str]) -> Option<String> {
    let mut values = names.iter().filter_map(|name| environment(name));
    values.find(|value| !value.is_empty())
}

/// The region that the environment names.
pub fn region(environment: &Environment) -> Option<String> {
    variable(environment, &["AWS_REGION", "AWS_DEFAULT_REGION"])
}

/// The domain of the services of a region.
pub fn domain(region: &str) -> &'static str {
    if region.starts_with("cn-") {
        "amazonaws.com.cn"
    } else {
        "amazonaws.com"
    }
}

/// Whose credentials sign.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Account {
    /// Region of the service and of the one that hands out credentials.
    pub region: String,
    /// Profile of the credentials file; empty for the default way.
    pub profile: String,
    /// Role to assume; empty for none.
    pub role_arn: String,
}

/// Makes signers. Cloning shares the connections to the services that hand out credentials.
#[derive(Clone)]
pub struct Accounts {
    context: Context,
    session: &'static str,
}

impl fmt::Debug for Accounts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Accounts")
    }
}

impl Accounts {
    /// Credentials as the environment says; `session` is the name of the sessions of assumed roles in AWS's log.
    pub fn new(environment: Environment, session: &'static str) -> Self {
        let services = CredentialServices::new(environment.clone());
        Self {
            context: Context::new()
                .with_file_read(Files)
                .with_http_send(services)
                .with_env(Variables(environment)),
            session,
        }
    }

    /// A signer with the credentials of an account, which it keeps until they end.
    pub fn signer(
        &self,
        account: &Account,
        how: impl SignRequest<Credential = Credential>,
    ) -> Signer<Credential> {
        if account.role_arn.is_empty() {
            return self.with_own_credentials(account, how);
        }
        let source = self.with_own_credentials(account, RequestSigner::new("sts", &account.region));
        self.assuming(account, source, how)
    }

    /// A signer with these credentials, or with those of the role of the account, which they assume. The role is
    /// assumed again two minutes before its credentials end.
    pub fn signer_of(
        &self,
        keys: impl ProvideCredential<Credential = Credential>,
        account: &Account,
        how: impl SignRequest<Credential = Credential>,
    ) -> Signer<Credential> {
        if account.role_arn.is_empty() {
            return self.with(keys, how);
        }
        let source = self.with(keys, RequestSigner::new("sts", &account.region));
        self.assuming(account, source, how)
    }

    fn assuming(
        &self,
        account: &Account,
        source: Signer<Credential>,
        how: impl SignRequest<Credential = Credential>,
    ) -> Signer<Credential> {
        let role = AssumeRoleCredentialProvider::new(account.role_arn.clone(), source)
            .with_role_session_name(self.session.to_owned())
            .with_region(account.region.clone())
            .with_regional_sts_endpoint();
        self.with(role, how)
    }

    fn with_own_credentials(
        &self,
        account: &Account,
        how: impl SignRequest<Credential = Credential>,
    ) -> Signer<Credential> {
        if account.profile.is_empty() {
            // Nobody is there to log in, and no program is started.
            let way = DefaultCredentialProvider::builder().no_sso().no_process();
            self.with(way.build(), how)
        } else {
            let profile = ProfileCredentialProvider::new().with_profile(&account.profile);
            self.with(profile, how)
        }
    }

    fn with(
        &self,
        credentials: impl ProvideCredential<Credential = Credential>,
        how: impl SignRequest<Credential = Credential>,
    ) -> Signer<Credential> {
        Signer::new(self.context.clone(), credentials, how)
    }
}
