//! Archives as trees. Nothing is written out: a path in an archive is only a name below the root of its tree.

use std::{
    cell::OnceCell,
    collections::{BTreeMap, BTreeSet},
    fs,
    io::{self, Read},
    path::PathBuf,
};

use flate2::read::MultiGzDecoder;
use git_fetch::FetchError;
use sha2::{Digest, Sha256};

use super::ChartError;
use crate::repo::{GitError, GitLimits, Node, NodeKind, Record, SourceTree, TreeReader, join};

/// Bytes of an archive as it is downloaded or received.
pub(crate) const MAX_ARCHIVE_BYTES: u64 = 64 * 1024 * 1024;
/// Bytes of all that an archive holds, headers and padding included.
const MAX_INFLATED_BYTES: u64 = 96 * 1024 * 1024;
/// Files, folders and links of an archive.
const MAX_ENTRIES: usize = 20_000;
/// Bytes of a path in an archive.
const MAX_PATH_BYTES: usize = 1024;
/// Folders below each other.
const MAX_DEPTH: usize = 32;

/// What is above the files of an archive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layout {
    /// One folder, named like the chart, which is not part of the tree.
    Chart,
    /// Nothing.
    Plain,
}

impl Layout {
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Chart => "chart",
            Self::Plain => "plain",
        }
    }

    pub(super) fn of_word(word: &str) -> Option<Self> {
        [Self::Chart, Self::Plain]
            .into_iter()
            .find(|layout| layout.word() == word)
    }
}

/// An archive on disk. Its digest identifies the content.
#[derive(Clone, Debug)]
pub struct ArchiveFile {
    pub(super) path: PathBuf,
    /// SHA-256 in hexadecimal digits.
    pub(super) digest: String,
    pub(super) layout: Layout,
}

impl ArchiveFile {
    /// An archive that was written to `path` for the time of one answer, with its SHA-256 in hexadecimal digits.
    pub fn received(path: PathBuf, digest: String) -> Self {
        Self {
            path,
            digest,
            layout: Layout::Plain,
        }
    }

    /// Its files. The archive is read when the first one is looked up.
    pub fn tree(&self) -> SourceTree {
        let reader = ArchiveReader {
            root: Node {
                kind: NodeKind::Folder,
                id: self.id(""),
            },
            file: self.clone(),
            archive: OnceCell::new(),
        };
        SourceTree::new(Box::new(reader), GitLimits::default())
    }

    /// The archive as it was downloaded. Blocks.
    pub fn content(&self) -> Result<Vec<u8>, ChartError> {
        let failed = |reason: String| ChartError::Disk(format!("the cached archive: {reason}"));
        let content = fs::read(&self.path).map_err(|error| failed(error.to_string()))?;
        if hex::encode(Sha256::digest(&content)) != self.digest {
            // The next pass downloads it again.
            drop(fs::remove_file(&self.path));
            return Err(failed("it was changed on disk".to_owned()));
        }
        Ok(content)
    }

    /// True when `record` is surely of this archive, so that nothing has to be looked up in it.
    pub fn is_of(&self, record: &Record) -> bool {
        let root = self.id("");
        record.values().any(|id| id.starts_with(&root))
    }

    fn id(&self, path: &str) -> String {
        format!("sha256:{}/{path}", self.digest)
    }
}

/// What an archive holds, by path.
#[derive(Debug, Default)]
pub struct Archive(BTreeMap<String, Entry>);

#[derive(Debug)]
enum Entry {
    Folder(BTreeSet<String>),
    File(Vec<u8>),
    Link(Vec<u8>),
}

