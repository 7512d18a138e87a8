//! The tree of a commit, read from the object store.

use std::sync::Arc;

use gix::{ObjectId, bstr::ByteSlice, objs::tree::EntryKind};

use super::{Node, NodeKind, TreeReader};
use crate::repo::{
    GitError, Store,
    error::store_error,
    objects::{Entries, tree_of},
};

/// Entries from which on a folder is indexed.
const LARGE: usize = 256;

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
