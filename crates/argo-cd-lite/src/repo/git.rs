//! A bare store of one repository, through gix. Every function blocks: run it on the blocking pool.

use std::{
    path::{Path, PathBuf},
    sync::atomic::AtomicBool,
};

use base64::{Engine, engine::general_purpose::STANDARD};
use gix::{
    ObjectId, ThreadSafeRepository,
    bstr::{BStr, ByteSlice},
    objs::tree::EntryKind,
    progress::Discard,
    protocol::handshake::Ref,
    remote::{Direction, fetch::Shallow},
};
use parking_lot::RwLock;
use thiserror::Error;

use super::{Credential, RefList, url::redact};

/// Symbolic links that are followed one after another; more is a loop.
const MAX_LINKS: usize = 16;
/// Folders below each other that are read; deeper is a mistake or an attack.
const MAX_DEPTH: usize = 64;

/// A Git operation that failed. The text never holds credentials.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum GitError {
    /// The local store cannot be used.
    #[error("the local store of the repository: {0}")]
    Store(String),
    /// The server did not answer as it should.
    #[error("{0}")]
    Remote(String),
    /// The path is not in the commit.
    #[error("{path}: app path does not exist")]
    NoPath {
        /// The path.
        path: String,
    },
    /// A symbolic link leads out of the repository.
    #[error("the path {0} leads outside of the repository")]
    Escapes(String),
    /// The files are too large altogether.
    #[error("the manifests are larger than {0} bytes altogether")]
    TooLarge(usize),
}

fn store<E: std::fmt::Display + ?Sized>(error: &E) -> GitError {
    GitError::Store(redact(&error.to_string()))
}

fn remote(error: &(dyn std::error::Error + 'static)) -> GitError {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(inner) = source {
        let inner_text = inner.to_string();
        if !text.contains(&inner_text) {
            text = format!("{text}: {inner_text}");
        }
        source = inner.source();
    }
    if text.contains("No credentials were returned") {
        // The transport's own words speak of a credential helper that nobody here has.
        return GitError::Remote("authentication required".to_owned());
    }
    // One line: the text ends in a condition.
    GitError::Remote(redact(
        &text.split_whitespace().collect::<Vec<_>>().join(" "),
    ))
}

/// A file of the source folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceFile {
    /// Path below the folder, with slashes.
    pub path: String,
    /// Content.
    pub content: Vec<u8>,
}

/// The files of a folder at a commit.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CommitFiles {
    /// Files in the order of their paths.
    pub files: Vec<SourceFile>,
    /// A link left the folder, so the folder's tree id does not tell everything.
    pub leaves_folder: bool,
}

/// Packs after which a store is made anew. Each fetch leaves one, each open pack costs address space and
/// a slot of the object database, and without history there is nothing worth keeping but the newest.
const MAX_PACKS: usize = 24;

/// A bare repository on disk that follows one remote.
pub struct Store {
    url: String,
    path: PathBuf,
    repository: RwLock<ThreadSafeRepository>,
}

impl Store {
    /// Opens the store at `path`, or makes it.
    pub fn open(path: &Path, url: &str) -> Result<Self, GitError> {
        let repository = match open_bare(path) {
            Ok(repository) if packs(path) < MAX_PACKS => repository,
            _ => create(path)?,
        };
        Ok(Self {
            url: url.to_owned(),
            path: path.to_owned(),
            repository: RwLock::new(repository),
        })
    }

    /// Makes the store anew when it has become worn. Readers that are at work keep what they have open.
    fn renew(&self) -> Result<(), GitError> {
        if packs(&self.path) >= MAX_PACKS {
            tracing::debug!(path = %self.path.display(), "the store is made anew");
            *self.repository.write() = create(&self.path)?;
        }
        Ok(())
    }

    fn open_repository(&self) -> gix::Repository {
        self.repository.read().to_thread_local()
    }

    /// Asks the remote for its refs.
    pub fn list_refs(&self, credential: Option<&Credential>) -> Result<RefList, GitError> {
        let repository = self.local(credential)?;
        let remote_ = self.remote(
            &repository,
            &[
                "HEAD",
                "refs/heads/*:refs/mirror/heads/*",
                "refs/tags/*:refs/mirror/tags/*",
            ],
        )?;
        let connection = remote_
            .connect(Direction::Fetch)
            .map_err(|error| remote(&error))?;
        let connection = connection.with_credentials(answer(credential.cloned()));
        let (map, _) = connection
            .ref_map(Discard, gix::remote::ref_map::Options::default())
            .map_err(|error| remote(&error))?;
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
        tree_of(&repository, commit).is_ok()
    }

    /// The full id of the only commit here that begins with `prefix`.
    pub fn expand(&self, prefix: &str) -> Option<String> {
        let repository = self.open_repository();
        let id = repository.rev_parse_single(BStr::new(prefix)).ok()?;
        id.object()
            .ok()?
            .peel_to_commit()
            .ok()
            .map(|commit| commit.id.to_string())
    }

