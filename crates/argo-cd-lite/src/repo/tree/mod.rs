//! The files of a source, read within limits. What was read is recorded.
//!
//! ```text
//!   path ──► clean ──► follow links inside the tree ──► node ──► content
//!                                                        └──► record: path and id
//! ```
//!
//! There is no work tree that a link could lead out of: links are followed here, by name, below the root.

mod commit;
mod folder;
mod modules;
mod path;
mod reader;
mod walk;

use std::{
    cell::{Cell, RefCell},
    collections::{BTreeMap, VecDeque},
    sync::atomic::Ordering,
};

use self::path::{folders_above, parts};
pub use self::{
    folder::FolderReader,
    path::{clean, join},
    reader::{Node, NodeKind, TreeReader},
};
pub(super) use {commit::CommitReader, modules::ModulesReader};

use super::{GitError, GitLimits, Interrupt, error::exceeds};

/// Symbolic links that are followed one after another; more is a loop.
const MAX_LINKS: usize = 16;
/// Bytes of the target of a symbolic link.
const MAX_LINK_BYTES: u64 = 4096;
/// Bytes of the paths and ids in a record.
const MAX_RECORD_BYTES: usize = 4 * 1024 * 1024;

/// Stands in a record for the id of what cannot be reached, for example behind a link that leads out.
const UNREADABLE: &str = "!";

/// A node and the path that leads to it without links.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// Path below the root, with slashes; empty for the root.
    pub path: String,
    /// The node: a file or a folder.
    pub node: Node,
}

impl Found {
    /// True for folders.
    pub fn is_folder(&self) -> bool {
        self.node.kind == NodeKind::Folder
    }
}

/// A file of the source folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceFile {
    /// Path below the folder, with slashes.
    pub path: String,
    /// Content.
    pub content: Vec<u8>,
}

/// Which files of a folder to read.
pub struct FileQuery<'a> {
    /// Read folders below it, too.
    pub recurse: bool,
    /// Read folders that links lead to, too.
    pub linked_folders: bool,
    /// Bytes of all files together.
    pub max_bytes: u64,
    /// Says which files are needed, by their path below the folder.
    pub wanted: &'a dyn Fn(&str) -> bool,
}

/// Path and id of what was read; the id of what is not there is empty.
pub type Record = BTreeMap<String, String>;

/// A tree of files that notes what is read of it.
pub struct SourceTree {
    reader: Box<dyn TreeReader>,
    limits: GitLimits,
    interrupt: Interrupt,
    record: RefCell<Record>,
    record_bytes: Cell<usize>,
}

impl SourceTree {
    /// A tree of which nothing was read.
    pub fn new(reader: Box<dyn TreeReader>, limits: GitLimits) -> Self {
        Self {
            reader,
            limits,
            interrupt: Interrupt::default(),
            record: RefCell::default(),
            record_bytes: Cell::default(),
        }
    }

    /// The same tree, which is read no further once `interrupt` is set.
    #[must_use]
    pub fn interruptible(self, interrupt: &Interrupt) -> Self {
        Self {
            interrupt: interrupt.clone(),
            ..self
        }
    }

    /// What was read so far. A folder stands for all that is below it.
    pub fn record(&self) -> Record {
        self.record.borrow().clone()
    }

    /// True when everything in `record` is in this tree as it was when it was read.
    pub fn matches(&self, record: &Record) -> bool {
        record.iter().all(|(path, id)| match self.resolve(path) {
            Ok(Some(found)) => found.node.id == *id,
            Ok(None) => id.is_empty(),
            Err(_) => id == UNREADABLE,
        })
    }

    /// True when something was read that is only a pointer to its content.
    pub fn lacks_files(&self) -> bool {
        self.reader.lacks_files()
    }

    /// The file or folder at `path`; links are followed.
    pub fn look(&self, path: &str) -> Result<Option<Found>, GitError> {
        let clean = clean(path)?;
        let found = match self.resolve(path) {
            Ok(found) => found,
            Err(error) => return Err(self.unreadable(&clean, error)),
        };
        // A folder that is recorded already stands for what is below it, unless a link led elsewhere.
        let straight = found.as_ref().is_some_and(|found| found.path == clean);
        let covered = {
            let record = self.record.borrow();
            folders_above(&clean).any(|above| record.get(above).is_some_and(|id| !id.is_empty()))
        };
        if !(straight && covered) {
            self.note(clean, found.as_ref())?;
        }
        Ok(found)
    }

    /// Notes what is at a path.
    fn note(&self, path: String, found: Option<&Found>) -> Result<(), GitError> {
        let id = found.map(|found| found.node.id.clone());
        self.insert(path, id.unwrap_or_default())
    }

