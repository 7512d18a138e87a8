//! One file of a commit, read from the object store.

use gix::{ObjectId, objs::tree::EntryKind};
use thiserror::Error;

use crate::{FetchError, Store, commit_of, store_error};

/// A file that cannot be read.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum FileError {
    /// The store failed, or a limit is exceeded.
    #[error(transparent)]
    Fetch(#[from] FetchError),
    /// The path leads out of the repository, or can be read in two ways.
    #[error("the path {0:?} must be relative and plain: without .., ~ and backslash")]
    Path(String),
    /// There is nothing at the path.
    #[error("{0} is not in the repository")]
    Absent(String),
    /// Something else than a file is there, or on the way to it.
    #[error("{path} is {what}")]
    NoFile {
        /// The path.
        path: String,
        /// What is there.
        what: &'static str,
    },
}

/// Refuses a path that leads out of a repository, or that programs read in different ways.
pub fn plain_path(path: &str) -> Result<(), FileError> {
    let odd = path.is_empty()
        || path.starts_with('/')
        || path.contains(['~', '\\'])
        || path.chars().any(char::is_control)
        || path.split('/').any(|part| part == "..");
    if odd {
        return Err(FileError::Path(path.to_owned()));
    }
    Ok(())
}

impl Store {
    /// The content of the file at `path`, of `limit` bytes at most, in what was fetched from `source`. Links are never
    /// followed.
    pub fn read_file(&self, source: &str, path: &str, limit: u64) -> Result<Vec<u8>, FileError> {
        plain_path(path)?;
        let fetched = self.fetched(source)?;
        let fetched = fetched.ok_or_else(|| FetchError::NoRevision(source.to_owned()))?;
        let repository = self.open_repository();
        let commit = commit_of(&repository, fetched)?;
        let root = commit.tree_id().map_err(|error| store_error(&error))?;
        let blob = self.find_file(&repository, root.detach(), path)?;
        let header = repository
            .find_header(blob)
            .map_err(|error| store_error(&error))?;
        if header.size() > limit {
            let what = "bytes in a file";
            return Err(FetchError::Exceeds { what, limit }.into());
        }
        let mut blob = repository
            .find_blob(blob)
            .map_err(|error| store_error(&error))?;
        Ok(blob.take_data())
    }

    fn find_file(
        &self,
        repository: &gix::Repository,
        root: ObjectId,
        path: &str,
    ) -> Result<ObjectId, FileError> {
        let (mut folder, mut walked) = (root, String::new());
        let mut parts = path
            .split('/')
            .filter(|part| !matches!(*part, "" | "."))
            .peekable();
        while let Some(part) = parts.next() {
            if !walked.is_empty() {
                walked.push('/');
            }
            walked.push_str(part);
            let found = self.entry(repository, folder, part)?;
            let (kind, id) = found.ok_or_else(|| FileError::Absent(path.to_owned()))?;
            let is_last = parts.peek().is_none();
            let what = match kind {
                EntryKind::Tree if !is_last => {
                    folder = id;
                    continue;
                }
                EntryKind::Blob | EntryKind::BlobExecutable if is_last => return Ok(id),
                EntryKind::Tree => "a folder",
                EntryKind::Blob | EntryKind::BlobExecutable => {
                    return Err(FileError::Absent(path.to_owned()));
                }
                EntryKind::Link => "a symbolic link, which is not followed",
                EntryKind::Commit => "a submodule, which is not read",
            };
            return Err(FileError::NoFile { path: walked, what });
        }
        Err(FileError::Path(path.to_owned()))
    }

    fn entry(
        &self,
        repository: &gix::Repository,
        folder: ObjectId,
        name: &str,
    ) -> Result<Option<(EntryKind, ObjectId)>, FetchError> {
        let limit = self.limits().tree_bytes;
        let header = repository
            .find_header(folder)
            .map_err(|error| store_error(&error))?;
        if header.size() > limit {
            let what = "bytes in a folder object";
            return Err(FetchError::Exceeds { what, limit });
        }
        let tree = repository
            .find_tree(folder)
            .map_err(|error| store_error(&error))?;
        for entry in tree.iter() {
            let entry = entry.map_err(|error| store_error(&error))?;
            if entry.filename() == name.as_bytes() {
                return Ok(Some((entry.mode().kind(), entry.object_id())));
            }
        }
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_that_lead_out_or_have_two_meanings_are_refused() {
        for path in [
            "",
            "/etc/passwd",
            "..",
            "../a",
            "a/../b",
            "~/a",
            "a~b",
            "a\\b",
            "a\nb",
        ] {
            assert_eq!(plain_path(path), Err(FileError::Path(path.to_owned())));
        }
        for path in ["a", "a/b.yaml", "./a", "a..b", ".a/..b"] {
            plain_path(path).expect(path);
        }
    }
}
