//! Objects of a store: the commit that a tag leads to, its tree, and the entries of large folders.

use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
};

use gix::{ObjectId, bstr::BString, objs::tree::EntryKind};
use parking_lot::Mutex;

use crate::{FetchError, store_error};

/// Id of the tree of a commit, when both are in the store.
pub fn tree_of(repository: &gix::Repository, commit: &str) -> Result<ObjectId, FetchError> {
    let id = ObjectId::from_hex(commit.as_bytes()).map_err(|error| store_error(&error))?;
    let commit = commit_of(repository, id)?;
    let tree = commit.tree_id().map_err(|error| store_error(&error))?;
    // The header is enough to know that it is there.
    tree.header().map_err(|error| store_error(&error))?;
    Ok(tree.detach())
}

/// Bytes of a commit or tag.
const MAX_COMMIT_BYTES: u64 = 1024 * 1024;
/// Tags that lead to each other before there is a commit.
const MAX_TAGS: u64 = 8;

/// The commit that an object is, or that a tag leads to. Sizes are checked before anything is inflated.
pub fn commit_of(
    repository: &gix::Repository,
    mut id: ObjectId,
) -> Result<gix::Commit<'_>, FetchError> {
    for _ in 0..MAX_TAGS {
        let header = repository
            .find_header(id)
            .map_err(|error| store_error(&error))?;
        if header.size() > MAX_COMMIT_BYTES {
            return Err(FetchError::Exceeds {
                what: "bytes in a commit or tag",
                limit: MAX_COMMIT_BYTES,
            });
        }
        let object = repository
            .find_object(id)
            .map_err(|error| store_error(&error))?;
        if object.kind != gix::object::Kind::Tag {
            return object
                .try_into_commit()
                .map_err(|error| store_error(&error));
        }
        let tag = object.try_into_tag().map_err(|error| store_error(&error))?;
        id = tag
            .target_id()
            .map_err(|error| store_error(&error))?
            .detach();
    }
    Err(FetchError::Exceeds {
        what: "tags of tags",
        limit: MAX_TAGS,
    })
}

/// Indexed folders that are kept. In a repository of ten thousand applications each pass looks up one name in the same
/// few folders.
const INDEXED: usize = 4;
/// Entries of all indexes of a store, some 100 bytes each. A larger folder is read each time.
const INDEXED_ENTRIES: usize = 200_000;

/// The entries of a folder, by name.
pub type Entries = Arc<HashMap<BString, (EntryKind, ObjectId)>>;

/// Indexes of the large folders that were used last.
#[derive(Default)]
pub struct FolderIndex(Mutex<VecDeque<(ObjectId, Entries)>>);

impl FolderIndex {
    /// The entries of a folder that is indexed.
    pub fn get(&self, tree: ObjectId) -> Option<Entries> {
        let mut indexed = self.0.lock();
        let at = indexed.iter().position(|(id, _)| *id == tree)?;
        let found = indexed.remove(at)?;
        let entries = found.1.clone();
        indexed.push_front(found);
        Some(entries)
    }

    /// Keeps the entries of a folder.
    pub fn put(&self, tree: ObjectId, entries: Entries) {
        if entries.len() > INDEXED_ENTRIES {
            return;
        }
        let mut indexed = self.0.lock();
        indexed.retain(|(id, _)| *id != tree);
        indexed.push_front((tree, entries));
        indexed.truncate(INDEXED);
        let count = |indexed: &VecDeque<(ObjectId, Entries)>| -> usize {
            indexed.iter().map(|(_, entries)| entries.len()).sum()
        };
        while count(&indexed) > INDEXED_ENTRIES {
            indexed.pop_back();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(number: u8) -> ObjectId {
        ObjectId::from_bytes_or_panic(&[number; 20])
    }

    fn entries(count: u32) -> Entries {
        let entry = |number: u32| (BString::from(number.to_string()), (EntryKind::Blob, id(0)));
        Arc::new((0..count).map(entry).collect())
    }

    #[test]
    fn the_index_keeps_the_folders_that_were_used_last() {
        let index = FolderIndex::default();
        for number in 0..4 {
            index.put(id(number), entries(1));
        }
        assert!(index.get(id(0)).is_some());
        index.put(id(9), entries(1));
        assert!(index.get(id(0)).is_some(), "it was used");
        assert!(
            index.get(id(1)).is_none(),
            "it was not used for the longest time"
        );
    }

    #[test]
    fn the_index_is_bounded_in_entries() {
        let index = FolderIndex::default();
        index.put(id(1), entries(150_000));
        index.put(id(2), entries(100_000));
        assert!(index.get(id(1)).is_none() && index.get(id(2)).is_some());
        index.put(id(3), entries(250_000));
        assert!(index.get(id(3)).is_none() && index.get(id(2)).is_some());
    }
}
