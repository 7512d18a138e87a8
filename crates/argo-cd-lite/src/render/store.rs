//! What programs rendered, on disk: a restart starts none for inputs that are as they were.
//!
//! A file per source with its options. Its first line is what the manifests depended on, and their SHA-256; the rest is
//! the manifests. What cannot be read is not there.

use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::Arc,
    time::SystemTime,
};

use parking_lot::Mutex;
use reconcile_core::clock::Clock;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::{
    SourceType,
    generate::{Generated, Inputs},
    renderer::ManifestFile,
};

/// Changes with the form of the files, and with what renderers make of the same inputs.
const FORM: u32 = 1;

/// The first line of a file.
#[derive(Deserialize, Serialize)]
struct Head {
    form: u32,
    inputs: Inputs,
    types: Vec<SourceType>,
    remarks: Vec<String>,
    files: Vec<ManifestFile>,
    /// Bytes of each file.
    lengths: Vec<usize>,
    sha256: String,
}

/// The folder. Cloning shares it.
#[derive(Clone, Debug)]
pub(super) struct RenderStore {
    folder: PathBuf,
    budget: u64,
    /// Bytes of all files, as far as they are known.
    size: Arc<Mutex<Option<u64>>>,
}

impl RenderStore {
    /// Files below `folder`, of at most `budget` bytes together.
    pub(super) fn new(folder: PathBuf, budget: u64) -> Self {
        Self {
            folder,
            budget,
            size: Arc::default(),
        }
    }

    /// What is known for `key` where `matches` accepts the inputs.
    pub(super) fn get(
        &self,
        key: &str,
        matches: impl Fn(&Inputs) -> bool,
    ) -> Option<(Inputs, Generated)> {
        let path = self.folder.join(key);
        let content = fs::read(&path).ok()?;
        let end = content.iter().position(|byte| *byte == b'\n')?;
        let head: Head = serde_json::from_slice(&content[..end]).ok()?;
        let body = &content[end + 1..];
        let whole = head.form == FORM && head.sha256 == hex::encode(Sha256::digest(body));
        if !whole || !matches(&head.inputs) {
            return None;
        }
        let mut manifests = Vec::new();
        let mut rest = body;
        for (mut file, length) in head.files.into_iter().zip(head.lengths) {
            let (content, next) = rest.split_at_checked(length)?;
            file.content = content.to_vec();
            manifests.push(file);
            rest = next;
        }
        // Failing to note the use only makes the file look older than it is.
        drop(
            fs::File::open(&path)
                .and_then(|file| file.set_modified(SystemTime::from(Clock::system().now()))),
        );
        let generated = Generated {
            manifests,
            types: head.types,
            remarks: head.remarks,
        };
        Some((head.inputs, generated))
    }

    /// Keeps what was rendered. A disk that is full costs the cache, not the render.
    pub(super) fn put(&self, key: &str, inputs: &Inputs, generated: &Generated) {
        if let Err(error) = self.write(key, inputs, generated) {
            tracing::debug!(%error, "cannot keep what was rendered on disk");
        }
    }

    fn write(&self, key: &str, inputs: &Inputs, generated: &Generated) -> io::Result<()> {
        let body: Vec<u8> = (generated.manifests.iter())
            .flat_map(|file| file.content.iter().copied())
            .collect();
        let head = Head {
            form: FORM,
            inputs: inputs.clone(),
            types: generated.types.clone(),
            remarks: generated.remarks.clone(),
            files: generated.manifests.clone(),
            lengths: generated
                .manifests
                .iter()
                .map(|file| file.content.len())
                .collect(),
            sha256: hex::encode(Sha256::digest(&body)),
        };
        let mut content = serde_json::to_vec(&head)?;
        content.push(b'\n');
        content.extend(body);
        if content.len() as u64 > self.budget {
            return Ok(());
        }
        fs::create_dir_all(&self.folder)?;
        let file = tempfile::NamedTempFile::new_in(&self.folder)?;
        fs::write(file.path(), &content)?;
        file.persist(self.folder.join(key))?;
        self.trim(content.len() as u64);
        Ok(())
    }

    /// Deletes the least recently used files when all of them have more bytes than the budget.
    fn trim(&self, added: u64) {
        let mut size = self.size.lock();
        let known = match *size {
            // What was replaced counts too; the next look at the folder corrects that.
            Some(known) => known.saturating_add(added),
            None => files(&self.folder).iter().map(|file| file.size).sum(),
        };
        *size = Some(known);
        if known <= self.budget {
            return;
        }
        let mut files = files(&self.folder);
        files.sort_by_key(|file| file.used);
        let mut left: u64 = files.iter().map(|file| file.size).sum();
        for file in files {
            // Room for more, so that not every render has to look.
            if left <= self.budget / 8 * 7 {
                break;
            }
            if fs::remove_file(&file.path).is_ok() {
                left -= file.size;
            }
        }
        *size = Some(left);
    }
}

struct StoredRender {
    path: PathBuf,
    size: u64,
    used: SystemTime,
}

fn files(folder: &Path) -> Vec<StoredRender> {
    let entries = fs::read_dir(folder).into_iter().flatten();
    entries
        .filter_map(Result::ok)
        .filter_map(|entry| {
            let data = entry.metadata().ok()?;
            Some(StoredRender {
                path: entry.path(),
                size: data.len(),
                used: data.modified().unwrap_or(SystemTime::UNIX_EPOCH),
            })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn generated(text: &str) -> Generated {
        Generated {
            manifests: vec![ManifestFile {
                path: "helm template".into(),
                strict: true,
                content: text.as_bytes().to_vec(),
            }],
            types: vec![SourceType::Helm],
            remarks: vec!["a remark".into()],
        }
    }

    #[test]
    fn what_was_kept_comes_back_whole_or_not_at_all() {
        let folder = tempfile::tempdir().expect("a folder");
        let store = RenderStore::new(folder.path().to_owned(), 1 << 20);
        let mut inputs = Inputs::default();
        inputs.facts.insert("helm".into(), "1".into());
        store.put("a", &inputs, &generated("kind: A\n"));
        let (known, back) = store.get("a", |known| *known == inputs).expect("a file");
        assert_eq!(known, inputs);
        assert_eq!(back.manifests, generated("kind: A\n").manifests);
        assert_eq!(back.remarks, ["a remark"]);
        assert!(store.get("a", |_| false).is_none(), "other inputs");
        let path = folder.path().join("a");
        let mut content = fs::read(&path).expect("the file");
        content.push(b'x');
        fs::write(&path, content).expect("a write");
        assert!(store.get("a", |_| true).is_none(), "a damaged file");
        store.put("a", &inputs, &generated("kind: B\n"));
        assert!(store.get("a", |_| true).is_some());
    }

    #[test]
    fn the_least_recently_used_files_go_first() {
        let folder = tempfile::tempdir().expect("a folder");
        let store = RenderStore::new(folder.path().to_owned(), 5_000);
        let text = "x".repeat(1_000);
        for (age, name) in ["old", "middle", "new"].iter().enumerate() {
            store.put(name, &Inputs::default(), &generated(&text));
            let file = fs::File::open(folder.path().join(name)).expect("the file");
            let at = SystemTime::UNIX_EPOCH + Duration::from_secs(age as u64);
            file.set_modified(at).expect("a time");
        }
        assert!(store.get("old", |_| true).is_some(), "used now");
        store.put("large", &Inputs::default(), &generated(&text.repeat(2)));
        let there = |name: &str| folder.path().join(name).exists();
        assert!(!there("middle"));
        assert!(there("old") && there("large"));
    }
}
