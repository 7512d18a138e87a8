//! A bare store of one repository, through gix. Every function blocks: run it on a thread of a [`crate::Pool`].

mod answer;
mod bare;
mod request;

use std::{
    collections::HashSet,
    path::{Path, PathBuf},
};

use base64::{Engine, engine::general_purpose::STANDARD};
use gix::{
    ObjectId, ThreadSafeRepository,
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

pub use self::request::{Depth, FetchRequest, RefList};
use self::{
    answer::answer,
    bare::{create, is_locked, open_bare, packs},
    request::mirror,
};
use crate::{
    FetchError, GitLimits, Interrupt, Login, Names,
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
    rules: StoreRules,
    folders: FolderIndex,
    /// Commits that were found here.
    known: Mutex<HashSet<String>>,
    repository: RwLock<ThreadSafeRepository>,
}

impl Store {
    /// Opens the store at `path`, or creates it; also when a process died in the middle of a write to it.
    pub fn open(path: &Path, url: &str, rules: StoreRules) -> Result<Self, FetchError> {
        // Keys that a process left which was killed.
        drop(std::fs::remove_dir_all(path.with_extension("ssh")));
        let repository = match open_bare(path, &rules.limits) {
            Ok(repository) if packs(path) < MAX_PACKS && !is_locked(path) => repository,
            _ => create(path, &rules.limits)?,
        };
        Ok(Self {
            url: url.to_owned(),
            path: path.to_owned(),
            rules,
            folders: FolderIndex::default(),
            known: Mutex::default(),
            repository: RwLock::new(repository),
        })
    }

    /// Creates the store again when it has too many packs. Readers keep the files that they have open.
    fn renew(&self) -> Result<(), FetchError> {
        if packs(&self.path) >= MAX_PACKS {
            tracing::debug!(path = %self.path.display(), "the store is created again");
            let created = create(&self.path, &self.rules.limits);
            self.known.lock().clear();
            *self.repository.write() = created?;
        }
        Ok(())
    }

    /// The store as gix reads it.
    pub fn open_repository(&self) -> gix::Repository {
        self.repository.read().to_thread_local()
    }

    /// Asks the remote for its refs.
    pub fn list_refs(
        &self,
        login: Option<&Login>,
        interrupt: &Interrupt,
    ) -> Result<RefList, FetchError> {
        let watch = Watch::new(self.rules.limits, interrupt);
        self.try_list_refs(login, &watch)
            .map_err(|error| watch.explain(error))
    }

    fn try_list_refs(&self, login: Option<&Login>, watch: &Watch) -> Result<RefList, FetchError> {
        let repository = self.local(login)?;
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
            limit: self.rules.limits.list_bytes,
        };
        let connection = self.connect(&remote, &request, login)?;
        let connection = connection.with_credentials(answer(&self.url, login));
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
    pub fn is_known(&self, commit: &str) -> bool {
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
        login: Option<&Login>,
        interrupt: &Interrupt,
    ) -> Result<(), FetchError> {
        self.renew()?;
        let watch = Watch::new(self.rules.limits, interrupt);
        self.try_fetch(request, login, &watch)
            .map_err(|error| match watch.explain(error) {
                FetchError::Remote(text) if is_missing_revision(&text, &request.source) => {
                    FetchError::NoRevision(request.source.clone())
                }
                FetchError::Remote(text) if is_too_large(&text) => FetchError::Exceeds {
                    what: "bytes in an object",
                    limit: self.rules.limits.object_bytes,
                },
                other => other,
            })
    }

    fn try_fetch(
        &self,
        request: &FetchRequest,
        login: Option<&Login>,
        watch: &Watch,
    ) -> Result<(), FetchError> {
        let mut repository = self.local(login)?;
        repository
            .committer_or_set_generic_fallback()
            .map_err(|error| store_error(&error))?;
        let spec = format!("+{}:{}", request.source, mirror(&request.source));
        let remote = self.remote(&repository, &[spec.as_str()])?;
        let bounds = Request {
            watch,
            what: "bytes in a transfer",
            limit: self.rules.limits.pack_bytes + self.rules.limits.list_bytes,
        };
        let connection = self.connect(&remote, &bounds, login)?;
        let connection = connection.with_credentials(answer(&self.url, login));
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

    /// The object that was fetched from `source`, the name of a ref or a commit: a commit or an annotated tag.
    pub fn fetched(&self, source: &str) -> Result<Option<ObjectId>, FetchError> {
        let repository = self.open_repository();
        let found = repository.try_find_reference(mirror(source).as_str());
        let reference = found.map_err(|error| store_error(&error))?;
        let id = reference.and_then(|found| found.target().try_id().map(ToOwned::to_owned));
        Ok(id)
    }

    /// Limits of the repository.
    pub fn limits(&self) -> &GitLimits {
        &self.rules.limits
    }

    /// Indexes of large folders.
    pub fn folders(&self) -> &FolderIndex {
        &self.folders
    }

    /// A connection whose answers are bounded.
    fn connect<'a, 'r>(
        &self,
        remote: &'a gix::Remote<'r>,
        request: &Request<'_>,
        login: Option<&Login>,
    ) -> Result<gix::remote::Connection<'a, 'static, 'r, Box<dyn Transport + Send>>, FetchError>
    {
        if let Some(url) = SshUrl::parse(&self.url) {
            let transport = SshTransport::connect(&SshRequest {
                url: &url,
                login,
                names: &self.rules.names,
                egress: self.rules.egress,
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
            self.rules.egress.check(&url)?;
        }
        let (url, version) = remote
            .sanitized_url_and_version(Direction::Fetch)
            .map_err(|error| remote_error(&error))?;
        let client = BoundedHttp::new(
            request.watch.clone(),
            request.what,
            request.limit,
            self.rules.egress,
            ConnectionSettings::of(login, &self.rules.names)?,
        )
        .map_err(|error| remote_error(&error))?;
        let transport = http::Transport::new_http(client, url, version, false);
        Ok(remote.to_connection_with_transport(Box::new(transport) as Box<dyn Transport + Send>))
    }

    fn local(&self, login: Option<&Login>) -> Result<gix::Repository, FetchError> {
        let mut repository = self.open_repository();
        let Some(login) = login else {
            return Ok(repository);
        };
        let mut config = repository.config_snapshot_mut();
        let mut set = |key: &str, value: &str| {
            config
                .set_raw_value(key, value)
                .map(drop)
                .map_err(|error| store_error(&error))
        };
        if login.insecure {
            set("http.sslVerify", "false")?;
        }
        if login.client_certificate.is_some() || login.bearer.is_some() {
            // Another server would be shown them.
            set("http.followRedirects", "false")?;
        }
        if let Some(bearer) = &login.bearer {
            let header = format!("Authorization: Bearer {}", bearer.expose_secret());
            set("http.extraHeader", &header)?;
            config.commit().map_err(|error| store_error(&error))?;
            return Ok(repository);
        }
        // The transport sends credentials only over https. A server in the cluster may use plain http, as upstream
        // allows: then they go in a header, and redirects are not followed.
        if self.url.starts_with("http://") && !login.is_empty() {
            let password = login.password.expose_secret();
            let pair = format!("{}:{password}", login.username);
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
    ) -> Result<gix::Remote<'r>, FetchError> {
        repository
            .remote_at(self.url.as_str())
            .map_err(|error| remote_error(&error))?
            .with_fetch_tags(gix::remote::fetch::Tags::None)
            .with_refspecs(specs.iter().copied(), Direction::Fetch)
            .map_err(|error| remote_error(&error))
    }
}

/// What a store keeps to.
#[derive(Clone, Copy, Debug)]
pub struct StoreRules {
    /// What the repository may cost.
    pub limits: GitLimits,
    /// Which servers may be called.
    pub egress: EgressPolicy,
    /// What errors call the things that a user can change.
    pub names: Names,
}

/// Bounds of the answers to one kind of request.
struct Request<'a> {
    watch: &'a Watch,
    what: &'static str,
    limit: u64,
}
