//! A bare store of one repository, through gix. Every function blocks: run it on a thread of a [`super::Pool`].

mod answer;
mod bare;

use std::{
    collections::HashSet,
    path::{Path, PathBuf},
};

use base64::{Engine, engine::general_purpose::STANDARD};
use gix::{
    ThreadSafeRepository,
    bstr::BStr,
    progress::Discard,
    protocol::{
        handshake::Ref,
        transport::client::blocking_io::{Transport, http},
    },
    remote::{Direction, fetch::Shallow},
};
use parking_lot::{Mutex, RwLock};
use reconcile_core::egress::EgressPolicy;
use secrecy::ExposeSecret;

use self::{
    answer::answer,
    bare::{create, is_locked, open_bare, packs},
};
use super::{
    Credential, GitError, GitLimits, Interrupt, RefList,
    connection::ConnectionSettings,
    error::{is_missing_revision, is_too_large, remote_error, store_error},
    http::BoundedHttp,
    limits::Watch,
    objects::{FolderIndex, commit_of, tree_of},
    ssh::{SshRequest, SshTransport, SshUrl},
};

/// Packs after which a store is created again. Each fetch leaves one, and each open pack costs address space and a
/// slot of the object database. Without history only the newest pack is worth keeping.
const MAX_PACKS: usize = 24;

/// Commits of a store that are known to be there without a look.
const MAX_KNOWN: usize = 256;

/// A bare repository on disk that follows one remote.
pub struct Store {
    url: String,
    path: PathBuf,
    limits: GitLimits,
    egress: EgressPolicy,
    folders: FolderIndex,
    /// Commits that were found here.
    known: Mutex<HashSet<String>>,
    repository: RwLock<ThreadSafeRepository>,
}

impl Store {
    /// Opens the store at `path`, or creates it; also when a process died in the middle of a write to it. Its server is one that `egress` permits.
    pub fn open(
        path: &Path,
        url: &str,
        limits: GitLimits,
        egress: EgressPolicy,
    ) -> Result<Self, GitError> {
        // Keys that a process left which was killed.
        drop(std::fs::remove_dir_all(path.with_extension("ssh")));
        let repository = match open_bare(path, &limits) {
            Ok(repository) if packs(path) < MAX_PACKS && !is_locked(path) => repository,
            _ => create(path, &limits)?,
        };
        Ok(Self {
            url: url.to_owned(),
            path: path.to_owned(),
            limits,
            egress,
            folders: FolderIndex::default(),
            known: Mutex::default(),
            repository: RwLock::new(repository),
        })
    }

    /// Creates the store again when it has too many packs. Readers keep the files that they have open.
    fn renew(&self) -> Result<(), GitError> {
        if packs(&self.path) >= MAX_PACKS {
            tracing::debug!(path = %self.path.display(), "the store is created again");
            let created = create(&self.path, &self.limits);
            self.known.lock().clear();
            *self.repository.write() = created?;
        }
        Ok(())
    }

    pub(super) fn open_repository(&self) -> gix::Repository {
        self.repository.read().to_thread_local()
    }

    /// Asks the remote for its refs.
    pub fn list_refs(
        &self,
        credential: Option<&Credential>,
        interrupt: &Interrupt,
    ) -> Result<RefList, GitError> {
        let watch = Watch::new(self.limits, interrupt);
        self.try_list_refs(credential, &watch)
            .map_err(|error| watch.explain(error))
    }

