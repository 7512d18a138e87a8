//! Git LFS: files that stand in a commit as pointers, and are kept by the server beside the repository.
//!
//! ```text
//!   read of a pointer ──► kept below the store? ──► its content
//!                              └─ no ──► noted as missing ──► the render is thrown away
//!   missing ──► batch call ──► downloads, checked by hash ──► the render begins again
//! ```
//!
//! Only what is read is downloaded, and only for repositories whose Secret says `enableLfs`.

mod fetch;
mod pointer;

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
};

use parking_lot::Mutex;

use super::{
    GitError,
    error::{exceeds, store_error},
};
pub(super) use fetch::Download;
pub(super) use pointer::{MAX_POINTER, Pointer};

/// Folder of the contents below the store of a repository.
const FOLDER: &str = "lfs";
/// Files that are downloaded for one render.
const MOST_FILES: usize = 20_000;

/// The contents of a repository's large files, as far as they are here, and which ones are missing.
#[derive(Debug)]
pub struct LargeFiles {
    /// URL of the repository.
    url: String,
    folder: PathBuf,
    missing: Mutex<BTreeSet<Pointer>>,
}

impl LargeFiles {
    pub(super) fn new(url: &str, store: &Path) -> Self {
        Self {
            url: url.to_owned(),
            folder: store.join(FOLDER),
            missing: Mutex::default(),
        }
    }

    /// URL of the repository.
    pub(super) fn url(&self) -> &str {
        &self.url
    }

    /// The content that a pointer stands for; `None`, and noted, when it is not here.
    pub(super) fn read(&self, pointer: &Pointer) -> Result<Option<Vec<u8>>, GitError> {
        match std::fs::read(self.place(pointer)) {
            Ok(content) if content.len() as u64 == pointer.size => Ok(Some(content)),
            Ok(_) => self.note(pointer),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => self.note(pointer),
            Err(error) => Err(store_error(&error)),
        }
    }

    fn note(&self, pointer: &Pointer) -> Result<Option<Vec<u8>>, GitError> {
        let mut missing = self.missing.lock();
        if missing.len() >= MOST_FILES {
            return Err(exceeds("files of Git LFS", MOST_FILES as u64));
        }
        missing.insert(pointer.clone());
        Ok(None)
    }

    /// What was missing since the last call.
    pub(super) fn take_missing(&self) -> BTreeSet<Pointer> {
        std::mem::take(&mut self.missing.lock())
    }

    fn place(&self, pointer: &Pointer) -> PathBuf {
        self.folder.join(&pointer.oid[..2]).join(&pointer.oid)
    }
}
