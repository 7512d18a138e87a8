//! The tree of a commit, read from the object store.

use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
};

use gix::{
    ObjectId,
    bstr::{BString, ByteSlice},
    objs::tree::EntryKind,
};
use parking_lot::Mutex;

use super::{Node, NodeKind, TreeReader};
use crate::repo::{GitError, Store, git::store_error};

/// Id of the tree of a commit, when both are in the store.
pub(in crate::repo) fn tree_of(
    repository: &gix::Repository,
    commit: &str,
) -> Result<ObjectId, GitError> {
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
pub(in crate::repo) fn commit_of(
    repository: &gix::Repository,
    mut id: ObjectId,
) -> Result<gix::Commit<'_>, GitError> {
    for _ in 0..MAX_TAGS {
        let header = repository
            .find_header(id)
            .map_err(|error| store_error(&error))?;
        if header.size() > MAX_COMMIT_BYTES {
            return Err(GitError::Exceeds {
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
    Err(GitError::Exceeds {
        what: "tags of tags",
        limit: MAX_TAGS,
    })
}

/// Entries from which on a folder is indexed.
const LARGE: usize = 256;
/// Indexed folders that are kept. In a repository of ten thousand applications each pass looks up one name in the same
/// few folders.
const INDEXED: usize = 4;
/// Entries of all indexes of a store, some 100 bytes each. A larger folder is read each time.
const INDEXED_ENTRIES: usize = 200_000;

type Entries = Arc<HashMap<BString, (EntryKind, ObjectId)>>;

/// Indexes of the large folders that were used last.
#[derive(Default)]
pub(in crate::repo) struct FolderIndex(Mutex<VecDeque<(ObjectId, Entries)>>);

impl FolderIndex {
    fn get(&self, tree: ObjectId) -> Option<Entries> {
        let mut indexed = self.0.lock();
        let at = indexed.iter().position(|(id, _)| *id == tree)?;
        let found = indexed.remove(at)?;
        let entries = found.1.clone();
        indexed.push_front(found);
        Some(entries)
    }

    fn put(&self, tree: ObjectId, entries: Entries) {
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

/// Reads the tree of one commit. Ids are those of Git.
pub(in crate::repo) struct CommitReader {
    repository: gix::Repository,
    store: Arc<Store>,
    root: Node,
}

impl CommitReader {
    /// The tree of `commit`, which is in the store.
    pub(in crate::repo) fn open(store: &Arc<Store>, commit: &str) -> Result<Self, GitError> {
        let repository = store.open_repository();
        let id = tree_of(&repository, commit)?.to_string();
        Ok(Self {
            repository,
            store: store.clone(),
            root: Node {
                kind: NodeKind::Folder,
                id,
            },
        })
    }

    fn tree(&self, node: &Node) -> Result<gix::Tree<'_>, GitError> {
        let limit = self.store.limits().tree_bytes;
        if self.size(node)? > limit {
            return Err(GitError::Exceeds {
                what: "bytes in a folder object",
                limit,
            });
        }
        self.repository
            .find_tree(object_id(node)?)
            .map_err(|error| store_error(&error))
    }
}

impl TreeReader for CommitReader {
    fn root(&self) -> &Node {
        &self.root
    }

    fn find(&self, folder: &Node, name: &str) -> Result<Option<Node>, GitError> {
        let id = object_id(folder)?;
        let index = self.store.folders();
        if let Some(entries) = index.get(id) {
            let entry = entries.get(name.as_bytes().as_bstr());
            return Ok(entry.map(|(kind, id)| node(*kind, *id)));
        }
        let tree = self.tree(folder)?;
        let entries = || tree.iter().filter_map(Result::ok);
        if entries().nth(LARGE).is_none() {
            let found = entries().find(|entry| entry.filename() == name.as_bytes());
            return Ok(found.map(|entry| node(entry.mode().kind(), entry.object_id())));
        }
        let all: Entries = Arc::new(
            entries()
                .map(|entry| {
                    (
                        entry.filename().to_owned(),
                        (entry.mode().kind(), entry.object_id()),
                    )
                })
                .collect(),
        );
        let found = all.get(name.as_bytes().as_bstr()).copied();
        index.put(id, all);
        Ok(found.map(|(kind, id)| node(kind, id)))
    }

    fn list(&self, folder: &Node) -> Result<Vec<(String, Node)>, GitError> {
        let mut entries = Vec::new();
        for entry in self.tree(folder)?.iter() {
            let entry = entry.map_err(|error| store_error(&error))?;
            // No manifest names a file whose name is not text.
            if let Ok(name) = entry.filename().to_str() {
                let node = node(entry.mode().kind(), entry.object_id());
                entries.push((name.to_owned(), node));
            }
        }
        Ok(entries)
    }

    fn size(&self, node: &Node) -> Result<u64, GitError> {
        self.repository
            .find_header(object_id(node)?)
            .map(|header| header.size())
            .map_err(|error| store_error(&error))
    }

    fn read(&self, node: &Node) -> Result<Vec<u8>, GitError> {
        let mut blob = self
            .repository
            .find_blob(object_id(node)?)
            .map_err(|error| store_error(&error))?;
        Ok(blob.take_data())
    }
}

fn object_id(node: &Node) -> Result<ObjectId, GitError> {
    ObjectId::from_hex(node.id.as_bytes()).map_err(|error| store_error(&error))
}

fn node(kind: EntryKind, id: ObjectId) -> Node {
    Node {
        kind: match kind {
            EntryKind::Tree => NodeKind::Folder,
            EntryKind::Blob | EntryKind::BlobExecutable => NodeKind::File,
            EntryKind::Link => NodeKind::Link,
            EntryKind::Commit => NodeKind::Module,
        },
        id: id.to_string(),
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
