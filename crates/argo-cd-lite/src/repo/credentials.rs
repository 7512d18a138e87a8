//! Credentials of repositories, read from Secrets by upstream's labels.

use std::{collections::BTreeMap, sync::Arc};

use git_fetch::{FetchError, Login, url::covers};
use k8s_openapi::ByteString;
use parking_lot::RwLock;
use reqwest::{NoProxy, Proxy, Url};
use secrecy::{ExposeSecret, SecretString};
use thiserror::Error;

use super::{GithubApp, ambiguity, normalize, registry_url::oci_url};

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
    /// Certificate and key for TLS, as PEM.
    pub client_certificate: Option<SecretString>,
    /// Talk to the registry without TLS.
    pub plain_http: bool,
    /// Token that goes to a Git server as a bearer's.
    pub bearer: Option<SecretString>,
    /// Private key for ssh.
    pub ssh_key: Option<SecretString>,
    /// The only authorities that the server's certificate may come from, as PEM.
    pub authority: Option<String>,
    /// Servers known over ssh, in the format of OpenSSH.
    pub known_hosts: Option<Arc<str>>,
    /// Logs in with tokens of this App.
    pub github_app: Option<GithubApp>,
    /// URL of the proxy for http and https.
    pub proxy_url: Option<SecretString>,
    /// Comma list of hosts, domains and networks that are reached without the proxy.
    pub no_proxy: String,
    /// Pointers of Git LFS stand for their contents.
    pub large_files: bool,
}

/// The proxy of a repository Secret cannot be used. The URL may hold a password.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("proxy of the repository Secret is no URL of an http or https proxy")]
pub struct ProxyError;

/// What a repository holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RepositoryKind {
    /// Files, by Git.
    #[default]
    Git,
    /// Charts, listed in an `index.yaml`.
    Helm,
    /// Charts or other artifacts of an OCI registry.
    Oci,
}

const KINDS: [RepositoryKind; 3] = [
    RepositoryKind::Git,
    RepositoryKind::Helm,
    RepositoryKind::Oci,
];

impl Credential {
    /// A user name with a password or token.
    pub fn basic(username: &str, password: &str) -> Self {
        Self {
            username: username.to_owned(),
            password: password.to_owned().into(),
            ..Self::default()
        }
    }

    /// True without a password.
    pub fn is_empty(&self) -> bool {
        self.password.expose_secret().is_empty()
    }

    /// True when the server is reached through a proxy of its own.
    pub(super) fn has_proxy(&self) -> bool {
        self.proxy_url.is_some()
    }

    /// The proxy, as clients take it.
    pub(super) fn proxy(&self) -> Result<Option<Proxy>, ProxyError> {
        let Some(url) = &self.proxy_url else {
            return Ok(None);
        };
        let url = Url::parse(url.expose_secret()).map_err(|_| ProxyError)?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(ProxyError);
        }
        let proxy = Proxy::all(url).map_err(|_| ProxyError)?;
        Ok(Some(proxy.no_proxy(NoProxy::from_string(&self.no_proxy))))
    }

    /// As Git servers take it. Tokens of an App are asked for before.
    pub(super) fn login(&self) -> Result<Login, FetchError> {
        let proxy = self.proxy();
        Ok(Login {
            username: self.username.clone(),
            password: self.password.clone(),
            insecure: self.insecure,
            client_certificate: self.client_certificate.clone(),
            bearer: self.bearer.clone(),
            ssh_key: self.ssh_key.clone(),
            authority: self.authority.clone(),
            known_hosts: self.known_hosts.clone(),
            proxy: proxy.map_err(|error| FetchError::Remote(error.to_string()))?,
        })
    }

    /// True when it has anything to log in with.
    fn logs_in(&self) -> bool {
        !self.is_empty()
            || self.github_app.is_some()
            || [&self.client_certificate, &self.bearer, &self.ssh_key]
                .iter()
                .any(|secret| secret.is_some())
    }
}

impl PartialEq for Credential {
    fn eq(&self, other: &Self) -> bool {
        let secrets = |one: &Self| {
            [
                &one.client_certificate,
                &one.bearer,
                &one.ssh_key,
                &one.proxy_url,
            ]
            .map(|secret| secret.as_ref().map(|text| text.expose_secret().to_owned()))
        };
        self.username == other.username
            && self.insecure == other.insecure
            && self.plain_http == other.plain_http
            && secrets(self) == secrets(other)
            && self.authority == other.authority
            && self.github_app == other.github_app
            && self.no_proxy == other.no_proxy
            && self.large_files == other.large_files
            && self.known_hosts == other.known_hosts
            && self.password.expose_secret() == other.password.expose_secret()
    }
}

impl Eq for Credential {}

/// A Secret of type `repository` or `repo-creds`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RepositorySecret {
    /// The URL, normalised. That of a template covers every URL of the same host below its path.
    pub url: String,
    /// What the repository holds.
    pub kind: RepositoryKind,
    /// True for `repo-creds`, which serve every repository below the URL.
    pub template: bool,
    /// The credential.
    pub credential: Credential,
    /// The only project that it serves; empty for all.
    pub project: String,
    /// Members that are not supported, for example `sshPrivateKey`.
    pub unsupported: Vec<String>,
}

