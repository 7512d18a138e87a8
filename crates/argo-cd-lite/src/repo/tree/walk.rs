//! All files below a folder, within limits.

use super::{FileQuery, Found, Node, NodeKind, SourceFile, SourceTree, join, too_many};
use crate::repo::GitError;

impl SourceTree {
    /// The files of a folder that was looked up, in the order of their paths.
    pub fn files(
        &self,
        folder: &Found,
        query: &FileQuery<'_>,
    ) -> Result<Vec<SourceFile>, GitError> {
        let mut walk = Walk {
            tree: self,
            query,
            root: folder,
            bytes: 0,
            entries: 0,
            files: Vec::new(),
        };
        let mut pending = vec![Pending {
            folder: folder.clone(),
            prefix: String::new(),
            depth: 0,
        }];
        while let Some(next) = pending.pop() {
            walk.read_folder(&next, &mut pending)?;
        }
        walk.files.sort_by(|a, b| a.path.cmp(&b.path));
        Ok(walk.files)
    }
}

/// A folder that is still to be read.
struct Pending {
    folder: Found,
    prefix: String,
    depth: usize,
}

struct Walk<'a> {
    tree: &'a SourceTree,
    query: &'a FileQuery<'a>,
    root: &'a Found,
    bytes: u64,
    entries: usize,
    files: Vec<SourceFile>,
}

impl Walk<'_> {
    fn read_folder(&mut self, at: &Pending, pending: &mut Vec<Pending>) -> Result<(), GitError> {
        let limits = &self.tree.limits;
        // An incomplete set of files would look like files that were deleted, so every limit is an error.
        if at.depth > limits.depth {
            return Err(too_many("folders below each other", limits.depth));
        }
        for (name, node) in self.tree.list(&at.folder.node)? {
            self.tree.check_interrupt()?;
            self.entries += 1;
            if self.entries > limits.entries {
                return Err(too_many("entries below the path", limits.entries));
            }
            let path = format!("{}{name}", at.prefix);
            let real = join(&at.folder.path, &name);
            match node.kind {
                NodeKind::Folder => self.descend(Found { path: real, node }, &path, at, pending),
                NodeKind::Module if self.query.recurse => return Err(GitError::Submodule(real)),
                NodeKind::File if (self.query.wanted)(&path) => self.keep(path, &node)?,
                NodeKind::Link if self.query.linked_folders || (self.query.wanted)(&path) => {
                    match self.follow(&real)? {
                        Some(found) if !found.is_folder() && (self.query.wanted)(&path) => {
                            self.keep(path, &found.node)?;
                        }
                        Some(found) if found.is_folder() && self.query.linked_folders => {
                            self.descend(found, &path, at, pending);
                        }
                        _ => {}
                    }
                }
                _ => {}
            }
        }
        Ok(())
    }

    fn descend(&self, folder: Found, path: &str, at: &Pending, pending: &mut Vec<Pending>) {
        if self.query.recurse {
            pending.push(Pending {
                folder,
                prefix: format!("{path}/"),
                depth: at.depth + 1,
            });
        }
    }

    /// What a link leads to. Outside of the folder that is read it is an input of its own.
    fn follow(&self, link: &str) -> Result<Option<Found>, GitError> {
        let found = match self.tree.resolve(link) {
            Ok(found) => found,
            Err(error) => return Err(self.tree.unreadable(link, error)),
        };
        let inside = found.as_ref().is_some_and(|found| {
            self.root.path.is_empty() || found.path.starts_with(&format!("{}/", self.root.path))
        });
        if !inside {
            self.tree.note(link.to_owned(), found.as_ref())?;
        }
        Ok(found)
    }

    /// Reads a file, after its size was checked.
    fn keep(&mut self, path: String, node: &Node) -> Result<(), GitError> {
        if self.files.len() >= self.tree.limits.files {
            return Err(too_many("manifest files", self.tree.limits.files));
        }
        self.bytes = self.bytes.saturating_add(self.tree.reader.size(node)?);
        if self.bytes > self.query.max_bytes {
            return Err(GitError::TooLarge(self.query.max_bytes));
        }
        let content = self.tree.reader.read(node)?;
        self.files.push(SourceFile { path, content });
        Ok(())
    }
}
