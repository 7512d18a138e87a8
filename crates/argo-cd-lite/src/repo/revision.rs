//! From the word in `targetRevision` to a commit; a pure function of the listed refs.

use thiserror::Error;

use super::{RefList, is_commit_id, semver::Constraint};

/// A commit, and the ref to fetch it by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resolved {
    /// Forty hexadecimal digits.
    pub commit: String,
    /// Full name of a ref that points there; `None` when only the commit itself was named.
    pub reference: Option<String>,
}

impl Resolved {
    /// What a whole commit id means, whatever the refs are; `None` for any other revision.
    pub fn of_commit_id(revision: &str) -> Option<Self> {
        is_commit_id(revision).then(|| Self {
            commit: revision.to_ascii_lowercase(),
            reference: None,
        })
    }
}

/// A revision that cannot be found.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum RevisionError {
    /// No ref of that name.
    #[error("unable to resolve '{0}' to a commit SHA")]
    Unknown(String),
    /// A constraint that no tag fits.
    #[error("no tag matches the version constraint '{0}'")]
    NoVersion(String),
    /// A short commit id; only the object store can tell.
    #[error("'{0}' looks like a short commit SHA, and no such commit was found")]
    Short(String),
}

/// Finds the commit. Order: full SHA, `HEAD`, a ref of that name, a version constraint over tags, a short SHA. A text
/// that names a ref or is a version is exact, never a constraint.
pub fn resolve(
    refs: &RefList,
    revision: &str,
    tag_prefix: &str,
) -> Result<Resolved, RevisionError> {
    if is_commit_id(revision) {
        let reference = refs
            .refs
            .iter()
            .find(|(_, commit)| *commit == revision)
            .map(|(name, _)| name.clone());
        return Ok(Resolved {
            commit: revision.to_lowercase(),
            reference,
        });
    }
    if revision.is_empty() || revision == "HEAD" {
        let commit = refs
            .head
            .clone()
            .ok_or_else(|| RevisionError::Unknown("HEAD".to_owned()))?;
        // A branch can be fetched from any server; a bare commit only from those that allow it.
        let branch = refs
            .refs
            .iter()
            .find(|(name, tip)| **tip == commit && name.starts_with("refs/heads/"))
            .map(|(name, _)| name.clone());
        return Ok(Resolved {
            commit,
            reference: branch,
        });
    }
    if let Some(found) = named(refs, revision) {
        return Ok(found);
    }
    if let Some(constraint) = Constraint::parse(revision) {
        let prefix = format!("refs/tags/{tag_prefix}");
        let tags = refs
            .refs
            .keys()
            .filter_map(|name| name.strip_prefix(&prefix));
        return constraint
            .highest(tags)
            .and_then(|tag| by_name(refs, &format!("{prefix}{tag}")))
            .ok_or_else(|| RevisionError::NoVersion(revision.to_owned()));
    }
    if is_hex(revision) && revision.len() >= 7 {
        let tip = refs
            .refs
            .iter()
            .find(|(_, commit)| commit.starts_with(&revision.to_lowercase()));
        return tip
            .map(|(name, commit)| Resolved {
                commit: commit.clone(),
                reference: Some(name.clone()),
            })
            .ok_or_else(|| RevisionError::Short(revision.to_owned()));
    }
    Err(RevisionError::Unknown(revision.to_owned()))
}

fn named(refs: &RefList, revision: &str) -> Option<Resolved> {
    [
        revision.to_owned(),
        format!("refs/heads/{revision}"),
        format!("refs/tags/{revision}"),
    ]
    .iter()
    .find_map(|name| by_name(refs, name))
}

fn by_name(refs: &RefList, name: &str) -> Option<Resolved> {
    let commit = refs.refs.get(name)?;
    Some(Resolved {
        commit: commit.clone(),
        reference: Some(name.to_owned()),
    })
}

fn is_hex(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}
