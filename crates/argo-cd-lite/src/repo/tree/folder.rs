//! A folder on this machine as a tree, read as it is.

use std::{
    fs,
    io::{self, Read},
    os::unix::ffi::OsStringExt,
    path::{Path, PathBuf},
};

use super::{Node, NodeKind, TreeReader};
use git_fetch::FetchError;

use crate::repo::GitError;

/// Reads the files of a folder, `.git` left out. An id is the path of the file: it does not tell changes of content.
pub struct FolderReader {
    root: Node,
}

impl FolderReader {
    /// The tree below `root`, which is a folder.
    pub fn open(root: &Path) -> Result<Self, GitError> {
        let root = fs::canonicalize(root).map_err(|error| failed(root, &error))?;
        Ok(Self {
            root: Node {
                kind: NodeKind::Folder,
                id: root.to_string_lossy().into_owned(),
            },
        })
    }
}

impl TreeReader for FolderReader {
    fn root(&self) -> &Node {
        &self.root
    }

    fn find(&self, folder: &Node, name: &str) -> Result<Option<Node>, GitError> {
        let path = Path::new(&folder.id).join(name);
        if name == ".git" {
            return Ok(None);
        }
        match fs::symlink_metadata(&path) {
            Ok(data) => Ok(node(&path, data.file_type())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(failed(&path, &error)),
        }
    }

    fn list(&self, folder: &Node) -> Result<Vec<(String, Node)>, GitError> {
        let path = Path::new(&folder.id);
        let mut entries = Vec::new();
        for entry in fs::read_dir(path).map_err(|error| failed(path, &error))? {
            let entry = entry.map_err(|error| failed(path, &error))?;
            let kind = entry.file_type().map_err(|error| failed(path, &error))?;
            let name = entry.file_name().to_string_lossy().into_owned();
            if let Some(node) = node(&entry.path(), kind).filter(|_| name != ".git") {
                entries.push((name, node));
            }
        }
        Ok(entries)
    }

    fn size(&self, node: &Node) -> Result<u64, GitError> {
        let path = Path::new(&node.id);
        fs::symlink_metadata(path)
            .map(|data| data.len())
            .map_err(|error| failed(path, &error))
    }

    fn read(&self, node: &Node) -> Result<Vec<u8>, GitError> {
        let path = PathBuf::from(&node.id);
        if node.kind == NodeKind::Link {
            let target = fs::read_link(&path).map_err(|error| failed(&path, &error))?;
            return Ok(target.into_os_string().into_vec());
        }
        let size = self.size(node)?;
        let mut content = Vec::new();
        fs::File::open(&path)
            .and_then(|file| file.take(size).read_to_end(&mut content))
            .map_err(|error| failed(&path, &error))?;
        Ok(content)
    }
}

/// The node of a path; none for sockets, devices and the like.
fn node(path: &Path, kind: fs::FileType) -> Option<Node> {
    let kind = match kind {
        kind if kind.is_symlink() => NodeKind::Link,
        kind if kind.is_dir() => NodeKind::Folder,
        kind if kind.is_file() => NodeKind::File,
        _ => return None,
    };
    Some(Node {
        kind,
        id: path.to_string_lossy().into_owned(),
    })
}

fn failed(path: &Path, error: &io::Error) -> GitError {
    FetchError::Store(format!("{}: {error}", path.display())).into()
}
