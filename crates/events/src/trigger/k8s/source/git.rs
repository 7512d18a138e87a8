//! A manifest in a Git repository.

use std::{fmt, sync::Arc, time::Duration};

use git_fetch::{
    Depth, FetchError, FetchRequest, FileError, GitLimits, Interrupt, Login, Names, Pool,
    PoolError, Share, SshUrl, Store, StoreRules, is_commit_id, is_ref_name, plain_path,
    url::{ambiguity, has_password, host, is_remote_repository},
};
use prometheus::IntGauge;
use reconcile_core::{credentials::redact_url, egress::EgressPolicy, object::FieldError};
use secrecy::{ExposeSecret, SecretString};
use thiserror::Error;

use super::LIMITS;
use crate::{
    api::{KeySelector, artifact::GitArtifact},
    ssh_host_keys::host_keys,
    trigger::{Run, TriggerError},
};

/// For one file, the transfer of its commit included.
const DEADLINE: Duration = Duration::from_secs(60);
/// Repositories that are read at the same time. One host or namespace gets half of them.
const THREADS: usize = 4;
/// The branch without `ref`, `tag` and `branch`, as upstream.
const BRANCH: &str = "master";

const MIB: u64 = 1 << 20;
/// What one commit may cost: its files are sent whole, also those that are not wanted.
const COST: GitLimits = GitLimits {
    list_bytes: 8 * MIB,
    pack_bytes: 64 * MIB,
    objects: 100_000,
    object_bytes: 32 * MIB,
    inflated_bytes: 512 * MIB,
    tree_bytes: 4 * MIB,
    // Folders are only searched for one name.
    entries: 0,
    files: 0,
    depth: 0,
};

const NAMES: Names = Names {
    ssh_key: "the key in sshKeySecret",
    add_ssh_key: "set sshKeySecret",
    known_hosts: "the lines behind the key in sshKeySecret",
    authority: "the system",
    client_certificate: "the certificate and key of the client",
    proxy: "the proxy",
};

/// Threads that read repositories. Cloning shares them.
#[derive(Clone, Debug)]
pub(crate) struct GitReader {
    pool: Pool,
    egress: EgressPolicy,
}

impl GitReader {
    /// Calls what `egress` permits.
    pub(in crate::trigger) fn new(egress: EgressPolicy) -> Self {
        // A gauge of its own: how many threads are busy is of no use to anybody while they have a deadline.
        let busy = IntGauge::new("git_threads", "Threads that read repositories.");
        let busy = busy.expect("a name and a text");
        Self {
            pool: Pool::shared("git", THREADS, busy),
            egress,
        }
    }
}

/// Where the credentials are.
enum Keys {
    None,
    Basic {
        username: KeySelector,
        password: KeySelector,
    },
    Ssh(KeySelector),
}

impl Keys {
    /// Those of the artifact at `path`, for a URL by ssh or by http.
    fn check(path: &str, artifact: &GitArtifact, is_ssh: bool) -> Result<Self, FieldError> {
        let wrong = |field: &str, message: &str| {
            FieldError::new(format!("{path}.{field}"), message.to_owned())
        };
        match (is_ssh, &artifact.creds, &artifact.ssh_key_secret) {
            (true, None, Some(key)) => Ok(Self::Ssh(key.clone())),
            (true, Some(_), _) => Err(wrong("creds", "are for http and https; use sshKeySecret")),
            (true, None, None) => Err(wrong("sshKeySecret", "must be set for ssh")),
            (false, Some(creds), _) => {
                let part = |field: &str, key: &Option<KeySelector>| {
                    let missing = || wrong(&format!("creds.{field}"), "must be set");
                    key.clone().ok_or_else(missing)
                };
                Ok(Self::Basic {
                    username: part("username", &creds.username)?,
                    password: part("password", &creds.password)?,
                })
            }
            (false, None, Some(_)) => Err(wrong("sshKeySecret", "is for ssh; use creds")),
            (false, None, None) => Ok(Self::None),
        }
    }
}

/// A file of a repository.
pub(in crate::trigger) struct GitFile {
    url: String,
    /// The full name of a ref, or a commit.
    revision: String,
    path: String,
    keys: Keys,
    any_host_key: bool,
}

impl fmt::Display for GitFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let url = redact_url(&self.url);
        write!(f, "{} of {url} at {}", self.path, self.revision)
    }
}

