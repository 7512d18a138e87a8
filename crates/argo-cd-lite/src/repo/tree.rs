//! Files of a commit, read from the object store within limits. There is no work tree that a link could lead out of.

use std::{
    collections::{HashMap, VecDeque},
    path::{Path, PathBuf},
    sync::Arc,
};

use gix::{
    ObjectId,
    bstr::{BString, ByteSlice},
    objs::tree::EntryKind,
};
use parking_lot::Mutex;

use super::{GitError, GitLimits, git::store_error};

/// Symbolic links that are followed one after another; more is a loop.
const MAX_LINKS: usize = 16;
/// Bytes of the target of a symbolic link.
const MAX_LINK_BYTES: u64 = 4096;

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
    /// A link left the folder, so the id of the folder's tree does not identify the content.
    pub leaves_folder: bool,
}

/// Which files to read.
pub struct FileQuery<'a> {
    /// Forty hexadecimal digits.
    pub commit: &'a str,
    /// Folder below the root of the repository.
    pub path: &'a str,
    /// Read folders below it, too.
    pub recurse: bool,
    /// Bytes of all files together.
    pub max_bytes: u64,
    /// Says which files are needed, by their path below the folder.
    pub wanted: &'a dyn Fn(&str) -> bool,
}

/// Id of the tree of a commit, when both are in the store.
pub(super) fn tree_of(repository: &gix::Repository, commit: &str) -> Result<ObjectId, GitError> {
    let id = ObjectId::from_hex(commit.as_bytes()).map_err(|error| store_error(&error))?;
    let object = repository
        .find_object(id)
        .map_err(|error| store_error(&error))?;
    let commit = object
        .peel_to_commit()
        .map_err(|error| store_error(&error))?;
    let tree = commit.tree_id().map_err(|error| store_error(&error))?;
    // The header is enough to know that it is there.
    tree.header().map_err(|error| store_error(&error))?;
    Ok(tree.detach())
}

/// Entries from which on a folder is indexed.
const LARGE: usize = 256;
/// Indexed folders that are kept. In a repository of ten thousand applications each pass looks up one name in the same
/// few folders.
const INDEXED: usize = 4;

type Entry = (EntryKind, ObjectId);
type Entries = Arc<HashMap<BString, Entry>>;

/// Indexes of the large folders that were used last.
#[derive(Default)]
pub(super) struct FolderIndex(Mutex<VecDeque<(ObjectId, Entries)>>);

impl FolderIndex {
    /// The entry `name` of the folder `tree`.
    fn entry(
        &self,
        repository: &gix::Repository,
        limits: &GitLimits,
        tree: ObjectId,
        name: &[u8],
    ) -> Result<Option<Entry>, GitError> {
        let known = {
            let indexed = self.0.lock();
            let found = indexed.iter().find(|(id, _)| *id == tree);
            found.map(|(_, entries)| entries.clone())
        };
        if let Some(entries) = known {
            return Ok(entries.get(name.as_bstr()).copied());
        }
        check_size(
            repository,
            tree,
            limits.tree_bytes,
            "bytes in a folder object",
        )?;
        let folder = repository
            .find_tree(tree)
            .map_err(|error| store_error(&error))?;
        let entries = || {
            folder.iter().filter_map(Result::ok).map(|entry| {
                (
                    entry.filename().to_owned(),
                    (entry.mode().kind(), entry.object_id()),
                )
            })
        };
        if entries().nth(LARGE).is_none() {
            let mut all = entries();
            return Ok(all
                .find(|(known, _)| *known == name)
                .map(|(_, entry)| entry));
        }
        let index: Entries = Arc::new(entries().collect());
        let found = index.get(name.as_bstr()).copied();
        let mut indexed = self.0.lock();
        indexed.push_front((tree, index));
        indexed.truncate(INDEXED);
        Ok(found)
    }
}

