//! The folder of the stores: its size, and which store goes when it is too large.

use std::{
    fs,
    path::{Path, PathBuf},
    time::SystemTime,
};

/// A store on disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct StoredRepository {
    /// Name of its folder.
    pub(super) name: String,
    /// Bytes.
    pub(super) size: u64,
    /// When it was last used, as far as the disk shows.
    pub(super) used: SystemTime,
}

/// File of a store whose modification time is that of its last use.
const USED: &str = "used";

/// Notes that the store was used now.
pub(super) fn mark_used(store: &Path) {
    // Failing to note it only makes the store look older than it is.
    drop(fs::write(store.join(USED), b""));
}

/// The stores below `folder`.
pub(super) fn stores(folder: &Path) -> Vec<StoredRepository> {
    let Ok(entries) = fs::read_dir(folder) else {
        return Vec::new();
    };
    entries
        .filter_map(Result::ok)
        .filter(|entry| entry.path().extension().is_some_and(|kind| kind == "git"))
        .map(|entry| {
            let path = entry.path();
            let time = |path: &Path| fs::metadata(path).and_then(|data| data.modified()).ok();
            StoredRepository {
                name: entry.file_name().to_string_lossy().into_owned(),
                size: size_of(path.clone()),
                used: time(&path.join(USED))
                    .or_else(|| time(&path))
                    .unwrap_or(SystemTime::UNIX_EPOCH),
            }
        })
        .collect()
}

fn size_of(folder: PathBuf) -> u64 {
    let mut size = 0;
    let mut pending = vec![folder];
    while let Some(folder) = pending.pop() {
        let entries = fs::read_dir(&folder).into_iter().flatten();
        for entry in entries.filter_map(Result::ok) {
            match entry.metadata() {
                Ok(data) if data.is_dir() => pending.push(entry.path()),
                Ok(data) => size += data.len(),
                Err(_) => {}
            }
        }
    }
    size
}

/// The stores to delete so that the rest fits into `budget`: the least recently used ones first, never `keep`.
pub(super) fn surplus(
    mut stores: Vec<StoredRepository>,
    budget: u64,
    keep: &str,
) -> Vec<StoredRepository> {
    let mut size: u64 = stores.iter().map(|store| store.size).sum();
    stores.sort_by_key(|store| store.used);
    let mut surplus = Vec::new();
    for store in stores {
        if size <= budget {
            break;
        }
        if store.name != keep {
            size -= store.size;
            surplus.push(store);
        }
    }
    surplus
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn the_least_recently_used_stores_go_first() {
        let store = |name: &str, size: u64, age: u64| StoredRepository {
            name: name.to_owned(),
            size,
            used: SystemTime::UNIX_EPOCH + Duration::from_secs(age),
        };
        let stores = vec![
            store("new", 10, 30),
            store("old", 10, 10),
            store("middle", 10, 20),
        ];
        let names = |budget, keep| -> Vec<String> {
            surplus(stores.clone(), budget, keep)
                .into_iter()
                .map(|store| store.name)
                .collect()
        };
        assert!(names(30, "").is_empty());
        assert_eq!(names(29, ""), ["old"]);
        assert_eq!(names(10, ""), ["old", "middle"]);
        assert_eq!(names(10, "old"), ["middle", "new"]);
    }
}
