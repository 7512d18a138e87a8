//! What a tree of files is read through.

use crate::repo::GitError;

/// What an entry of a folder is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NodeKind {
    /// A folder.
    Folder,
    /// A file.
    File,
    /// A symbolic link.
    Link,
    /// A Git submodule, which is another repository.
    Module,
}

/// An entry of a folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Node {
    /// What it is.
    pub kind: NodeKind,
    /// Identifies the content: equal ids mean equal content.
    pub id: String,
}

/// Where the entries of a tree come from. All calls block.
pub trait TreeReader {
    /// The folder at the root.
    fn root(&self) -> &Node;
    /// The entry `name` of a folder.
    fn find(&self, folder: &Node, name: &str) -> Result<Option<Node>, GitError>;
    /// The entries of a folder.
    fn list(&self, folder: &Node) -> Result<Vec<(String, Node)>, GitError>;
    /// Bytes of a file or of the target of a link.
    fn size(&self, node: &Node) -> Result<u64, GitError>;
    /// Content of a file or target of a link.
    fn read(&self, node: &Node) -> Result<Vec<u8>, GitError>;
    /// True when a file was read whose content is kept elsewhere and not here: what it gave is a pointer.
    fn lacks_files(&self) -> bool {
        false
    }
}