    /// Fetches `source`, a full ref name or a commit, without history, or with all of it when `deep`.
    pub fn fetch(
        &self,
        source: &str,
        deep: bool,
        credential: Option<&Credential>,
        interrupt: &AtomicBool,
    ) -> Result<(), GitError> {
        self.renew()?;
        let mut repository = self.local(credential)?;
        repository
            .committer_or_set_generic_fallback()
            .map_err(|error| store(&error))?;
        // A ref of our own per source keeps objects reachable and lets the next fetch send only the rest.
        let spec = match source.strip_prefix("refs/") {
            Some(_) if source.contains('*') => format!("+{source}:refs/mirror/{}", &source[5..]),
            Some(rest) => format!("+{source}:refs/mirror/{rest}"),
            None => format!("+{source}:refs/mirror/commits/{source}"),
        };
        let remote_ = self.remote(&repository, &[spec.as_str()])?;
        let connection = remote_
            .connect(Direction::Fetch)
            .map_err(|error| remote(&error))?;
        let connection = connection.with_credentials(answer(credential.cloned()));
        let depth = if deep {
            Shallow::undo()
        } else {
            Shallow::DepthAtRemote(std::num::NonZeroU32::MIN)
        };
        connection
            .prepare_fetch(Discard, gix::remote::ref_map::Options::default())
            .map_err(|error| remote(&error))?
            .with_shallow(depth)
            .receive(Discard, interrupt)
            .map_err(|error| remote(&error))?;
        Ok(())
    }

    /// Id of the folder `path` at `commit`.
    pub fn folder_id(&self, commit: &str, path: &str) -> Result<String, GitError> {
        let repository = self.open_repository();
        folder(&repository, commit, path).map(|tree| tree.id.to_string())
    }

    /// The files below `path` at `commit` for which `wanted` says yes. Content is read from the object
    /// store; there is no work tree that a link could lead out of.
    pub fn files(
        &self,
        commit: &str,
        path: &str,
        recurse: bool,
        limit: usize,
        wanted: &dyn Fn(&str) -> bool,
    ) -> Result<CommitFiles, GitError> {
        let repository = self.open_repository();
        let tree = folder(&repository, commit, path)?;
        let root = tree_of(&repository, commit)?;
        let mut walk = Walk {
            root,
            folder: clean(path)?,
            recurse,
            limit,
            size: 0,
            wanted,
            found: CommitFiles::default(),
        };
        walk.tree(&tree, "", 0)?;
        walk.found.files.sort_by(|a, b| a.path.cmp(&b.path));
        Ok(walk.found)
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
                .map_err(|error| store(&error))
        };
        if credential.insecure {
            set("http.sslVerify", "false")?;
        }
        // The transport hands credentials only to https. A server in the cluster may speak plain http, as
        // upstream allows; then they go in a header, and no redirect may carry them elsewhere.
        if self.url.starts_with("http://") && !credential.password.is_empty() {
            let pair = format!("{}:{}", credential.username, credential.password);
            let header = format!("Authorization: Basic {}", STANDARD.encode(pair));
            set("http.extraHeader", &header)?;
            set("http.followRedirects", "false")?;
        }
        config.commit().map_err(|error| store(&error))?;
        Ok(repository)
    }

    fn remote<'r>(
        &self,
        repository: &'r gix::Repository,
        specs: &[&str],
    ) -> Result<gix::Remote<'r>, GitError> {
        repository
            .remote_at(self.url.as_str())
            .map_err(|error| remote(&error))?
            .with_fetch_tags(gix::remote::fetch::Tags::None)
            .with_refspecs(specs.iter().copied(), Direction::Fetch)
            .map_err(|error| remote(&error))
    }
}

fn open_bare(path: &Path) -> Result<ThreadSafeRepository, GitError> {
    let options = gix::open::Options::isolated()
        .with(gix::sec::Trust::Full)
        // Small deltas of folders; the default cache would cost more memory than it saves.
        .config_overrides([
            "core.deltaBaseCacheLimit=1m",
            "gitoxide.objects.cacheLimit=0",
        ]);
    ThreadSafeRepository::open_opts(path, options).map_err(|error| store(&error))
}