/// Id of the folder `path` of `commit`. Symbolic links on the way are followed inside the repository.
pub(super) fn folder(
    repository: &gix::Repository,
    index: &FolderIndex,
    limits: &GitLimits,
    commit: &str,
    path: &str,
) -> Result<ObjectId, GitError> {
    let missing = || GitError::NoPath {
        path: path.to_owned(),
    };
    let root = tree_of(repository, commit)?;
    let mut at = clean(path)?;
    for _ in 0..MAX_LINKS {
        match descend(repository, index, limits, root, &at)? {
            Reached::Folder(tree) => return Ok(tree),
            Reached::Link(target) => {
                at = clean(&target).map_err(|_| GitError::Escapes(path.to_owned()))?;
            }
            Reached::Submodule(module) => return Err(GitError::Submodule(module)),
            Reached::Nothing => return Err(missing()),
        }
    }
    Err(missing())
}

/// Where a path leads.
enum Reached {
    Folder(ObjectId),
    /// To this path instead.
    Link(String),
    /// Into the submodule at this path.
    Submodule(String),
    Nothing,
}

fn descend(
    repository: &gix::Repository,
    index: &FolderIndex,
    limits: &GitLimits,
    root: ObjectId,
    path: &Path,
) -> Result<Reached, GitError> {
    let mut tree = root;
    let mut parent = PathBuf::new();
    let mut parts = path.iter();
    while let Some(part) = parts.next() {
        match index.entry(repository, limits, tree, part.as_encoded_bytes())? {
            Some((EntryKind::Tree, id)) => tree = id,
            Some((EntryKind::Link, id)) => {
                let target = link_target(repository, id)?;
                if target.starts_with('/') {
                    return Err(GitError::Escapes(path.display().to_string()));
                }
                let whole = parent.join(target).join(parts.as_path());
                return Ok(Reached::Link(whole.to_string_lossy().into_owned()));
            }
            Some((EntryKind::Commit, _)) => {
                return Ok(Reached::Submodule(parent.join(part).display().to_string()));
            }
            _ => return Ok(Reached::Nothing),
        }
        parent.push(part);
    }
    Ok(Reached::Folder(tree))
}

/// What a symbolic link says.
fn link_target(repository: &gix::Repository, id: ObjectId) -> Result<String, GitError> {
    check_size(repository, id, MAX_LINK_BYTES, "bytes in a symbolic link")?;
    let link = repository
        .find_blob(id)
        .map_err(|error| store_error(&error))?;
    Ok(link.data.to_str_lossy().into_owned())
}

fn check_size(
    repository: &gix::Repository,
    id: ObjectId,
    limit: u64,
    what: &'static str,
) -> Result<u64, GitError> {
    let header = repository
        .find_header(id)
        .map_err(|error| store_error(&error))?;
    if header.size() > limit {
        return Err(GitError::Exceeds { what, limit });
    }
    Ok(header.size())
}

