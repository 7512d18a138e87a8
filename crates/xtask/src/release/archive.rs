//! Archives of which the same files give the same bytes.

use std::{fs, io::Write as _, path::Path};

use anyhow::{Context, Result};
use flate2::{Compression, GzBuilder};

use crate::files;

/// A tar archive that is being put together.
#[derive(Default)]
pub(super) struct Archive {
    /// Name in the archive, mode, content; of a folder nothing.
    entries: Vec<(String, u32, Option<Vec<u8>>)>,
}

impl Archive {
    /// Adds the file at `path`.
    pub(super) fn file(&mut self, path: &Path, name: &str, mode: u32) -> Result<()> {
        let content = fs::read(path).with_context(|| format!("reading {}", path.display()))?;
        self.bytes(name, mode, content);
        Ok(())
    }

    /// Adds a file with this content.
    pub(super) fn bytes(&mut self, name: &str, mode: u32, content: Vec<u8>) {
        self.entries.push((name.to_owned(), mode, Some(content)));
    }

    /// Adds an empty folder.
    pub(super) fn empty_folder(&mut self, name: &str, mode: u32) {
        self.entries.push((name.to_owned(), mode, None));
    }

    /// Adds all files below `path`.
    pub(super) fn folder(&mut self, path: &Path, name: &str) -> Result<()> {
        for file in files::below(path)? {
            let below = file.strip_prefix(path).unwrap_or(&file);
            self.file(&file, &format!("{name}/{}", below.display()), 0o644)?;
        }
        Ok(())
    }

    /// The archive, sorted by name.
    pub(super) fn tar(mut self) -> Result<Vec<u8>> {
        self.entries.sort();
        let mut builder = tar::Builder::new(Vec::new());
        for (name, mode, content) in &self.entries {
            let mut header = tar::Header::new_gnu();
            header.set_mode(*mode);
            header.set_mtime(0);
            header.set_uid(0);
            header.set_gid(0);
            let bytes = content.as_deref().unwrap_or_default();
            header.set_size(u64::try_from(bytes.len())?);
            header.set_entry_type(match content {
                Some(_) => tar::EntryType::Regular,
                None => tar::EntryType::Directory,
            });
            builder.append_data(&mut header, name, bytes)?;
        }
        Ok(builder.into_inner()?)
    }

    /// The archive, compressed.
    pub(super) fn gzip(self) -> Result<Vec<u8>> {
        gzip(&self.tar()?)
    }
}

/// Compresses, without a time in the header.
pub(super) fn gzip(bytes: &[u8]) -> Result<Vec<u8>> {
    let mut writer = GzBuilder::new()
        .mtime(0)
        .write(Vec::new(), Compression::best());
    writer.write_all(bytes)?;
    Ok(writer.finish()?)
}