fn create(path: &Path) -> Result<ThreadSafeRepository, GitError> {
    clear(path)?;
    gix::init_bare(path).map_err(|error| store(&error))?;
    open_bare(path)
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

/// A store that another version or a crash left unusable is made anew; it is only a cache.
fn clear(path: &Path) -> Result<(), GitError> {
    if path.exists() {
        std::fs::remove_dir_all(path).map_err(|error| store(&error))?;
    }
    std::fs::create_dir_all(path).map_err(|error| store(&error))
}

fn answer(
    credential: Option<Credential>,
) -> impl FnMut(
    gix::credentials::helper::Action,
) -> gix::Result<Option<gix::credentials::protocol::Outcome>> {
    use gix::credentials::helper::Action;
    move |action| {
        let Action::Get(context) = action else {
            return Ok(None);
        };
        let Some(credential) = credential
            .clone()
            .filter(|known| !known.password.is_empty())
        else {
            return Ok(None);
        };
        Ok(Some(gix::credentials::protocol::Outcome {
            identity: gix::sec::identity::Account {
                username: credential.username,
                password: credential.password,
                oauth_refresh_token: None,
            },
            next: context.into(),
        }))
    }
}

fn tree_of<'r>(repository: &'r gix::Repository, commit: &str) -> Result<gix::Tree<'r>, GitError> {
    let id = ObjectId::from_hex(commit.as_bytes()).map_err(|error| store(&error))?;
    let object = repository.find_object(id).map_err(|error| store(&error))?;
    object.peel_to_tree().map_err(|error| store(&error))
}

fn folder<'r>(
    repository: &'r gix::Repository,
    commit: &str,
    path: &str,
) -> Result<gix::Tree<'r>, GitError> {
    let root = tree_of(repository, commit)?;
    let path = clean(path)?;
    if path.as_os_str().is_empty() {
        return Ok(root);
    }
    let missing = || GitError::NoPath {
        path: path.display().to_string(),
    };
    let entry = root
        .lookup_entry_by_path(&path)
        .map_err(|error| store(&error))?
        .ok_or_else(missing)?;
    entry
        .object()
        .map_err(|error| store(&error))?
        .try_into_tree()
        .map_err(|_| missing())
}

/// `path` without `.`; one that climbs out of the repository is refused.
fn clean(path: &str) -> Result<PathBuf, GitError> {
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                if parts.pop().is_none() {
                    return Err(GitError::Escapes(path.to_owned()));
                }
            }
            part => parts.push(part),
        }
    }
    Ok(parts.iter().collect())
}

struct Walk<'r, 'f> {
    root: gix::Tree<'r>,
    folder: PathBuf,
    recurse: bool,
    limit: usize,
    size: usize,
    wanted: &'f dyn Fn(&str) -> bool,
    found: CommitFiles,
}

impl Walk<'_, '_> {
    fn tree(&mut self, tree: &gix::Tree<'_>, prefix: &str, depth: usize) -> Result<(), GitError> {
        if depth > MAX_DEPTH {
            return Ok(());
        }
        for entry in tree.iter() {
            let entry = entry.map_err(|error| store(&error))?;
            let Ok(name) = entry.filename().to_str() else {
                continue;
            };
            let path = format!("{prefix}{name}");
            match entry.mode().kind() {
                EntryKind::Tree if self.recurse => {
                    let inner = entry.object().map_err(|error| store(&error))?;
                    let inner = inner.try_into_tree().map_err(|error| store(&error))?;
                    self.tree(&inner, &format!("{path}/"), depth + 1)?;
                }
                EntryKind::Blob | EntryKind::BlobExecutable if (self.wanted)(&path) => {
                    let blob = entry.object().map_err(|error| store(&error))?;
                    self.keep(path, blob.data.clone())?;
                }
                EntryKind::Link if (self.wanted)(&path) => {
                    let link = entry.object().map_err(|error| store(&error))?;
                    let target = link.data.to_str_lossy().into_owned();
                    if let Some(content) = self.follow(&path, &target)? {
                        self.keep(path, content)?;
                    }
                }
                _ => {}
            }
        }
        Ok(())
    }

    fn keep(&mut self, path: String, content: Vec<u8>) -> Result<(), GitError> {
        self.size += content.len();
        if self.size > self.limit {
            return Err(GitError::TooLarge(self.limit));
        }
        self.found.files.push(SourceFile { path, content });
        Ok(())
    }

    /// Content of the file that a link leads to; `None` for dangling links and links to folders.
    fn follow(&mut self, path: &str, target: &str) -> Result<Option<Vec<u8>>, GitError> {
        let mut at = self.folder.join(path);
        let mut target = target.to_owned();
        for _ in 0..MAX_LINKS {
            if target.starts_with('/') {
                return Err(GitError::Escapes(path.to_owned()));
            }
            let joined = at.parent().unwrap_or(Path::new("")).join(&target);
            let joined = joined.to_string_lossy().into_owned();
            at = clean(&joined).map_err(|_| GitError::Escapes(path.to_owned()))?;
            let entry = self
                .root
                .lookup_entry_by_path(&at)
                .map_err(|error| store(&error))?;
            let Some(entry) = entry else { return Ok(None) };
            let object = entry.object().map_err(|error| store(&error))?;
            match entry.mode().kind() {
                EntryKind::Blob | EntryKind::BlobExecutable => {
                    self.found.leaves_folder |= !at.starts_with(&self.folder);
                    return Ok(Some(object.data.clone()));
                }
                EntryKind::Link => target = object.data.to_str_lossy().into_owned(),
                _ => return Ok(None),
            }
        }
        Ok(None)
    }
}
