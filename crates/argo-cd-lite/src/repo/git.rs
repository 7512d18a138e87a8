//! A bare store of one repository, through gix. Every function blocks: run it on a thread of a [`super::Pool`].

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

use super::{
    Credential, GitError, GitLimits, Interrupt, RefList,
    connection::ConnectionSettings,
    error::{is_missing_revision, is_too_large, remote_error, store_error},
    http::BoundedHttp,
    limits::Watch,
    objects::{FolderIndex, commit_of, tree_of},
    ssh::{SshRequest, SshTransport, SshUrl},
    url::same_authority,
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

fn open_bare(path: &Path, limits: &GitLimits) -> Result<ThreadSafeRepository, GitError> {
    let options = gix::open::Options::isolated()
        .with(gix::sec::Trust::Full)
        .config_overrides([
            // Small deltas of folders; the default cache would cost more memory than it saves.
            "core.deltaBaseCacheLimit=1m".to_owned(),
            "gitoxide.objects.cacheLimit=0".to_owned(),
            // Each thread that resolves deltas holds a few objects.
            "pack.threads=2".to_owned(),
            format!("gitoxide.objects.allocLimit={}", limits.object_bytes),
        ]);
    ThreadSafeRepository::open_opts(path, options).map_err(|error| store_error(&error))
}

fn create(path: &Path, limits: &GitLimits) -> Result<ThreadSafeRepository, GitError> {
    clear(path)?;
    gix::init_bare(path).map_err(|error| store_error(&error))?;
    open_bare(path, limits)
}

fn packs(path: &Path) -> usize {
    let entries = std::fs::read_dir(path.join("objects/pack"));
    entries.map_or(0, |entries| {
        entries
            .filter_map(Result::ok)
            .filter(|entry| entry.path().extension().is_some_and(|kind| kind == "pack"))
            .count()
    })
}

/// True when a process that died has left a lock: Git would wait for its owner for ever. A store has one process, and
/// this is asked before that process writes to it.
fn is_locked(path: &Path) -> bool {
    let mut folders = vec![path.to_owned(), path.join("refs")];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).into_iter().flatten().flatten() {
            if Path::new(&entry.file_name())
                .extension()
                .is_some_and(|kind| kind == "lock")
            {
                return true;
            }
            if folder != path && entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                folders.push(entry.path());
            }
        }
    }
    false
}

/// Empties the folder. The store is only a cache; one that a crash left unusable is fetched again.
fn clear(path: &Path) -> Result<(), GitError> {
    if path.exists() {
        std::fs::remove_dir_all(path).map_err(|error| store_error(&error))?;
    }
    std::fs::create_dir_all(path).map_err(|error| store_error(&error))
}

/// Gives the credential to the server that it belongs to. The transport also asks after a redirect to another
/// server, which gets none.
fn answer(
    url: &str,
    credential: Option<&Credential>,
) -> impl FnMut(
    gix::credentials::helper::Action,
) -> gix::Result<Option<gix::credentials::protocol::Outcome>>
+ use<> {
    use gix::credentials::helper::Action;
    let known = credential.filter(|known| !known.is_empty()).cloned();
    let url = url.to_owned();
    move |action| {
        let Action::Get(context) = action else {
            return Ok(None);
        };
        let asking = context.url.as_ref().map(ToString::to_string);
        let asking = asking.or_else(|| {
            let (protocol, host) = (context.protocol.as_ref()?, context.host.as_ref()?);
            Some(format!("{protocol}://{host}"))
        });
        let Some(credential) = known
            .as_ref()
            .filter(|_| asking.is_some_and(|asking| same_authority(&url, &asking)))
        else {
            return Ok(None);
        };
        Ok(Some(gix::credentials::protocol::Outcome {
            identity: gix::sec::identity::Account {
                username: credential.username.clone(),
                password: credential.password.expose_secret().to_owned(),
                oauth_refresh_token: None,
            },
            next: context.into(),
        }))
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

#[cfg(test)]
mod tests {
    use gix::credentials::helper::Action;

    use super::*;

    #[test]
    fn a_redirect_to_another_server_gets_no_credential() {
        let credential = Credential::basic("u", "secret");
        let mut answer = answer("https://git.example.com/a.git", Some(&credential));
        let mut given = |url: &str| {
            answer(Action::get_for_url(url))
                .expect("an answer")
                .map(|outcome| outcome.identity.password)
        };
        assert_eq!(
            given("https://git.example.com/b").as_deref(),
            Some("secret")
        );
        assert_eq!(
            given("https://git.example.com:443/b").as_deref(),
            Some("secret")
        );
        for url in [
            "https://evil.org/a.git",
            "https://git.example.com.evil.org/a.git",
            "https://git.example.com:8443/a.git",
            "http://git.example.com/a.git",
        ] {
            assert_eq!(given(url), None, "{url}");
        }
    }
}
