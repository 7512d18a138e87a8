//! A private folder with the files that a program may see. It goes when it is dropped.

use std::{
    cell::Cell,
    fs, io,
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use reconcile_core::clock::Clock;

use super::RenderError;
use crate::repo::{FileQuery, Found, SourceFile, SourceTree, clean, join};

/// Bytes of all files of a render.
const MAX_BYTES: u64 = 64 * 1024 * 1024;
/// Files of a render.
const MAX_FILES: usize = 20_000;
/// Folders that a crash left are removed after this time.
const LEFT_BEHIND: Duration = Duration::from_secs(60 * 60);

/// The folder.
pub(super) struct Sandbox {
    tool: &'static str,
    folder: tempfile::TempDir,
    bytes: Cell<u64>,
    files: Cell<usize>,
}

impl Sandbox {
    /// An empty folder below `parent`.
    pub(super) fn new(tool: &'static str, parent: &Path) -> Result<Self, RenderError> {
        let failed = |error: io::Error| RenderError::Sandbox {
            tool,
            reason: error.to_string(),
        };
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(parent)
            .map_err(failed)?;
        let folder = tempfile::Builder::new()
            .prefix("render-")
            .tempdir_in(parent)
            .map_err(failed)?;
        let sandbox = Self {
            tool,
            folder,
            bytes: Cell::new(0),
            files: Cell::new(0),
        };
        for name in ["home", "tmp"] {
            fs::create_dir(sandbox.path(name)).map_err(failed)?;
        }
        Ok(sandbox)
    }

    /// Where a path of the sandbox is on disk.
    pub(super) fn path(&self, path: &str) -> PathBuf {
        self.folder.path().join(path)
    }

    /// `text` without the paths of the sandbox.
    pub(super) fn hide(&self, text: &str) -> String {
        let root = self.folder.path().to_string_lossy().into_owned();
        text.replace(&format!("{root}/tree/"), "")
            .replace(&format!("{root}/"), "")
            .replace(&root, ".")
    }

    /// Writes a file. The path is below the sandbox and has no links, because nothing here makes one.
    pub(super) fn write(&self, path: &str, content: &[u8]) -> Result<PathBuf, RenderError> {
        let path = clean(path)?;
        self.bytes
            .set(self.bytes.get().saturating_add(content.len() as u64));
        self.files.set(self.files.get() + 1);
        if self.bytes.get() > MAX_BYTES {
            return Err(self.failed(&format!("they have more than {MAX_BYTES} bytes")));
        }
        if self.files.get() > MAX_FILES {
            return Err(self.failed(&format!("they are more than {MAX_FILES}")));
        }
        let whole = self.path(&path);
        let write = || -> io::Result<()> {
            if let Some(parent) = whole.parent() {
                fs::create_dir_all(parent)?;
            }
            let mut file = fs::OpenOptions::new()
                .write(true)
                .create(true)
                .truncate(true)
                .mode(0o600)
                .open(&whole)?;
            io::Write::write_all(&mut file, content)
        };
        write().map_err(|error| self.failed(&error.to_string()))?;
        Ok(whole)
    }

    /// Writes a folder of a tree, with the content of what its links lead to, to the folder `target`.
    pub(super) fn copy(
        &self,
        tree: &SourceTree,
        folder: &Found,
        target: &str,
    ) -> Result<Vec<SourceFile>, RenderError> {
        let target = clean(target)?;
        let query = FileQuery {
            recurse: true,
            linked_folders: true,
            max_bytes: MAX_BYTES,
            wanted: &|_| true,
        };
        let files = tree.files(folder, &query)?;
        fs::create_dir_all(self.path(&target)).map_err(|error| self.failed(&error.to_string()))?;
        for file in &files {
            self.write(&join(&target, &file.path), &file.content)?;
        }
        Ok(files)
    }

    fn failed(&self, reason: &str) -> RenderError {
        RenderError::Sandbox {
            tool: self.tool,
            reason: reason.to_owned(),
        }
    }
}

/// Removes what a crash left below `parent`.
pub(super) fn sweep(parent: &Path) {
    let Ok(entries) = fs::read_dir(parent) else {
        return;
    };
    for entry in entries.filter_map(Result::ok) {
        let age = entry
            .metadata()
            .and_then(|data| data.modified())
            .ok()
            .and_then(|at| {
                SystemTime::from(Clock::system().now())
                    .duration_since(at)
                    .ok()
            });
        if age.is_some_and(|age| age > LEFT_BEHIND) {
            // The next sweep tries again.
            drop(fs::remove_dir_all(entry.path()));
        }
    }
}
