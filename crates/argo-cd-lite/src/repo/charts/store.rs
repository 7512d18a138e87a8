//! Archives and indexes on disk, so that a restart downloads nothing again.
//!
//! ```text
//!   <sha256 of the content>.tgz      an archive
//!   <sha256 of what it is>.ref       the digest of the archive that a repository, chart and version led to
//!   <sha256 of the URL>.index        the last index.yaml, its ETag in the first line
//! ```

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use sha2::{Digest, Sha256};

use super::{
    ChartError,
    archive::{ArchiveFile, Layout},
};
use crate::repo::disk::{StoredRepository, surplus};

/// The folder of archives.
#[derive(Clone, Debug)]
pub(super) struct ArchiveStore {
    folder: PathBuf,
    budget: u64,
}

/// An index as it was last downloaded.
pub(super) struct KeptIndex {
    pub(super) etag: String,
    pub(super) body: Vec<u8>,
}

fn failed(error: &io::Error) -> ChartError {
    ChartError::Disk(error.to_string())
}

fn name(key: &str, extension: &str) -> String {
    format!("{}.{extension}", hex::encode(Sha256::digest(key)))
}

/// All calls block.
impl ArchiveStore {
    pub(super) fn new(folder: PathBuf, budget: u64) -> Self {
        Self { folder, budget }
    }

    /// The archive that `key` led to last time.
    pub(super) fn get(&self, key: &str) -> Option<ArchiveFile> {
        let kept = fs::read_to_string(self.folder.join(name(key, "ref"))).ok()?;
        let (digest, layout) = kept.trim().split_once(' ')?;
        let layout = Layout::of_word(layout)?;
        if digest.len() != 64 || !digest.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return None;
        }
        let path = self.folder.join(format!("{digest}.tgz"));
        let file = fs::File::options().append(true).open(&path).ok()?;
        // The time of its last use; failing to note it only makes the archive look older than it is.
        drop(file.set_modified(reconcile_core::clock::Clock::system().now().into()));
        Some(ArchiveFile {
            path,
            digest: digest.to_owned(),
            layout,
        })
    }

    /// Keeps an archive, and that `key` leads to it.
    pub(super) fn put(
        &self,
        key: &str,
        content: &[u8],
        layout: Layout,
    ) -> Result<ArchiveFile, ChartError> {
        let digest = hex::encode(Sha256::digest(content));
        let path = self.folder.join(format!("{digest}.tgz"));
        self.write(&path, content)?;
        let kept = format!("{digest} {}", layout.word());
        self.write(&self.folder.join(name(key, "ref")), kept.as_bytes())?;
        self.trim(&digest);
        Ok(ArchiveFile {
            path,
            digest,
            layout,
        })
    }

    /// The index that was last downloaded from `url`.
    pub(super) fn index(&self, url: &str) -> Option<KeptIndex> {
        let content = fs::read(self.folder.join(name(url, "index"))).ok()?;
        let end = content.iter().position(|byte| *byte == b'\n')?;
        Some(KeptIndex {
            etag: String::from_utf8(content[..end].to_vec()).ok()?,
            body: content[end + 1..].to_vec(),
        })
    }

    /// Keeps an index.
    pub(super) fn put_index(&self, url: &str, index: &KeptIndex) -> Result<(), ChartError> {
        let mut content = index.etag.replace('\n', "").into_bytes();
        content.push(b'\n');
        content.extend_from_slice(&index.body);
        self.write(&self.folder.join(name(url, "index")), &content)?;
        self.trim("");
        Ok(())
    }

    fn write(&self, path: &Path, content: &[u8]) -> Result<(), ChartError> {
        fs::create_dir_all(&self.folder).map_err(|error| failed(&error))?;
        let mut file =
            tempfile::NamedTempFile::new_in(&self.folder).map_err(|error| failed(&error))?;
        io::Write::write_all(&mut file, content).map_err(|error| failed(&error))?;
        file.persist(path)
            .map(drop)
            .map_err(|error| failed(&error.error))
    }

    /// Deletes the files that were not used for the longest time until the rest fits into the budget.
    fn trim(&self, keep: &str) {
        let entries = fs::read_dir(&self.folder).into_iter().flatten();
        let files = entries.filter_map(Result::ok).filter_map(|entry| {
            let data = entry.metadata().ok()?;
            Some(StoredRepository {
                name: entry.file_name().to_string_lossy().into_owned(),
                size: data.len(),
                used: data.modified().ok()?,
            })
        });
        for file in surplus(files.collect(), self.budget, &format!("{keep}.tgz")) {
            tracing::debug!(
                file = file.name,
                "deleting a chart that was not used for the longest time"
            );
            drop(fs::remove_file(self.folder.join(file.name)));
        }
    }
}