    /// Notes that a path cannot be read, and gives the error that says so.
    fn unreadable(&self, path: &str, error: GitError) -> GitError {
        let noted = self.insert(path.to_owned(), UNREADABLE.to_owned());
        noted.err().unwrap_or(error)
    }

    fn insert(&self, path: String, id: String) -> Result<(), GitError> {
        let bytes = self.record_bytes.get() + path.len() + id.len();
        if bytes > MAX_RECORD_BYTES {
            return Err(too_many("bytes of the paths of a source", MAX_RECORD_BYTES));
        }
        if self.record.borrow_mut().insert(path, id).is_none() {
            self.record_bytes.set(bytes);
        }
        Ok(())
    }

    fn check_interrupt(&self) -> Result<(), GitError> {
        if self.interrupt.load(Ordering::Relaxed) {
            return Err(GitError::Interrupted);
        }
        Ok(())
    }

    /// The folder at `path`.
    pub fn folder(&self, path: &str) -> Result<Found, GitError> {
        self.look(path)?
            .filter(Found::is_folder)
            .ok_or_else(|| GitError::NoPath {
                path: path.to_owned(),
            })
    }

    /// The content of the file at `path`, of at most `max_bytes`; `None` when there is no file.
    pub fn file(&self, path: &str, max_bytes: u64) -> Result<Option<Vec<u8>>, GitError> {
        match self.look(path)? {
            Some(found) if !found.is_folder() => self.content(&found.node, max_bytes).map(Some),
            _ => Ok(None),
        }
    }

    /// Names and nodes of the entries of a folder that was looked up, sorted.
    pub fn entries(&self, folder: &Found) -> Result<Vec<(String, Node)>, GitError> {
        let mut entries = self.list(&folder.node)?;
        entries.sort_by(|a, b| a.0.cmp(&b.0));
        Ok(entries)
    }

    fn list(&self, folder: &Node) -> Result<Vec<(String, Node)>, GitError> {
        self.check_size(folder, self.limits.tree_bytes, "bytes in a folder object")?;
        self.reader.list(folder)
    }

    fn content(&self, node: &Node, max_bytes: u64) -> Result<Vec<u8>, GitError> {
        if self.reader.size(node)? > max_bytes {
            return Err(GitError::TooLarge(max_bytes));
        }
        self.reader.read(node)
    }

    fn check_size(&self, node: &Node, limit: u64, what: &'static str) -> Result<(), GitError> {
        if self.reader.size(node)? > limit {
            return Err(exceeds(what, limit));
        }
        Ok(())
    }

    /// Follows `path` from the root.
    fn resolve(&self, path: &str) -> Result<Option<Found>, GitError> {
        let escapes = || GitError::Escapes(path.to_owned());
        let clean = clean(path)?;
        let mut pending: VecDeque<String> = parts(&clean).map(str::to_owned).collect();
        let mut at: Vec<(String, Node)> = Vec::new();
        let mut links = 0;
        while let Some(part) = pending.pop_front() {
            self.check_interrupt()?;
            if part == ".." {
                at.pop().ok_or_else(escapes)?;
                continue;
            }
            let folder = at.last().map_or(self.reader.root(), |(_, node)| node);
            if folder.kind != NodeKind::Folder {
                return Ok(None);
            }
            let Some(node) = self.reader.find(folder, &part)? else {
                return Ok(None);
            };
            match node.kind {
                NodeKind::Folder | NodeKind::File => at.push((part, node)),
                NodeKind::Module => {
                    let names = at.iter().map(|(name, _)| name.as_str());
                    let names: Vec<&str> = names.chain([part.as_str()]).collect();
                    return Err(GitError::Submodule(names.join("/")));
                }
                NodeKind::Link => {
                    links += 1;
                    if links > MAX_LINKS {
                        return Ok(None);
                    }
                    self.check_size(&node, MAX_LINK_BYTES, "bytes in a symbolic link")?;
                    let target = self.reader.read(&node)?;
                    let target = String::from_utf8_lossy(&target).into_owned();
                    if target.starts_with('/') {
                        return Err(escapes());
                    }
                    for part in parts(&target).rev() {
                        pending.push_front(part.to_owned());
                    }
                }
            }
        }
        let node = at
            .last()
            .map_or_else(|| self.reader.root().clone(), |(_, node)| node.clone());
        let names: Vec<String> = at.into_iter().map(|(name, _)| name).collect();
        Ok(Some(Found {
            path: names.join("/"),
            node,
        }))
    }
}

fn too_many(what: &'static str, limit: usize) -> GitError {
    exceeds(what, u64::try_from(limit).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests;
