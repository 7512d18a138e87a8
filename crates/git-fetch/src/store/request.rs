//! What a server is asked for, and what it lists.

use std::collections::BTreeMap;

/// The refs of a repository, peeled: tags point at their commit.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RefList {
    /// Commit of `HEAD`, absent in an empty repository.
    pub head: Option<String>,
    /// Full name, for example `refs/heads/main`, to commit.
    pub refs: BTreeMap<String, String>,
}

impl RefList {
    /// Bytes of memory, roughly.
    pub fn size(&self) -> usize {
        const OVERHEAD: usize = 80;
        let one = |(name, commit): (&String, &String)| name.len() + commit.len() + OVERHEAD;
        self.refs.iter().map(one).sum()
    }
}

/// What to fetch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FetchRequest {
    /// A full ref name, which may end in `*`, or a commit.
    pub source: String,
    /// How much of the history.
    pub depth: Depth,
}

/// How much of the history to fetch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Depth {
    /// The commit only.
    Tip,
    /// All of it, to resolve short commit ids.
    Full,
}

/// The ref of our own for a source. It keeps objects reachable and lets the next fetch send only the rest.
pub(super) fn mirror(source: &str) -> String {
    match source.strip_prefix("refs/") {
        Some(rest) => format!("refs/mirror/{rest}"),
        None => format!("refs/mirror/commits/{source}"),
    }
}
