//! Signatures of AWS (`SigV4`), with credentials as the SDKs of AWS find them: environment, profile, web
//! identity, container, instance.

use std::{collections::HashMap, fmt, path::PathBuf, time::Duration};

use bytes::Bytes;
use parking_lot::Mutex;
use reconcile_core::error::error_chain;
use reqsign_aws_v4::{
    AssumeRoleCredentialProvider, Credential, DefaultCredentialProvider, ProfileCredentialProvider,
    RequestSigner,
};
use reqsign_core::{Context, Env, Error, FileRead, HttpSend, ProvideCredential, Signer};
use reqwest::{Client, header::HeaderValue, redirect::Policy};
use sha2::{Digest, Sha256};

use super::Call;
use crate::analysis::provider::{Environment, error::ProviderError};

/// Variables that say where credentials are.
const VARIABLES: &[&str] = &[
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "AWS_REGION",
    "AWS_PROFILE",
    "AWS_CONFIG_FILE",
    "AWS_SHARED_CREDENTIALS_FILE",
    "AWS_ROLE_ARN",
    "AWS_ROLE_SESSION_NAME",
    "AWS_WEB_IDENTITY_TOKEN_FILE",
    "AWS_STS_REGIONAL_ENDPOINTS",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI",
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
    "AWS_CONTAINER_AUTHORIZATION_TOKEN",
    "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE",
    "AWS_EC2_METADATA_DISABLED",
    "AWS_EC2_METADATA_SERVICE_ENDPOINT",
];
/// Signers that are kept, with their credentials. Far more than the roles of a controller.
const MOST_SIGNERS: usize = 64;
/// Time for one request to a credential service.
const CREDENTIAL_TIMEOUT: Duration = Duration::from_secs(5);
/// Largest file or answer with credentials.
const LARGEST_CREDENTIALS: u64 = 256 * 1024;
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
    context: Context,
    environment: Environment,
    kept: Mutex<HashMap<Signature, Signer<Credential>>>,
}

impl Signers {
    pub(super) fn new(environment: Environment) -> Self {
        Self {
            context: Context::new()
                .with_file_read(Files)
                .with_http_send(CredentialServices::default())
                .with_env(Variables(environment.clone())),
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
            signature.region = region(&self.environment).ok_or_else(|| {
                ProviderError::invalid("no region: set it in sigv4.region or AWS_REGION")
            })?;
        }
        let mut request = http::Request::builder()
            .method(call.method.clone())
            .uri(call.url.as_str());
        if let Some(headers) = request.headers_mut() {
            headers.clone_from(&call.headers);
            let hash = hex::encode(Sha256::digest(&call.body));
            if let Ok(hash) = HeaderValue::try_from(hash) {
                headers.insert("x-amz-content-sha256", hash);
            }
        }
        let request = request.body(()).map_err(ProviderError::invalid)?;
        let mut parts = request.into_parts().0;
        let signer = self.signer(&signature);
        signer.sign(&mut parts, None).await.map_err(|error| {
            ProviderError::unavailable(format!("cannot sign the request: {}", error_chain(&error)))
        })?;
        call.headers = parts.headers;
        Ok(())
    }

    fn signer(&self, signature: &Signature) -> Signer<Credential> {
        let mut kept = self.kept.lock();
        if let Some(signer) = kept.get(signature) {
            return signer.clone();
        }
        if kept.len() >= MOST_SIGNERS {
            kept.clear();
        }
        let signer = self.build(signature);
        kept.insert(signature.clone(), signer.clone());
        signer
    }

    fn build(&self, signature: &Signature) -> Signer<Credential> {
        let Signature {
            service,
            region,
            profile,
            role_arn,
        } = signature;
        let source = |service: &str| {
            let signer = RequestSigner::new(service, region);
            if profile.is_empty() {
                // Nobody is there to log in, and no program is started.
                let way = DefaultCredentialProvider::builder().no_sso().no_process();
                self.with(way.build(), signer)
            } else {
                self.with(
                    ProfileCredentialProvider::new().with_profile(profile),
                    signer,
                )
            }
        };
        if role_arn.is_empty() {
            return source(service);
        }
        let role = AssumeRoleCredentialProvider::new(role_arn.clone(), source("sts"))
            .with_role_session_name(SESSION_NAME.to_owned())
            .with_region(region.clone())
            .with_regional_sts_endpoint();
        self.with(role, RequestSigner::new(service, region))
    }

    fn with(
        &self,
        credentials: impl ProvideCredential<Credential = Credential>,
        signer: RequestSigner,
    ) -> Signer<Credential> {
        Signer::new(self.context.clone(), credentials, signer)
    }
}

/// The region that the environment names.
pub(in crate::analysis::provider) fn region(environment: &Environment) -> Option<String> {
    ["AWS_REGION", "AWS_DEFAULT_REGION"]
        .iter()
        .filter_map(|name| environment(name))
        .find(|region| !region.is_empty())
}

/// Reads token and credential files.
#[derive(Debug)]
struct Files;

impl FileRead for Files {
    async fn file_read(&self, path: &str) -> Result<Vec<u8>, Error> {
        let unreadable =
            |error: std::io::Error| Error::config_invalid(format!("cannot read {path}: {error}"));
        let size = tokio::fs::metadata(path).await.map_err(unreadable)?.len();
        if size > LARGEST_CREDENTIALS {
            return Err(Error::config_invalid(format!("{path} is too large")));
        }
        tokio::fs::read(path).await.map_err(unreadable)
    }
}

/// Asks the services that hand out credentials. Their addresses come from the environment and from AWS,
/// never from a metric, so link-local ones are fine.
#[derive(Debug, Default)]
struct CredentialServices(Mutex<Option<Client>>);

impl CredentialServices {
    fn client(&self) -> Result<Client, reqwest::Error> {
        let mut kept = self.0.lock();
        if let Some(client) = kept.as_ref() {
            return Ok(client.clone());
        }
        let client = Client::builder()
            .timeout(CREDENTIAL_TIMEOUT)
            .redirect(Policy::none())
            .build()?;
        Ok(kept.insert(client).clone())
    }
}

impl HttpSend for CredentialServices {
    async fn http_send(
        &self,
        request: http::Request<Bytes>,
    ) -> Result<http::Response<Bytes>, Error> {
        let failed = |error: reqwest::Error| {
            Error::unexpected(format!("cannot get credentials: {}", error_chain(&error)))
        };
        let request = reqwest::Request::try_from(request).map_err(failed)?;
        let mut response = self
            .client()
            .map_err(failed)?
            .execute(request)
            .await
            .map_err(failed)?;
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(failed)? {
            body.extend_from_slice(&chunk);
            if body.len() as u64 > LARGEST_CREDENTIALS {
                return Err(Error::unexpected(
                    "the answer with credentials is too large",
                ));
            }
        }
        let mut answer = http::Response::new(Bytes::from(body));
        *answer.status_mut() = response.status();
        answer.headers_mut().clone_from(response.headers());
        Ok(answer)
    }
}

/// The environment, as the library asks for it.
struct Variables(Environment);

impl fmt::Debug for Variables {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Variables")
    }
}

impl Env for Variables {
    fn var(&self, key: &str) -> Option<String> {
        (self.0)(key)
    }

    fn vars(&self) -> HashMap<String, String> {
        VARIABLES
            .iter()
            .filter_map(|name| Some(((*name).to_owned(), self.var(name)?)))
            .collect()
    }

    fn home_dir(&self) -> Option<PathBuf> {
        self.var("HOME").map(PathBuf::from)
    }
}
