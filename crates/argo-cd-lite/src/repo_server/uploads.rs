//! Renders of files that the call brings along, as a sync of a folder on somebody's machine does.
//!
//! ```text
//!   request ─► checksum ─► pieces of an archive ─► a file of the call ─► the tree that the render reads
//! ```
//!
//! The archive is never unpacked to disk: its paths are names below the root of a tree, within the bounds of charts.

use std::{
    fs::File,
    io::{BufWriter, Write},
    time::Duration,
};

use sha2::{Digest, Sha256};
use tempfile::TempDir;
use tonic::{Status, Streaming};

use super::{
    error::CallError,
    messages::{ManifestRequestWithFiles, ManifestResponse},
    reach::{Repositories, calls},
};
use crate::repo::{ArchiveFile, MAX_ARCHIVE_BYTES};

/// Longest wait for the next part.
const PART: Duration = Duration::from_secs(30);

/// Parts as they arrive.
type Parts = Streaming<ManifestRequestWithFiles>;

impl Repositories {
    /// The manifests of a source whose files are in the archive that the call brings.
    pub(super) async fn generate_manifest_with_files(
        &self,
        mut parts: Parts,
    ) -> Result<ManifestResponse, CallError> {
        let first = next(&mut parts).await?.and_then(|part| part.request);
        let request = first.ok_or_else(|| CallError::missing("request in its first part"))?;
        let second = next(&mut parts).await?.and_then(|part| part.metadata);
        let metadata = second.ok_or_else(|| CallError::missing("metadata in its second part"))?;
        let permit = self.uploads.acquire().await;
        let _permit = permit.map_err(|error| std::io::Error::other(error.to_string()))?;
        let calls = calls(&self.config.folder);
        std::fs::create_dir_all(&calls)?;
        // It goes with the call, however that ends.
        let folder = tempfile::tempdir_in(&calls)?;
        let archive = receive(&mut parts, &folder, &metadata.checksum).await?;
        self.manifests(request, Some(archive)).await
    }
}

async fn next(parts: &mut Parts) -> Result<Option<ManifestRequestWithFiles>, CallError> {
    let next = tokio::time::timeout(PART, parts.message()).await;
    let next = next.map_err(|_| Status::deadline_exceeded("the caller has stopped sending"));
    next.and_then(|next| next).map_err(CallError::Parts)
}

async fn receive(
    parts: &mut Parts,
    folder: &TempDir,
    checksum: &str,
) -> Result<ArchiveFile, CallError> {
    let path = folder.path().join("received.tgz");
    // Pieces are small and go to the page cache.
    let mut file = BufWriter::new(File::create(&path)?);
    let (mut hash, mut size) = (Sha256::new(), 0);
    while let Some(part) = next(parts).await? {
        let piece = part.chunk.ok_or_else(|| CallError::missing("chunk"))?.chunk;
        size += piece.len() as u64;
        if size > MAX_ARCHIVE_BYTES {
            return Err(CallError::Invalid(format!(
                "the archive has more than {MAX_ARCHIVE_BYTES} bytes"
            )));
        }
        hash.update(&piece);
        file.write_all(&piece)?;
    }
    file.flush()?;
    let digest = hex::encode(hash.finalize());
    if digest != checksum {
        return Err(CallError::Invalid(
            "the archive does not have the checksum that was sent".to_owned(),
        ));
    }
    Ok(ArchiveFile::received(path, digest))
}
