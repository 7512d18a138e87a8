//! Addresses in kustomizations: folders of Git repositories, and files by URL.

use crate::repo::clean;

/// What an address leads to.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Address {
    /// A folder of a repository.
    Folder(RemoteFolder),
    /// A file by URL.
    File(String),
}

/// A folder of a Git repository.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct RemoteFolder {
    /// URL of the repository.
    pub(super) repository: String,
    /// Branch, tag or commit; empty for the default branch.
    pub(super) revision: String,
    /// Path below the root.
    pub(super) path: String,
}

/// Options of an address that are understood.
const REVISIONS: &[&str] = &["ref", "version"];
/// Options without a meaning here: times are bounded, and a submodule is an error.
const WITHOUT_MEANING: &[&str] = &["timeout", "submodules", "depth"];

impl Address {
    /// Reads an address as kustomize does; `None` when it is none, or has parts that are not understood.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        let text = text.strip_prefix("git::").unwrap_or(text);
        let (place, query) = text.split_once('?').unwrap_or((text, ""));
        if is_file(place) && !query.split('&').any(is_revision) {
            return Some(Self::File(text.to_owned()));
        }
        let mut revision = "";
        for option in query.split('&').filter(|option| !option.is_empty()) {
            let (name, value) = option.split_once('=')?;
            if REVISIONS.contains(&name) {
                revision = value;
            } else if !WITHOUT_MEANING.contains(&name) {
                return None;
            }
        }
        let (repository, path) = repository(place)?;
        Some(Self::Folder(RemoteFolder {
            repository,
            revision: revision.to_owned(),
            path: clean(&path).ok()?,
        }))
    }
}

fn is_revision(option: &str) -> bool {
    let name = option.split_once('=').map_or("", |(name, _)| name);
    REVISIONS.contains(&name)
}

/// True for the URL of a manifest.
fn is_file(place: &str) -> bool {
    let name = place.rsplit_once('/').map_or("", |(_, name)| name);
    let extension = name.rsplit_once('.').map_or("", |(_, extension)| extension);
    (place.starts_with("https://") || place.starts_with("http://"))
        && ["yaml", "yml", "json"].contains(&extension)
}

/// The repository of an address, and the path below its root.
fn repository(place: &str) -> Option<(String, String)> {
    let place = match place.strip_prefix("github.com/") {
        Some(rest) => format!("https://github.com/{rest}"),
        None => place.to_owned(),
    };
    let start = match place.find("://") {
        Some(at) => {
            let scheme = &place[..at];
            if !["https", "http", "ssh", "file"].contains(&scheme) {
                return None;
            }
            let host = at + 3;
            host + place[host..].find('/')? + 1
        }
        // user@host:path
        None => place.find(':').filter(|at| place[..*at].contains('@'))? + 1,
    };
    let (host, rest) = place.split_at(start);
    let (repository, path) = split(rest)?;
    let whole = format!("{host}{repository}");
    (!repository.is_empty() && !repository.starts_with('/')).then_some((whole, path))
}

/// Where the path of a repository ends.
fn split(rest: &str) -> Option<(String, String)> {
    let both = |at: usize, skip: usize| {
        let path = rest.get(at + skip..).unwrap_or_default();
        Some((rest[..at].to_owned(), path.trim_matches('/').to_owned()))
    };
    if let Some(at) = rest.find("_git/") {
        let name = at + "_git/".len();
        let end = rest[name..].find('/').map_or(rest.len(), |end| name + end);
        return both(end, 0);
    }
    if let Some(at) = rest.find("//") {
        return both(at, 2);
    }
    if let Some(at) = rest.find(".git/") {
        return both(at + ".git".len(), 0);
    }
    if rest.strip_suffix(".git").is_some() {
        return both(rest.len(), 0);
    }
    // Owner and name.
    let second = rest.match_indices('/').nth(1);
    both(second.map_or(rest.len(), |(at, _)| at), 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_as_kustomize_reads_them() {
        for (text, repository, path, revision) in [
            (
                "https://github.com/a/b//base/x?ref=v1",
                "https://github.com/a/b",
                "base/x",
                "v1",
            ),
            (
                "https://github.com/a/b/base?ref=v1&timeout=90s",
                "https://github.com/a/b",
                "base",
                "v1",
            ),
            (
                "github.com/a/b?ref=main",
                "https://github.com/a/b",
                "",
                "main",
            ),
            (
                "git@example.com:a/b.git//base?version=2",
                "git@example.com:a/b.git",
                "base",
                "2",
            ),
            ("git@example.com:a/b.git", "git@example.com:a/b.git", "", ""),
            (
                "ssh://git@example.com:22/a/b.git/base",
                "ssh://git@example.com:22/a/b.git",
                "base",
                "",
            ),
            (
                "git::https://git.example.com/deep/a/b.git//x",
                "https://git.example.com/deep/a/b.git",
                "x",
                "",
            ),
            (
                "https://dev.azure.com/o/p/_git/r/base?ref=m",
                "https://dev.azure.com/o/p/_git/r",
                "base",
                "m",
            ),
            (
                "https://git.example.com/a/b//x.yaml?ref=v1",
                "https://git.example.com/a/b",
                "x.yaml",
                "v1",
            ),
        ] {
            let expected = Address::Folder(RemoteFolder {
                repository: repository.to_owned(),
                revision: revision.to_owned(),
                path: path.to_owned(),
            });
            assert_eq!(Address::parse(text), Some(expected), "{text}");
        }
        let file = "https://raw.example.com/a/b/main/install.yaml?token=x";
        assert_eq!(Address::parse(file), Some(Address::File(file.to_owned())));
    }

    #[test]
    fn what_is_not_understood_is_no_address() {
        for none in [
            "../base",
            "base",
            "ftp://example.com/a/b",
            "https://example.com",
            "https://github.com/a/b//../../x",
            "https://github.com/a/b?exec=sh",
            "https://github.com/a/b?ref",
            "https://github.com//x",
        ] {
            assert_eq!(Address::parse(none), None, "{none}");
        }
    }
}