    fn try_list_refs(
        &self,
        credential: Option<&Credential>,
        watch: &Watch,
    ) -> Result<RefList, GitError> {
        let repository = self.local(credential)?;
        let remote = self.remote(
            &repository,
            &[
                "HEAD",
                "refs/heads/*:refs/mirror/heads/*",
                "refs/tags/*:refs/mirror/tags/*",
            ],
        )?;
        let request = Request {
            watch,
            what: "bytes in the list of refs",
            limit: self.limits.list_bytes,
        };
        let connection = self.connect(&remote, &request, credential)?;
        let connection = connection.with_credentials(answer(&self.url, credential));
        let (map, _) = connection
            .ref_map(Discard, gix::remote::ref_map::Options::default())
            .map_err(|error| remote_error(&error))?;
        let mut list = RefList::default();
        for reference in &map.remote_refs {
            let (name, commit) = match reference {
                Ref::Peeled {
                    full_ref_name,
                    object,
                    ..
                }
                | Ref::Direct {
                    full_ref_name,
                    object,
                }
                | Ref::Symbolic {
                    full_ref_name,
                    object,
                    ..
                } => (full_ref_name, object),
                Ref::Unborn { .. } => continue,
            };
            if name == "HEAD" {
                list.head = Some(commit.to_string());
            } else {
                list.refs.insert(name.to_string(), commit.to_string());
            }
        }
        Ok(list)
    }

    /// True when the commit and its tree are here.
    pub fn has(&self, commit: &str) -> bool {
        let repository = self.open_repository();
        let found = tree_of(&repository, commit).is_ok();
        if found {
            let mut known = self.known.lock();
            if known.len() >= MAX_KNOWN {
                known.clear();
            }
            known.insert(commit.to_owned());
        }
        found
    }

    /// True when the commit was found here before. Does not block.
    pub(super) fn is_known(&self, commit: &str) -> bool {
        self.known.lock().contains(commit)
    }

    /// The full id of the only commit here that begins with `prefix`.
    pub fn expand(&self, prefix: &str) -> Option<String> {
        let repository = self.open_repository();
        let id = repository.rev_parse_single(BStr::new(prefix)).ok()?;
        let commit = commit_of(&repository, id.detach()).ok()?;
        Some(commit.id.to_string())
    }

    /// Fetches from the remote within the limits.
    pub fn fetch(
        &self,
        request: &FetchRequest,
        credential: Option<&Credential>,
        interrupt: &Interrupt,
    ) -> Result<(), GitError> {
        self.renew()?;
        let watch = Watch::new(self.limits, interrupt);
        self.try_fetch(request, credential, &watch)
            .map_err(|error| match watch.explain(error) {
                GitError::Remote(text) if is_missing_revision(&text, &request.source) => {
                    GitError::NoRevision(request.source.clone())
                }
                GitError::Remote(text) if is_too_large(&text) => GitError::Exceeds {
                    what: "bytes in an object",
                    limit: self.limits.object_bytes,
                },
                other => other,
            })
    }

    fn try_fetch(
        &self,
        request: &FetchRequest,
        credential: Option<&Credential>,
        watch: &Watch,
    ) -> Result<(), GitError> {
        let mut repository = self.local(credential)?;
        repository
            .committer_or_set_generic_fallback()
            .map_err(|error| store_error(&error))?;
        // A ref of our own per source keeps objects reachable and lets the next fetch send only the rest.
        let source = request.source.as_str();
        let spec = match source.strip_prefix("refs/") {
            Some(rest) => format!("+{source}:refs/mirror/{rest}"),
            None => format!("+{source}:refs/mirror/commits/{source}"),
        };
        let remote = self.remote(&repository, &[spec.as_str()])?;
        let bounds = Request {
            watch,
            what: "bytes in a transfer",
            limit: self.limits.pack_bytes + self.limits.list_bytes,
        };
        let connection = self.connect(&remote, &bounds, credential)?;
        let connection = connection.with_credentials(answer(&self.url, credential));
        let depth = match request.depth {
            Depth::Full => Shallow::undo(),
            Depth::Tip => Shallow::DepthAtRemote(std::num::NonZeroU32::MIN),
        };
        connection
            .prepare_fetch(Discard, gix::remote::ref_map::Options::default())
            .map_err(|error| remote_error(&error))?
            .with_shallow(depth)
            .receive(watch.progress(), watch.interrupt())
            .map_err(|error| remote_error(&error))?;
        Ok(())
    }

    /// Limits of the repository.
    pub(super) fn limits(&self) -> &GitLimits {
        &self.limits
    }