/// A file that cannot be read.
#[derive(Debug, Error)]
enum ReadError {
    #[error(transparent)]
    Pool(#[from] PoolError),
    #[error("cannot make a folder for the repository: {0}")]
    Folder(#[from] std::io::Error),
    #[error(transparent)]
    Fetch(#[from] FetchError),
    #[error(transparent)]
    File(#[from] FileError),
    #[error("the file is not UTF-8")]
    Text,
}

impl GitFile {
    pub(super) fn check(path: &str, artifact: &GitArtifact) -> Result<Self, FieldError> {
        let wrong = |field: &str, message: &str| {
            FieldError::new(format!("{path}.{field}"), message.to_owned())
        };
        checked_url(&artifact.url).map_err(|message| wrong("url", message))?;
        let mut url = &artifact.url;
        if let Some(remote) = &artifact.remote {
            // What is fetched from the remote takes the place of what was cloned.
            let empty = || wrong("remote.urls", "must not be empty");
            url = remote.urls.first().ok_or_else(empty)?;
            checked_url(url).map_err(|message| wrong("remote.urls[0]", message))?;
        }
        let url = url.trim().to_owned();
        plain_path(&artifact.file_path).map_err(|error| wrong("filePath", &error.to_string()))?;
        let keys = Keys::check(path, artifact, SshUrl::parse(&url).is_some())?;
        let (field, revision) = revision(artifact);
        if !(is_ref_name(&revision) || (field == "ref" && is_commit_id(&revision))) {
            let message = match field {
                "ref" => {
                    "is neither the full name of a ref, such as refs/heads/main, nor the id of a commit"
                }
                _ => "cannot be the name of a ref",
            };
            return Err(wrong(field, message));
        }
        Ok(Self {
            url,
            revision,
            path: artifact.file_path.clone(),
            keys,
            any_host_key: artifact.insecure_ignore_host_key,
        })
    }

    pub(super) async fn read(&self, run: Run<'_>) -> Result<String, TriggerError> {
        let login = self.login(run).await?;
        let text = self.fetch(login, run).await;
        text.map_err(|error| TriggerError::Failed(format!("cannot read {self}: {error}")))
    }

    /// Reads the Secrets.
    async fn login(&self, run: Run<'_>) -> Result<Option<Login>, TriggerError> {
        let secrets = &run.executor.secrets;
        let namespace = &run.firing.sensor.namespace;
        Ok(match &self.keys {
            Keys::None => None,
            Keys::Basic { username, password } => {
                let username = secrets.needed_secret(namespace, username).await?;
                let password = secrets.needed_secret(namespace, password).await?;
                secrets.read_login(username.expose_secret(), password.expose_secret());
                Some(Login {
                    username: username.expose_secret().to_owned(),
                    password,
                    ..Login::default()
                })
            }
            Keys::Ssh(key) => {
                let secret = secrets.needed_secret(namespace, key).await?;
                Some(self.ssh_login(&secret))
            }
        })
    }

    /// A key, and the server's own keys in the lines behind it.
    fn ssh_login(&self, secret: &SecretString) -> Login {
        let text = secret.expose_secret();
        let end = text.rfind("-----END ").map_or(0, |at| {
            text[at..].find('\n').map_or(text.len(), |line| at + line)
        });
        let (key, lines) = text.split_at(end);
        let server = SshUrl::parse(&self.url).map(|url| url.known_as());
        let server = server.unwrap_or_default();
        let known = host_keys(lines).into_iter();
        let known: Vec<String> = known.map(|key| format!("{server} {key}")).collect();
        Login {
            // Without an end there is no key; then the client says so.
            ssh_key: Some(if end == 0 {
                secret.clone()
            } else {
                key.to_owned().into()
            }),
            known_hosts: Some(Arc::from(known.join("\n"))),
            insecure: self.any_host_key,
            ..Login::default()
        }
    }

    /// Fetches the commit into a folder that goes with the call.
    async fn fetch(&self, login: Option<Login>, run: Run<'_>) -> Result<String, ReadError> {
        let reader = &run.executor.git;
        let share = Share {
            host: Some(host(&self.url)),
            projects: vec![run.firing.sensor.namespace.clone()],
        };
        let rules = StoreRules {
            limits: COST,
            egress: reader.egress,
            names: NAMES,
        };
        let request = FetchRequest {
            source: self.revision.clone(),
            depth: Depth::Tip,
        };
        let (url, path) = (self.url.clone(), self.path.clone());
        let call = move |interrupt: &Interrupt| {
            let folder = tempfile::Builder::new().prefix("git-").tempdir()?;
            let store = Store::open(&folder.path().join("store"), &url, rules)?;
            store.fetch(&request, login.as_ref(), interrupt)?;
            let limit = u64::try_from(LIMITS.bytes).unwrap_or(u64::MAX);
            let content = store.read_file(&request.source, &path, limit)?;
            String::from_utf8(content).map_err(|_| ReadError::Text)
        };
        reader.pool.run_for(share, DEADLINE, call).await?
    }
}

/// Refuses what is no repository of a server, or holds a password.
fn checked_url(url: &str) -> Result<(), &'static str> {
    if url.trim().is_empty() {
        return Err("must not be empty");
    }
    if let Some(problem) = ambiguity(url) {
        return Err(problem);
    }
    if has_password(url) {
        return Err("must not hold a password; use creds");
    }
    if !is_remote_repository(url) {
        return Err("is no repository by https, http or ssh");
    }
    Ok(())
}

/// The field that names the revision, and its full name. The order is upstream's.
fn revision(artifact: &GitArtifact) -> (&'static str, String) {
    if !artifact.reference.is_empty() {
        ("ref", artifact.reference.clone())
    } else if !artifact.tag.is_empty() {
        ("tag", format!("refs/tags/{}", artifact.tag))
    } else if !artifact.branch.is_empty() {
        ("branch", format!("refs/heads/{}", artifact.branch))
    } else {
        ("branch", format!("refs/heads/{BRANCH}"))
    }
}

#[cfg(test)]
mod tests;