impl Archive {
    /// Reads an archive, compressed or not. Blocks.
    pub fn read(content: &[u8], layout: Layout) -> Result<Self, ChartError> {
        let inflated: Box<dyn Read + '_> = if content.starts_with(&[0x1f, 0x8b]) {
            Box::new(MultiGzDecoder::new(content))
        } else {
            Box::new(content)
        };
        let bounded = Bounded {
            inner: inflated,
            left: MAX_INFLATED_BYTES,
        };
        let mut builder = Builder {
            archive: Self(BTreeMap::from([(
                String::new(),
                Entry::Folder(BTreeSet::new()),
            )])),
            layout,
            top: None,
        };
        let mut archive = tar::Archive::new(bounded);
        let entries = archive.entries().map_err(|error| unreadable(&error))?;
        for (index, entry) in entries.enumerate() {
            if index >= MAX_ENTRIES {
                return Err(ChartError::Exceeds {
                    what: "entries of the archive",
                    limit: MAX_ENTRIES as u64,
                });
            }
            builder.add(entry.map_err(|error| unreadable(&error))?)?;
        }
        if builder.archive.0.len() == 1 {
            return Err(ChartError::Archive("it holds no files".to_owned()));
        }
        Ok(builder.archive)
    }

    /// The paths of all that it holds; that of the root is empty.
    pub fn paths(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }
}

fn unreadable(error: &io::Error) -> ChartError {
    if error.kind() == io::ErrorKind::FileTooLarge {
        return ChartError::Exceeds {
            what: "bytes of the inflated archive",
            limit: MAX_INFLATED_BYTES,
        };
    }
    ChartError::Archive(format!("it cannot be read: {error}"))
}

struct Builder {
    archive: Archive,
    layout: Layout,
    /// The folder above all files of a chart.
    top: Option<String>,
}

impl Builder {
    fn add<R: Read>(&mut self, mut entry: tar::Entry<'_, R>) -> Result<(), ChartError> {
        let kind = entry.header().entry_type();
        if kind.is_pax_global_extensions() {
            return Ok(());
        }
        let name = entry.path_bytes().into_owned();
        let name = String::from_utf8(name)
            .map_err(|_| ChartError::Archive("a path in it is not UTF-8 text".to_owned()))?;
        let Some(path) = self.place(&name)? else {
            return Ok(());
        };
        let content = if kind.is_dir() {
            Entry::Folder(BTreeSet::new())
        } else if kind.is_symlink() {
            let target = entry.link_name_bytes().unwrap_or_default();
            Entry::Link(target.into_owned())
        } else if kind.is_file() || kind.is_contiguous() {
            let mut content = Vec::new();
            entry
                .read_to_end(&mut content)
                .map_err(|error| unreadable(&error))?;
            Entry::File(content)
        } else {
            return Err(ChartError::Archive(format!(
                "{name:?} is neither a file nor a folder"
            )));
        };
        self.put(path, content)
    }

    /// The path of an entry below the root; `None` for the root itself.
    fn place(&mut self, name: &str) -> Result<Option<String>, ChartError> {
        let refused = |reason: &str| Err(ChartError::Archive(format!("{name:?} {reason}")));
        if name.len() > MAX_PATH_BYTES || name.contains(['\\', '\0']) {
            return refused("is no path that is taken");
        }
        let drive = name.as_bytes().get(1) == Some(&b':');
        if name.starts_with('/') || drive || name.split('/').any(|part| part == "..") {
            return refused("leads out of the archive");
        }
        let parts: Vec<&str> = name
            .split('/')
            .filter(|part| !matches!(*part, "" | "."))
            .collect();
        if parts.len() > MAX_DEPTH {
            return refused("is in too many folders");
        }
        let Some((first, rest)) = parts.split_first() else {
            return Ok(None);
        };
        if self.layout == Layout::Plain {
            return Ok(Some(parts.join("/")));
        }
        if self.top.get_or_insert_with(|| (*first).to_owned()) != first {
            return refused("is outside of the folder of the chart");
        }
        Ok((!rest.is_empty()).then(|| rest.join("/")))
    }

