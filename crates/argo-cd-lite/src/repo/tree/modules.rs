//! A commit and its submodules as one tree: a submodule is the folder of its commit.

use std::{cell::RefCell, collections::HashMap};

use super::{CommitReader, Node, NodeKind, TreeReader};
use crate::repo::GitError;

/// Reads the trees of a commit and of its submodules. Ids are those of Git, so they say by themselves what they are.
pub(in crate::repo) struct ModulesReader {
    /// That of the commit first.
    readers: Vec<CommitReader>,
    /// The reader of a submodule's commit, or why there is none.
    modules: HashMap<String, Result<usize, String>>,
    /// Which reader knows an object that was met; the first one when it is not in here.
    places: RefCell<HashMap<String, usize>>,
}

impl ModulesReader {
    pub(in crate::repo) fn new(
        main: CommitReader,
        modules: impl IntoIterator<Item = (String, Result<CommitReader, String>)>,
    ) -> Self {
        let mut whole = Self {
            readers: vec![main],
            modules: HashMap::new(),
            places: RefCell::default(),
        };
        for (commit, reader) in modules {
            let place = reader.map(|reader| {
                whole.readers.push(reader);
                whole.readers.len() - 1
            });
            whole.modules.insert(commit, place);
        }
        whole
    }

    fn place(&self, node: &Node) -> usize {
        self.places.borrow().get(&node.id).copied().unwrap_or(0)
    }

    fn reader(&self, node: &Node) -> &CommitReader {
        &self.readers[self.place(node)]
    }

    /// The node as it is in the whole tree; it was met by the reader at `place`.
    fn met(&self, node: Node, place: usize) -> Node {
        let (node, place) = match self.modules.get(&node.id) {
            Some(Ok(module)) if node.kind == NodeKind::Module => {
                (self.readers[*module].root().clone(), *module)
            }
            _ => (node, place),
        };
        if place > 0 {
            self.places.borrow_mut().insert(node.id.clone(), place);
        }
        node
    }
}

impl TreeReader for ModulesReader {
    fn root(&self) -> &Node {
        self.readers[0].root()
    }

    fn find(&self, folder: &Node, name: &str) -> Result<Option<Node>, GitError> {
        let place = self.place(folder);
        let Some(node) = self.readers[place].find(folder, name)? else {
            return Ok(None);
        };
        if let (NodeKind::Module, Some(Err(reason))) = (node.kind, self.modules.get(&node.id)) {
            return Err(GitError::SubmoduleRefused {
                name: name.to_owned(),
                reason: reason.clone(),
            });
        }
        Ok(Some(self.met(node, place)))
    }

    fn list(&self, folder: &Node) -> Result<Vec<(String, Node)>, GitError> {
        let place = self.place(folder);
        let entries = self.readers[place].list(folder)?.into_iter();
        Ok(entries
            .map(|(name, node)| (name, self.met(node, place)))
            .collect())
    }

    fn size(&self, node: &Node) -> Result<u64, GitError> {
        self.reader(node).size(node)
    }

    fn read(&self, node: &Node) -> Result<Vec<u8>, GitError> {
        self.reader(node).read(node)
    }

    fn lacks_files(&self) -> bool {
        self.readers.iter().any(TreeReader::lacks_files)
    }
}
