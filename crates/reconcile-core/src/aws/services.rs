//! Where credentials come from: files, services and the environment.

use std::{collections::HashMap, fmt, path::PathBuf, time::Duration};

use bytes::Bytes;
use http::{Uri, header::HOST};
use parking_lot::Mutex;
use reqsign_core::{Env, Error, FileRead, HttpSend};
use reqwest::{Client, redirect::Policy};

use super::Environment;
use crate::error::error_chain;

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
/// The variable with another address of STS, as the SDKs name it.
const STS_ENDPOINT: &str = "AWS_ENDPOINT_URL_STS";
/// Time for one request to a credential service.
const CREDENTIAL_TIMEOUT: Duration = Duration::from_secs(5);
/// Largest file or answer with credentials.
const LARGEST_CREDENTIALS: u64 = 256 * 1024;

/// Reads token and credential files.
#[derive(Debug)]
pub(super) struct Files;

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

/// Asks the services that hand out credentials. Their addresses come from the environment and from AWS, never from a
/// manifest, so link-local ones are fine.
pub(super) struct CredentialServices {
    environment: Environment,
    client: Mutex<Option<Client>>,
}

impl fmt::Debug for CredentialServices {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CredentialServices")
    }
}

impl CredentialServices {
    pub(super) fn new(environment: Environment) -> Self {
        Self {
            environment,
            client: Mutex::default(),
        }
    }

    fn client(&self) -> Result<Client, reqwest::Error> {
        let mut kept = self.client.lock();
        if let Some(client) = kept.as_ref() {
            return Ok(client.clone());
        }
        let client = Client::builder()
            .timeout(CREDENTIAL_TIMEOUT)
            .redirect(Policy::none())
            .build()?;
        Ok(kept.insert(client).clone())
    }

    /// Where STS is, when the environment says so. The name that was signed stays in the `Host` header.
    fn routed(&self, mut request: http::Request<Bytes>) -> Result<http::Request<Bytes>, Error> {
        let Some(host) = request.uri().host().map(str::to_owned) else {
            return Ok(request);
        };
        let is_sts = host.starts_with("sts.")
            && [".amazonaws.com", ".amazonaws.com.cn"]
                .iter()
                .any(|domain| host.ends_with(domain));
        let endpoint = (self.environment)(STS_ENDPOINT).filter(|url| is_sts && !url.is_empty());
        let Some(endpoint) = endpoint else {
            return Ok(request);
        };
        let unusable =
            || Error::config_invalid(format!("{STS_ENDPOINT} is not the URL of a server"));
        let endpoint: Uri = endpoint.parse().map_err(|_| unusable())?;
        let (Some(scheme), Some(authority)) = (endpoint.scheme_str(), endpoint.authority()) else {
            return Err(unusable());
        };
        let path = request.uri().path_and_query();
        let uri = Uri::builder()
            .scheme(scheme)
            .authority(authority.as_str())
            .path_and_query(path.map_or("/", http::uri::PathAndQuery::as_str))
            .build();
        if let Ok(host) = host.parse() {
            request.headers_mut().entry(HOST).or_insert(host);
        }
        *request.uri_mut() = uri.map_err(|_| unusable())?;
        Ok(request)
    }
}

impl HttpSend for CredentialServices {
    async fn http_send(
        &self,
        request: http::Request<Bytes>,
    ) -> Result<http::Response<Bytes>, Error> {
        // A URL may hold the token of a web identity.
        let failed = |error: reqwest::Error| {
            let error = error.without_url();
            Error::unexpected(format!("cannot get credentials: {}", error_chain(&error)))
        };
        let request = reqwest::Request::try_from(self.routed(request)?).map_err(failed)?;
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
pub(super) struct Variables(pub(super) Environment);

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

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    fn services(endpoint: &'static str) -> CredentialServices {
        CredentialServices::new(Arc::new(move |name: &str| {
            (name == STS_ENDPOINT).then(|| endpoint.to_owned())
        }))
    }

    fn request(url: &str) -> http::Request<Bytes> {
        let request = http::Request::get(url).body(Bytes::new());
        request.expect("a request")
    }

    #[test]
    fn only_sts_is_where_the_environment_says() {
        let routed = |url: &str| {
            let routed = services("http://127.0.0.1:9").routed(request(url));
            let routed = routed.expect("a request");
            let host = routed.headers().get(HOST).cloned();
            (routed.uri().to_string(), host)
        };
        let (uri, host) = routed("https://sts.eu-west-1.amazonaws.com/?Action=AssumeRole");
        assert_eq!(uri, "http://127.0.0.1:9/?Action=AssumeRole");
        assert_eq!(host.expect("a host"), "sts.eu-west-1.amazonaws.com");
        for other in [
            "http://169.254.169.254/latest/api/token",
            "https://sts.example.com/",
            "https://aps.eu-west-1.amazonaws.com/",
        ] {
            assert_eq!(routed(other).0, other);
        }
        let url = "https://sts.amazonaws.com/";
        assert!(services("no url").routed(request(url)).is_err());
        assert_eq!(
            services("").routed(request(url)).expect("as it is").uri(),
            url
        );
    }

    #[tokio::test]
    async fn no_error_has_the_token_of_a_web_identity() {
        crate::operator::install_tls();
        let url = "https://sts.amazonaws.com/?WebIdentityToken=hush";
        // A port that nobody listens at.
        let error = services("http://127.0.0.1:9").http_send(request(url)).await;
        let error = error.expect_err("nobody there").to_string();
        assert!(error.contains("cannot get credentials"), "{error}");
        assert!(!error.contains("hush"), "{error}");
    }
}
