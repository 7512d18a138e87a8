//! Paths inside a tree.

use crate::repo::GitError;

/// The parts of a path that mean something.
pub(super) fn parts(path: &str) -> impl DoubleEndedIterator<Item = &str> {
    path.split('/').filter(|part| !matches!(*part, "" | "."))
}

/// The folders above `path`, the root included, and itself.
pub(super) fn folders_above(path: &str) -> impl Iterator<Item = &str> {
    let ends = path.match_indices('/').map(|(end, _)| end);
    [0].into_iter()
        .chain(ends)
        .chain([path.len()])
        .map(|end| &path[..end])
}

/// `name` in the folder `parent`.
pub fn join(parent: &str, name: &str) -> String {
    match parent {
        "" => name.to_owned(),
        parent => format!("{parent}/{name}"),
    }
}

/// `path` without `.`, `..` and empty parts; one that climbs out of the root is refused.
pub fn clean(path: &str) -> Result<String, GitError> {
    let mut clean: Vec<&str> = Vec::new();
    for part in parts(path) {
        if part == ".." {
            clean
                .pop()
                .ok_or_else(|| GitError::Escapes(path.to_owned()))?;
        } else {
            clean.push(part);
        }
    }
    Ok(clean.join("/"))
}