    fn put(&mut self, path: String, entry: Entry) -> Result<(), ChartError> {
        let mut at = 0;
        let mut parent = "";
        loop {
            let end = path[at..].find('/').map_or(path.len(), |found| at + found);
            let folder = self
                .archive
                .0
                .entry(parent.to_owned())
                .or_insert_with(|| Entry::Folder(BTreeSet::new()));
            let Entry::Folder(names) = folder else {
                return Err(ChartError::Archive(format!(
                    "{parent:?} is a file and a folder"
                )));
            };
            names.insert(path[at..end].to_owned());
            if end == path.len() {
                break;
            }
            parent = &path[..end];
            at = end + 1;
        }
        let known = self.archive.0.get(&path);
        match (known, &entry) {
            (Some(Entry::Folder(_)), Entry::Folder(_)) => {}
            (None, _) => drop(self.archive.0.insert(path, entry)),
            // Programs differ in which of two counts.
            (Some(_), _) => {
                return Err(ChartError::Archive(format!("{path:?} is in it twice")));
            }
        }
        Ok(())
    }
}

/// A reader that fails when there is more than a limit.
struct Bounded<R> {
    inner: R,
    left: u64,
}

impl<R: Read> Read for Bounded<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        self.left = self
            .left
            .checked_sub(count as u64)
            .ok_or_else(|| io::Error::from(io::ErrorKind::FileTooLarge))?;
        Ok(count)
    }
}

/// Reads an archive of the cache. An id is the digest of the archive with a path.
struct ArchiveReader {
    root: Node,
    file: ArchiveFile,
    archive: OnceCell<Archive>,
}

impl ArchiveReader {
    fn archive(&self) -> Result<&Archive, GitError> {
        if let Some(archive) = self.archive.get() {
            return Ok(archive);
        }
        let failed = |error: ChartError| GitError::Fetch(FetchError::Store(error.to_string()));
        let content = self.file.content().map_err(failed)?;
        let archive = Archive::read(&content, self.file.layout).map_err(failed)?;
        Ok(self.archive.get_or_init(|| archive))
    }

    fn path<'a>(&self, node: &'a Node) -> &'a str {
        let root = self.root.id.len();
        node.id.get(root..).unwrap_or_default()
    }

    fn entry(&self, node: &Node) -> Result<&Entry, GitError> {
        let path = self.path(node);
        let entry = self.archive()?.0.get(path);
        entry.ok_or_else(|| GitError::NoPath {
            path: path.to_owned(),
        })
    }
}

impl TreeReader for ArchiveReader {
    fn root(&self) -> &Node {
        &self.root
    }

    fn find(&self, folder: &Node, name: &str) -> Result<Option<Node>, GitError> {
        let path = join(self.path(folder), name);
        Ok(self.archive()?.0.get(&path).map(|entry| Node {
            kind: match entry {
                Entry::Folder(_) => NodeKind::Folder,
                Entry::File(_) => NodeKind::File,
                Entry::Link(_) => NodeKind::Link,
            },
            id: self.file.id(&path),
        }))
    }

    fn list(&self, folder: &Node) -> Result<Vec<(String, Node)>, GitError> {
        let Entry::Folder(names) = self.entry(folder)? else {
            return Ok(Vec::new());
        };
        let mut all = Vec::new();
        for name in names {
            if let Some(node) = self.find(folder, name)? {
                all.push((name.clone(), node));
            }
        }
        Ok(all)
    }

    fn size(&self, node: &Node) -> Result<u64, GitError> {
        Ok(match self.entry(node)? {
            Entry::Folder(_) => 0,
            Entry::File(content) | Entry::Link(content) => content.len() as u64,
        })
    }

    fn read(&self, node: &Node) -> Result<Vec<u8>, GitError> {
        match self.entry(node)? {
            Entry::Folder(_) => Ok(Vec::new()),
            Entry::File(content) | Entry::Link(content) => Ok(content.clone()),
        }
    }
}
