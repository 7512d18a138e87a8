//! Signatures of a revision: of its tag, its commit and, where the project says so, of the commits before it.
//!
//! ```text
//!   tag ──► commit ──► parents ──► ... ──► a signed commit with the trailer Argocd-gpg-seal, or the first commit
//! ```

use std::collections::HashSet;

use sha2::{Digest, Sha256};

use super::{
    super::{Commit, GitError, Interrupt, RepoError, RepoHub, Resolved},
    Keys, SignatureError, Signatures, check,
    fetch::TagTarget,
    split_tag,
};

/// Trailer of a commit whose signer answers for all that came before it.
const SEAL: &str = "argocd-gpg-seal:";
/// Commits since the last seals.
const MAX_HISTORY: usize = 1000;

/// Signatures that a Git source needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequiredSignatures {
    /// Ids of keys, one of which has to have signed.
    pub keys: Vec<String>,
    /// The ancestors of the commit need them, too.
    pub whole_history: bool,
}

/// A revision whose signatures are checked.
#[derive(Clone, Copy)]
pub struct Signed<'a> {
    /// URL of the repository.
    pub url: &'a str,
    /// The commit, and the ref that the source names.
    pub at: &'a Resolved,
    /// The commit.
    pub commit: &'a Commit,
}

/// A commit of the history.
struct Link {
    parents: Vec<String>,
    seals: bool,
}

impl Signatures {
    /// Fails unless a listed key has signed what the project wants to have signed: an annotated tag itself, else its commit;
    /// with the whole history the commit and all before it up to a seal.
    pub async fn verify(
        &self,
        hub: &RepoHub,
        signed: Signed<'_>,
        required: &RequiredSignatures,
    ) -> Result<Result<(), SignatureError>, RepoError> {
        let keys = self.keys(&required.keys);
        let tag = (signed.at.reference.as_deref()).filter(|name| name.starts_with("refs/tags/"));
        if let Some(name) = tag
            && let TagTarget::Annotated(raw) = hub.tag(signed.url, name, &signed.at.commit).await?
        {
            let verified = self.verify_tag(hub, name, raw, &keys).await?;
            if verified.is_err() || !required.whole_history {
                return Ok(verified);
            }
        }
        if required.whole_history {
            return self.verify_history(hub, signed, &keys).await;
        }
        self.verify_commit(hub, signed.commit, &keys).await
    }

    async fn verify_tag(
        &self,
        hub: &RepoHub,
        name: &str,
        raw: Vec<u8>,
        keys: &Keys,
    ) -> Result<Result<(), SignatureError>, RepoError> {
        let id = hex::encode(Sha256::digest(&raw));
        let known = format!("tag {id} {name} {}", keys.digest);
        if let Some(known) = self.known(&known) {
            return Ok(known);
        }
        let (name, keys) = (name.to_owned(), keys.clone());
        let check = move |interrupt: &Interrupt| check(&name, split_tag(&raw), &keys, interrupt);
        let verified = hub.read(check).await?;
        self.remember(known, &verified);
        Ok(verified)
    }

    async fn verify_history(
        &self,
        hub: &RepoHub,
        signed: Signed<'_>,
        keys: &Keys,
    ) -> Result<Result<(), SignatureError>, RepoError> {
        let whole = |id: &str| format!("history {id} {}", keys.digest);
        let mut pending = vec![signed.commit.id().to_owned()];
        let mut seen = HashSet::new();
        let mut fetched = false;
        while let Some(id) = pending.pop() {
            // What was found good once stays so with the same keys.
            if !seen.insert(id.clone()) || self.known(&whole(&id)) == Some(Ok(())) {
                continue;
            }
            if seen.len() > MAX_HISTORY {
                return Ok(Err(SignatureError::Long {
                    commit: signed.commit.id().to_owned(),
                    limit: MAX_HISTORY,
                }));
            }
            let commit = signed.commit.other(&id);
            let mut link = read(hub, &commit).await?;
            if link.is_none() && !fetched {
                hub.fetch_history(signed.url, signed.at).await?;
                fetched = true;
                link = read(hub, &commit).await?;
            }
            let Some(link) = link else {
                return Ok(Err(SignatureError::Unchecked {
                    commit: id,
                    reason: "the server does not give the history of the revision".to_owned(),
                }));
            };
            let verified = self.verify_commit(hub, &commit, keys).await?;
            if verified.is_err() {
                return Ok(verified);
            }
            if !link.seals {
                pending.extend(link.parents);
            }
        }
        self.remember(whole(signed.commit.id()), &Ok(()));
        Ok(Ok(()))
    }
}

/// What a commit says of its history; `None` when it is not in the store.
async fn read(hub: &RepoHub, commit: &Commit) -> Result<Option<Link>, RepoError> {
    let commit = commit.clone();
    let read = move |_: &Interrupt| -> Result<_, GitError> {
        if !commit.is_stored()? {
            return Ok(None);
        }
        Ok(Some(link(&String::from_utf8_lossy(&commit.raw()?))))
    };
    Ok(hub.look_up(read).await??)
}

fn link(raw: &str) -> Link {
    let (header, message) = raw.split_once("\n\n").unwrap_or((raw, ""));
    let parents = header
        .lines()
        .filter_map(|line| line.strip_prefix("parent "));
    let parents = parents.map(|id| id.trim().to_owned()).collect();
    // Trailers are the last paragraph.
    let last = message.trim_end().rsplit("\n\n").next().unwrap_or_default();
    let seals = last.lines().any(|line| {
        let (name, reason) = line.split_at_checked(SEAL.len()).unwrap_or_default();
        name.eq_ignore_ascii_case(SEAL) && !reason.trim().is_empty()
    });
    Link { parents, seals }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seal_is_a_trailer_with_a_reason() {
        let of = |message: &str| link(&format!("tree t\nparent a\nparent b\n\n{message}"));
        let sealed = of("Title\n\nBody\n\nSigned-off-by: x\nArgocd-GPG-Seal: reviewed\n");
        assert!(sealed.seals);
        assert_eq!(sealed.parents, ["a", "b"]);
        for message in [
            "Title\n\nArgocd-gpg-seal: quoted\n\nSigned-off-by: x\n",
            "Title\n\nArgocd-gpg-seal:  \n",
            "Title\n\n> Argocd-gpg-seal: quoted\n",
            "",
        ] {
            assert!(!of(message).seals, "{message}");
        }
    }
}
