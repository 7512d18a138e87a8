//! Credentials of repositories, read from Secrets by upstream's labels.

use std::{collections::BTreeMap, fmt, sync::Arc};

use k8s_openapi::ByteString;
use parking_lot::RwLock;

use super::url::normalize;

/// Label that tells what a Secret is.
const SECRET_TYPE_LABEL: &str = "argocd.argoproj.io/secret-type";

/// What a repository wants to know of its caller. Never printed.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Credential {
    /// User name for HTTP; Git hosts accept any when the password is a token.
    pub username: String,
    /// Password or token.
    pub password: String,
    /// Do not check the server's certificate.
    pub insecure: bool,
}

impl fmt::Debug for Credential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Credential(hidden)")
    }
}

/// A Secret of type `repository` or `repo-creds`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RepositorySecret {
    /// The URL, normalised; a prefix for templates.
    pub url: String,
    /// True for `repo-creds`, which serve every repository below the URL.
    pub template: bool,
    /// The credential.
    pub credential: Credential,
    /// Members that we do not act on, for example `sshPrivateKey`.
    pub unsupported: Vec<String>,
}

/// Members of repository Secrets that change how the repository is read and that we do not act on.
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
                password: text("password"),
                insecure: text("insecure") == "true" || text("insecureIgnoreHostKey") == "true",
            },
            unsupported: given,
        })
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

    /// The Secret for `url`: the repository's own when it holds a password, else the template with the
    /// longest fitting prefix.
    pub fn find(&self, url: &str) -> Option<RepositorySecret> {
        let url = normalize(url);
        let secrets = self.0.read();
        let own = secrets
            .values()
            .find(|secret| !secret.template && secret.url == url);
        if let Some(own) = own
            && (!own.credential.password.is_empty() || !own.unsupported.is_empty())
        {
            return Some(own.clone());
        }
        let template = secrets
            .values()
            .filter(|secret| secret.template && url.starts_with(&secret.url))
            .max_by_key(|secret| secret.url.len());
        template.or(own).cloned()
    }
}
