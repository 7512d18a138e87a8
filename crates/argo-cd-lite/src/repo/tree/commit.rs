//! The tree of a commit, read from the object store.

use std::{cell::Cell, sync::Arc};

use git_fetch::{Entries, tree_of};
use gix::{ObjectId, bstr::ByteSlice, objs::tree::EntryKind};

use super::{Node, NodeKind, TreeReader};
use crate::repo::{
    GitError, LargeFiles, Store,
    error::{exceeds, store_error},
    lfs::{MAX_POINTER, Pointer},
};

/// Entries from which on a folder is indexed.
const LARGE: usize = 256;

/// Reads the tree of one commit. Ids are those of Git.
pub(in crate::repo) struct CommitReader {
    repository: gix::Repository,
    store: Arc<Store>,
    root: Node,
    large: Option<Arc<LargeFiles>>,
    lacks: Cell<bool>,
}

/// Ends the ids of a tree whose files are the contents of Git LFS: the same objects have other contents there.
const CONTENTS: &str = "+lfs";

impl CommitReader {
    /// The tree of `commit`, which is in the store. With `large`, pointers of Git LFS are the contents that they stand for.
    pub(in crate::repo) fn open(
        store: &Arc<Store>,
        commit: &str,
        large: Option<Arc<LargeFiles>>,
    ) -> Result<Self, GitError> {
        let repository = store.open_repository();
        let id = tree_of(&repository, commit)?;
        let mut reader = Self {
            repository,
            store: store.clone(),
            root: Node {
                kind: NodeKind::Folder,
                id: String::new(),
            },
            large,
            lacks: Cell::default(),
        };
        reader.root = reader.node(EntryKind::Tree, id);
        Ok(reader)
    }

    fn node(&self, kind: EntryKind, id: ObjectId) -> Node {
        let kind = match kind {
            EntryKind::Tree => NodeKind::Folder,
            EntryKind::Blob | EntryKind::BlobExecutable => NodeKind::File,
            EntryKind::Link => NodeKind::Link,
            EntryKind::Commit => NodeKind::Module,
        };
        let mut id = id.to_string();
        if self.large.is_some() && kind != NodeKind::Module {
            id.push_str(CONTENTS);
        }
        Node { kind, id }
    }

    fn stored_size(&self, node: &Node) -> Result<u64, GitError> {
        self.repository
            .find_header(object_id(node)?)
            .map(|header| header.size())
            .map_err(|error| store_error(&error))
    }

    fn stored(&self, node: &Node) -> Result<Vec<u8>, GitError> {
        let mut blob = self
            .repository
            .find_blob(object_id(node)?)
            .map_err(|error| store_error(&error))?;
        Ok(blob.take_data())
    }

    /// The pointer that a file is, where pointers count.
    fn pointer(&self, node: &Node) -> Result<Option<(&LargeFiles, Pointer)>, GitError> {
        let Some(large) = &self.large else {
            return Ok(None);
        };
        if node.kind != NodeKind::File || self.stored_size(node)? > MAX_POINTER {
            return Ok(None);
        }
        let pointer = Pointer::parse(&self.stored(node)?);
        Ok(pointer.map(|pointer| (&**large, pointer)))
    }

    fn tree(&self, node: &Node) -> Result<gix::Tree<'_>, GitError> {
        let limit = self.store.limits().tree_bytes;
        if self.stored_size(node)? > limit {
            return Err(exceeds("bytes in a folder object", limit));
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
            return Ok(entry.map(|(kind, id)| self.node(*kind, *id)));
        }
        let tree = self.tree(folder)?;
        let entries = || tree.iter().filter_map(Result::ok);
        if entries().nth(LARGE).is_none() {
            let found = entries().find(|entry| entry.filename() == name.as_bytes());
            return Ok(found.map(|entry| self.node(entry.mode().kind(), entry.object_id())));
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
        Ok(found.map(|(kind, id)| self.node(kind, id)))
    }

    fn list(&self, folder: &Node) -> Result<Vec<(String, Node)>, GitError> {
        let mut entries = Vec::new();
        for entry in self.tree(folder)?.iter() {
            let entry = entry.map_err(|error| store_error(&error))?;
            // No manifest names a file whose name is not text.
            if let Ok(name) = entry.filename().to_str() {
                let node = self.node(entry.mode().kind(), entry.object_id());
                entries.push((name.to_owned(), node));
            }
        }
        Ok(entries)
    }

    fn size(&self, node: &Node) -> Result<u64, GitError> {
        match self.pointer(node)? {
            Some((_, pointer)) => Ok(pointer.size),
            None => self.stored_size(node),
        }
    }

    fn read(&self, node: &Node) -> Result<Vec<u8>, GitError> {
        let Some((large, pointer)) = self.pointer(node)? else {
            return self.stored(node);
        };
        if let Some(content) = large.read(&pointer)? {
            return Ok(content);
        }
        self.lacks.set(true);
        self.stored(node)
    }

    fn lacks_files(&self) -> bool {
        self.lacks.get()
    }
}

fn object_id(node: &Node) -> Result<ObjectId, GitError> {
    let id = node.id.strip_suffix(CONTENTS).unwrap_or(&node.id);
    ObjectId::from_hex(id.as_bytes()).map_err(|error| store_error(&error))
}
