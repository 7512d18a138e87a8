//! Credentials of repositories, read from Secrets by upstream's labels.

use std::{collections::BTreeMap, sync::Arc};

use k8s_openapi::ByteString;
use parking_lot::RwLock;
use secrecy::{ExposeSecret, SecretString};
use thiserror::Error;

use super::url::{ambiguity, covers, normalize};

/// Label with the type of a Secret.
const SECRET_TYPE_LABEL: &str = "argocd.argoproj.io/secret-type";

/// How to log in to a repository's server. Debug output hides the password.
#[derive(Clone, Debug, Default)]
pub struct Credential {
    /// User name for HTTP; Git hosts accept any when the password is a token.
    pub username: String,
    /// Password or token.
    pub password: SecretString,
    /// Do not check the server's certificate.
    pub insecure: bool,
}

impl Credential {
    /// A user name with a password or token.
    pub fn basic(username: &str, password: &str) -> Self {
        Self {
            username: username.to_owned(),
            password: password.to_owned().into(),
            insecure: false,
        }
    }

    /// True without a password.
    pub fn is_empty(&self) -> bool {
        self.password.expose_secret().is_empty()
    }
}

impl PartialEq for Credential {
    fn eq(&self, other: &Self) -> bool {
        self.username == other.username
            && self.insecure == other.insecure
            && self.password.expose_secret() == other.password.expose_secret()
    }
}

impl Eq for Credential {}

/// A Secret of type `repository` or `repo-creds`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RepositorySecret {
    /// The URL, normalised. That of a template covers every URL of the same host below its path.
    pub url: String,
    /// True for `repo-creds`, which serve every repository below the URL.
    pub template: bool,
    /// The credential.
    pub credential: Credential,
    /// Members that are not supported, for example `sshPrivateKey`.
    pub unsupported: Vec<String>,
}

/// Members of repository Secrets that change how the repository is read and are not supported.
const UNSUPPORTED: &[&str] = &[
    "sshPrivateKey",
    "bearerToken",
    "githubAppID",
    "githubAppInstallationID",
    "githubAppPrivateKey",
    "tlsClientCertData",
    "tlsClientCertKey",
    "gcpServiceAccountKey",
    "proxy",
    "azureServicePrincipalClientId",
    "azureServicePrincipalClientID",
    "useAzureWorkloadIdentity",
];

impl RepositorySecret {
    /// Reads a Secret's data; `None` when it is not one about Git repositories.
    pub fn read(
        labels: &BTreeMap<String, String>,
        data: &BTreeMap<String, ByteString>,
    ) -> Option<Self> {
        let template = match labels.get(SECRET_TYPE_LABEL).map(String::as_str) {
            Some("repository") => false,
            Some("repo-creds") => true,
            _ => return None,
        };
        let text = |key: &str| {
            data.get(key)
                .map(|value| String::from_utf8_lossy(&value.0).into_owned())
                .unwrap_or_default()
        };
        if !matches!(text("type").as_str(), "" | "git") {
            return None;
        }
        let given: Vec<String> = UNSUPPORTED
            .iter()
            .filter(|key| data.get(**key).is_some_and(|value| !value.0.is_empty()))
            .map(ToString::to_string)
            .collect();
        Some(Self {
            url: normalize(&text("url")),
            template,
            credential: Credential {
                username: text("username"),
                password: text("password").into(),
                insecure: text("insecure") == "true" || text("insecureIgnoreHostKey") == "true",
            },
            unsupported: given,
        })
    }
}

/// Members of a repository Secret that are not supported, so that the repository cannot be reached as it asks.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("credentials with {0} are not supported yet")]
pub struct UnsupportedMembers(String);

impl RepositorySecret {
    /// The credential, unless the Secret asks for more than is supported.
    pub fn usable(self) -> Result<Credential, UnsupportedMembers> {
        if self.unsupported.is_empty() {
            Ok(self.credential)
        } else {
            Err(UnsupportedMembers(self.unsupported.join(", ")))
        }
    }
}

/// All repository Secrets. Cloning shares them.
#[derive(Clone, Debug, Default)]
pub struct Credentials(Arc<RwLock<BTreeMap<String, RepositorySecret>>>);

impl Credentials {
    /// Takes the Secret `name`; `None` removes it.
    pub fn set(&self, name: &str, secret: Option<RepositorySecret>) {
        let mut secrets = self.0.write();
        match secret {
            Some(secret) => drop(secrets.insert(name.to_owned(), secret)),
            None => drop(secrets.remove(name)),
        }
    }

    /// The Secret for `url`: the repository's own when it holds a password, else the template with the longest path
    /// that covers it. Upstream compares characters; here scheme, host, port and path segments must be equal.
    pub fn find(&self, url: &str) -> Option<RepositorySecret> {
        if ambiguity(url).is_some() {
            return None;
        }
        let url = normalize(url);
        let secrets = self.0.read();
        let own = secrets
            .values()
            .find(|secret| !secret.template && secret.url == url);
        if let Some(own) = own
            && (!own.credential.is_empty() || !own.unsupported.is_empty())
        {
            return Some(own.clone());
        }
        let template = secrets
            .values()
            .filter(|secret| secret.template && covers(&secret.url, &url))
            .max_by_key(|secret| secret.url.len());
        template.or(own).cloned()
    }
}