    /// Indexes of large folders.
    pub(super) fn folders(&self) -> &FolderIndex {
        &self.folders
    }

    /// A connection whose answers are bounded.
    fn connect<'a, 'r>(
        &self,
        remote: &'a gix::Remote<'r>,
        request: &Request<'_>,
        credential: Option<&Credential>,
    ) -> Result<gix::remote::Connection<'a, 'static, 'r, Box<dyn Transport + Send>>, GitError> {
        if let Some(url) = SshUrl::parse(&self.url) {
            let transport = SshTransport::connect(&SshRequest {
                url: &url,
                credential,
                egress: self.egress,
                watch: request.watch,
                what: request.what,
                limit: request.limit,
                folder: &self.path.with_extension("ssh"),
            })?;
            return Ok(remote.to_connection_with_transport(Box::new(transport)));
        }
        if !self.url.starts_with("http") {
            return remote
                .connect(Direction::Fetch)
                .map_err(|error| remote_error(&error));
        }
        if let Ok(url) = reqwest::Url::parse(&self.url) {
            self.egress.check(&url)?;
        }
        let (url, version) = remote
            .sanitized_url_and_version(Direction::Fetch)
            .map_err(|error| remote_error(&error))?;
        let client = BoundedHttp::new(
            request.watch.clone(),
            request.what,
            request.limit,
            self.egress,
            ConnectionSettings::of(credential)?,
        )
        .map_err(|error| remote_error(&error))?;
        let transport = http::Transport::new_http(client, url, version, false);
        Ok(remote.to_connection_with_transport(Box::new(transport) as Box<dyn Transport + Send>))
    }

    fn local(&self, credential: Option<&Credential>) -> Result<gix::Repository, GitError> {
        let mut repository = self.open_repository();
        let Some(credential) = credential else {
            return Ok(repository);
        };
        let mut config = repository.config_snapshot_mut();
        let mut set = |key: &str, value: &str| {
            config
                .set_raw_value(key, value)
                .map(drop)
                .map_err(|error| store_error(&error))
        };
        if credential.insecure {
            set("http.sslVerify", "false")?;
        }
        if credential.client_certificate.is_some() || credential.bearer.is_some() {
            // Another server would be shown them.
            set("http.followRedirects", "false")?;
        }
        if let Some(bearer) = &credential.bearer {
            let header = format!("Authorization: Bearer {}", bearer.expose_secret());
            set("http.extraHeader", &header)?;
            config.commit().map_err(|error| store_error(&error))?;
            return Ok(repository);
        }
        // The transport sends credentials only over https. A server in the cluster may use plain http, as upstream
        // allows: then they go in a header, and redirects are not followed.
        if self.url.starts_with("http://") && !credential.is_empty() {
            let password = credential.password.expose_secret();
            let pair = format!("{}:{password}", credential.username);
            let header = format!("Authorization: Basic {}", STANDARD.encode(pair));
            set("http.extraHeader", &header)?;
            set("http.followRedirects", "false")?;
        }
        config.commit().map_err(|error| store_error(&error))?;
        Ok(repository)
    }

    fn remote<'r>(
        &self,
        repository: &'r gix::Repository,
        specs: &[&str],
    ) -> Result<gix::Remote<'r>, GitError> {
        repository
            .remote_at(self.url.as_str())
            .map_err(|error| remote_error(&error))?
            .with_fetch_tags(gix::remote::fetch::Tags::None)
            .with_refspecs(specs.iter().copied(), Direction::Fetch)
            .map_err(|error| remote_error(&error))
    }
}

/// What to fetch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FetchRequest {
    /// A full ref name, which may end in `*`, or a commit.
    pub source: String,
    /// How much of the history.
    pub depth: Depth,
}

/// How much of the history to fetch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Depth {
    /// The commit only.
    Tip,
    /// All of it, to resolve short commit ids.
    Full,
}

/// Bounds of the answers to one kind of request.
struct Request<'a> {
    watch: &'a Watch,
    what: &'static str,
    limit: u64,
}