/// Members of repository Secrets that change how the repository is read and are not supported.
const UNSUPPORTED: &[&str] = &[
    "gcpServiceAccountKey",
    "azureServicePrincipalClientId",
    "azureServicePrincipalClientID",
    "useAzureWorkloadIdentity",
];

/// Members that are supported for Git only.
const ONLY_GIT: &[&str] = &["sshPrivateKey", "bearerToken", "githubAppID"];

impl RepositorySecret {
    /// Reads a Secret's data; `None` when it is not one about repositories.
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
        let secret = |key: &str| {
            let text = text(key);
            (!text.is_empty()).then(|| SecretString::from(text))
        };
        let url = text("url");
        let is_registry = || oci_url(&url).is_some();
        let kind = match text("type").as_str() {
            "" | "git" => RepositoryKind::Git,
            "helm" if text("enableOCI") == "true" || is_registry() => RepositoryKind::Oci,
            "helm" => RepositoryKind::Helm,
            "oci" => RepositoryKind::Oci,
            _ => return None,
        };
        let certificate = [text("tlsClientCertData"), text("tlsClientCertKey")];
        let certificate =
            (!certificate.concat().is_empty()).then(|| SecretString::from(certificate.join("\n")));
        let given: Vec<String> = UNSUPPORTED
            .iter()
            .chain(ONLY_GIT.iter().filter(|_| kind != RepositoryKind::Git))
            .filter(|key| data.get(**key).is_some_and(|value| !value.0.is_empty()))
            .map(ToString::to_string)
            .collect();
        let url = match kind {
            RepositoryKind::Oci => oci_url(&url).unwrap_or_default(),
            _ => normalize(&url),
        };
        Some(Self {
            url,
            kind,
            template,
            credential: Credential {
                username: text("username"),
                password: text("password").into(),
                insecure: text("insecure") == "true" || text("insecureIgnoreHostKey") == "true",
                client_certificate: certificate,
                plain_http: text("insecureOCIForceHttp") == "true",
                bearer: secret("bearerToken"),
                ssh_key: secret("sshPrivateKey"),
                authority: None,
                known_hosts: None,
                github_app: github_app(&text),
                proxy_url: secret("proxy"),
                no_proxy: text("noProxy"),
                // As upstream: a template says nothing about it.
                large_files: !template && text("enableLfs") == "true",
            },
            project: text("project"),
            unsupported: given,
        })
    }
}

/// The GitHub App of a Secret that has any member about one; what is missing is found when a token is asked for.
fn github_app(text: &impl Fn(&str) -> String) -> Option<GithubApp> {
    let app = GithubApp {
        id: text("githubAppID").trim().to_owned(),
        installation: text("githubAppInstallationID").trim().to_owned(),
        key: text("githubAppPrivateKey").into(),
        base_url: text("githubAppEnterpriseBaseUrl"),
    };
    let given = [&*app.id, &*app.installation, app.key.expose_secret()].concat();
    (!given.is_empty()).then_some(app)
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

    /// True when `other` logs in to the repository in the same way, whatever the repository holds.
    pub fn agrees_with(&self, other: &Self, url: &str) -> bool {
        KINDS.into_iter().all(|kind| {
            let login = |known: &Self| known.find_kind(kind, url).map(|found| found.credential);
            login(self).unwrap_or_default() == login(other).unwrap_or_default()
        })
    }

    /// True when the Secret for `url` serves the project, or there is none.
    pub fn serve(&self, url: &str, project: &str) -> bool {
        KINDS.into_iter().all(|kind| {
            let found = self.find_kind(kind, url);
            found.is_none_or(|secret| secret.project.is_empty() || secret.project == project)
        })
    }

    /// The Secret of a Git repository. See [`Self::find_kind`].
    pub fn find(&self, url: &str) -> Option<RepositorySecret> {
        self.find_kind(RepositoryKind::Git, url)
    }

    /// The Secret for `url`: the repository's own when it holds a credential, else the template with the longest path
    /// that covers it. Upstream compares characters; here scheme, host, port and path segments must be equal.
    pub fn find_kind(&self, kind: RepositoryKind, url: &str) -> Option<RepositorySecret> {
        if ambiguity(url).is_some() {
            return None;
        }
        let url = match kind {
            RepositoryKind::Oci => oci_url(url)?,
            _ => normalize(url),
        };
        let secrets = self.0.read();
        let of_kind = || secrets.values().filter(|secret| secret.kind == kind);
        let all_own = of_kind().filter(|secret| !secret.template && secret.url == url);
        // One that serves all projects comes first.
        let own = all_own.min_by_key(|secret| !secret.project.is_empty());
        if let Some(own) = own
            && (own.credential.logs_in() || !own.unsupported.is_empty())
        {
            return Some(own.clone());
        }
        let template = of_kind()
            .filter(|secret| secret.template && covers(&secret.url, &url))
            .max_by_key(|secret| secret.url.len());
        let mut found = template.or(own).cloned()?;
        found.credential.large_files = own.is_some_and(|own| own.credential.large_files);
        // The way to the server is the repository's own; only the login comes from a template.
        if let Some(own) = own.filter(|own| own.credential.has_proxy()) {
            found
                .credential
                .proxy_url
                .clone_from(&own.credential.proxy_url);
            found
                .credential
                .no_proxy
                .clone_from(&own.credential.no_proxy);
        }
        Some(found)
    }
}

#[cfg(test)]
mod tests;