/// `path` without `.`; one that climbs out of the repository is refused.
pub(super) fn clean(path: &str) -> Result<PathBuf, GitError> {
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

/// Reads the files that `query` asks for.
pub(super) fn read_files(
    repository: &gix::Repository,
    index: &FolderIndex,
    limits: &GitLimits,
    query: &FileQuery<'_>,
) -> Result<CommitFiles, GitError> {
    let start = folder(repository, index, limits, query.commit, query.path)?;
    let root = tree_of(repository, query.commit)?;
    check_size(
        repository,
        root,
        limits.tree_bytes,
        "bytes in a folder object",
    )?;
    let root = repository
        .find_tree(root)
        .map_err(|error| store_error(&error))?;
    let mut reader = FileReader {
        repository,
        limits,
        query,
        root,
        folder: clean(query.path)?,
        bytes: 0,
        entries: 0,
        found: CommitFiles::default(),
    };
    reader.walk(start)?;
    reader.found.files.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(reader.found)
}

/// A folder that is still to be read.
struct Pending {
    tree: ObjectId,
    prefix: String,
    depth: usize,
}

struct FileReader<'r, 'q> {
    repository: &'r gix::Repository,
    limits: &'q GitLimits,
    query: &'q FileQuery<'q>,
    root: gix::Tree<'r>,
    folder: PathBuf,
    bytes: u64,
    entries: usize,
    found: CommitFiles,
}

impl FileReader<'_, '_> {
    fn walk(&mut self, start: ObjectId) -> Result<(), GitError> {
        let mut pending = vec![Pending {
            tree: start,
            prefix: String::new(),
            depth: 0,
        }];
        while let Some(next) = pending.pop() {
            self.read_folder(&next, &mut pending)?;
        }
        Ok(())
    }

    fn read_folder(&mut self, at: &Pending, pending: &mut Vec<Pending>) -> Result<(), GitError> {
        // An incomplete set of files would look like files that were deleted, so every limit is an error.
        if at.depth > self.limits.depth {
            return Err(exceeds("folders below each other", self.limits.depth));
        }
        check_size(
            self.repository,
            at.tree,
            self.limits.tree_bytes,
            "bytes in a folder object",
        )?;
        let tree = self
            .repository
            .find_tree(at.tree)
            .map_err(|error| store_error(&error))?;
        for entry in tree.iter() {
            let entry = entry.map_err(|error| store_error(&error))?;
            self.entries += 1;
            if self.entries > self.limits.entries {
                return Err(exceeds("entries below the path", self.limits.entries));
            }
            let Ok(name) = entry.filename().to_str() else {
                continue;
            };
            let path = format!("{}{name}", at.prefix);
            let id = entry.object_id();
            match entry.mode().kind() {
                EntryKind::Tree if self.query.recurse => pending.push(Pending {
                    tree: id,
                    prefix: format!("{path}/"),
                    depth: at.depth + 1,
                }),
                EntryKind::Commit if self.query.recurse => {
                    let whole = self.folder.join(&path);
                    return Err(GitError::Submodule(whole.display().to_string()));
                }
                EntryKind::Blob | EntryKind::BlobExecutable if (self.query.wanted)(&path) => {
                    self.keep(path, id)?;
                }
                EntryKind::Link if (self.query.wanted)(&path) => {
                    if let Some(id) = self.follow(&path, id)? {
                        self.keep(path, id)?;
                    }
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// Reads a file, after its size was looked at.
    fn keep(&mut self, path: String, id: ObjectId) -> Result<(), GitError> {
        if self.found.files.len() >= self.limits.files {
            return Err(exceeds("manifest files", self.limits.files));
        }
        let header = self
            .repository
            .find_header(id)
            .map_err(|error| store_error(&error))?;
        self.bytes = self.bytes.saturating_add(header.size());
        if self.bytes > self.query.max_bytes {
            return Err(GitError::TooLarge(self.query.max_bytes));
        }
        let mut blob = self
            .repository
            .find_blob(id)
            .map_err(|error| store_error(&error))?;
        let content = blob.take_data();
        self.found.files.push(SourceFile { path, content });
        Ok(())
    }

    /// The file that a link leads to; `None` for dangling links and links to folders.
    fn follow(&mut self, path: &str, link: ObjectId) -> Result<Option<ObjectId>, GitError> {
        let escapes = || GitError::Escapes(path.to_owned());
        let mut at = self.folder.join(path);
        let mut target = link_target(self.repository, link)?;
        for _ in 0..MAX_LINKS {
            if target.starts_with('/') {
                return Err(escapes());
            }
            let joined = at.parent().unwrap_or(Path::new("")).join(&target);
            let joined = joined.to_string_lossy().into_owned();
            at = clean(&joined).map_err(|_| escapes())?;
            let entry = self
                .root
                .lookup_entry_by_path(&at)
                .map_err(|error| store_error(&error))?;
            let Some(entry) = entry else { return Ok(None) };
            let id = entry.object_id();
            match entry.mode().kind() {
                EntryKind::Blob | EntryKind::BlobExecutable => {
                    self.found.leaves_folder |= !at.starts_with(&self.folder);
                    return Ok(Some(id));
                }
                EntryKind::Link => target = link_target(self.repository, id)?,
                _ => return Ok(None),
            }
        }
        Ok(None)
    }
}

fn exceeds(what: &'static str, limit: usize) -> GitError {
    GitError::Exceeds {
        what,
        limit: u64::try_from(limit).unwrap_or(u64::MAX),
    }
}
