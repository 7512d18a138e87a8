//! The folder of a bare repository.

use std::path::Path;

use gix::ThreadSafeRepository;

use crate::{FetchError, GitLimits, store_error};

pub(super) fn open_bare(
    path: &Path,
    limits: &GitLimits,
) -> Result<ThreadSafeRepository, FetchError> {
    let options = gix::open::Options::isolated()
        .with(gix::sec::Trust::Full)
        .config_overrides([
            // Small deltas of folders; the default cache would cost more memory than it saves.
            "core.deltaBaseCacheLimit=1m".to_owned(),
            "gitoxide.objects.cacheLimit=0".to_owned(),
            // Each thread that resolves deltas holds a few objects.
            "pack.threads=2".to_owned(),
            format!("gitoxide.objects.allocLimit={}", limits.object_bytes),
        ]);
    ThreadSafeRepository::open_opts(path, options).map_err(|error| store_error(&error))
}

pub(super) fn create(path: &Path, limits: &GitLimits) -> Result<ThreadSafeRepository, FetchError> {
    clear(path)?;
    gix::init_bare(path).map_err(|error| store_error(&error))?;
    open_bare(path, limits)
}

pub(super) fn packs(path: &Path) -> usize {
    let entries = std::fs::read_dir(path.join("objects/pack"));
    entries.map_or(0, |entries| {
        entries
            .filter_map(Result::ok)
            .filter(|entry| entry.path().extension().is_some_and(|kind| kind == "pack"))
            .count()
    })
}

/// True when a process that died has left a lock: Git would wait for its owner for ever. A store has one process, and
/// this is asked before that process writes to it.
pub(super) fn is_locked(path: &Path) -> bool {
    let mut folders = vec![path.to_owned(), path.join("refs")];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).into_iter().flatten().flatten() {
            if Path::new(&entry.file_name())
                .extension()
                .is_some_and(|kind| kind == "lock")
            {
                return true;
            }
            if folder != path && entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                folders.push(entry.path());
            }
        }
    }
    false
}

/// Empties the folder. The store is only a cache; one that a crash left unusable is fetched again.
fn clear(path: &Path) -> Result<(), FetchError> {
    if path.exists() {
        std::fs::remove_dir_all(path).map_err(|error| store_error(&error))?;
    }
    std::fs::create_dir_all(path).map_err(|error| store_error(&error))
}
