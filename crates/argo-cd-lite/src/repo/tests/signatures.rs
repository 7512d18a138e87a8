//! Signatures of commits, tags and histories, made with the git and gpg programs.

use std::collections::BTreeMap;

use super::{super::signature::tests::Gpg, *};

/// A repository whose commits may be signed.
struct SignedBed {
    bed: Bed,
    gpg: Gpg,
    key: String,
    signatures: Signatures,
}

impl SignedBed {
    /// `None` without the programs; the test counts as skipped then.
    fn new() -> Option<Self> {
        let gpg = Gpg::new()?;
        let (key, public) = gpg.key("t@example.com");
        let signatures = Signatures::default();
        signatures.set_keys(Some(&BTreeMap::from([(key.clone(), public)])));
        Some(Self {
            bed: Bed::new(),
            gpg,
            key,
            signatures,
        })
    }

    /// Runs git with the keys.
    fn git(&self, arguments: &[&str]) {
        let home = self.gpg.home().display().to_string();
        let program = self.bed.stores.path().join("sign.sh");
        let script = format!(
            "#!/bin/sh\nGNUPGHOME='{home}' exec gpg --batch --pinentry-mode loopback --passphrase '' \"$@\"\n"
        );
        std::fs::write(&program, script).expect("a script");
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        std::fs::set_permissions(&program, mode).expect("a program");
        let program = format!("gpg.program={}", program.display());
        let signer = format!("user.signingkey={}", self.key);
        let settings = ["-c", program.as_str(), "-c", signer.as_str()];
        let all: Vec<&str> = settings.iter().chain(arguments).copied().collect();
        git(self.bed.origin.folder.path(), &all);
    }

    fn commit(&self, message: &str, sign: bool) {
        let sign = if sign { "-S" } else { "--no-gpg-sign" };
        self.git(&["commit", "-q", "--allow-empty", "-m", message, sign]);
    }

    /// The answer about a revision.
    async fn verify(&self, revision: &str, whole_history: bool) -> Result<(), SignatureError> {
        let refs = self.bed.refs(true).await;
        let at = resolve(&refs, revision, "").expect("a revision");
        let url = self.bed.url.as_str();
        let commit = self.bed.hub.commit(url, &at).await.expect("a commit");
        let signed = Signed {
            url,
            at: &at,
            commit: &commit,
        };
        let required = RequiredSignatures {
            keys: vec![self.key.clone()],
            whole_history,
        };
        let verified = self.signatures.verify(&self.bed.hub, signed, &required);
        verified.await.expect("a repository that answers")
    }
}

#[tokio::test]
async fn the_signature_of_an_annotated_tag_counts_for_its_commit() {
    let Some(bed) = SignedBed::new() else {
        return;
    };
    bed.commit("unsigned", false);
    bed.git(&["tag", "-s", "v1", "-m", "signed"]);
    bed.git(&["tag", "-a", "v2", "-m", "not signed"]);
    bed.git(&["tag", "light"]);
    // The commit is in the store before any tag is.
    let unsigned = bed.verify("main", false).await;
    assert!(
        matches!(unsigned, Err(SignatureError::Unsigned(_))),
        "{unsigned:?}"
    );
    assert_eq!(bed.verify("v1", false).await, Ok(()));
    for name in ["v2", "light"] {
        let unsigned = bed.verify(name, false).await;
        assert!(
            matches!(unsigned, Err(SignatureError::Unsigned(_))),
            "{name} {unsigned:?}"
        );
    }
    let deep = bed.verify("v1", true).await;
    assert!(
        matches!(deep, Err(SignatureError::Unsigned(_))),
        "the commit, too"
    );
    bed.commit("signed", true);
    bed.git(&["tag", "-a", "v3", "-m", "not signed, on a signed commit"]);
    let unsigned = bed.verify("v3", false).await;
    assert!(
        matches!(unsigned, Err(SignatureError::Unsigned(_))),
        "{unsigned:?}"
    );
    assert_eq!(bed.verify("main", false).await, Ok(()));
}

#[tokio::test]
async fn a_strict_policy_verifies_the_history_up_to_a_seal() {
    let Some(bed) = SignedBed::new() else {
        return;
    };
    bed.commit("old and unsigned", false);
    bed.commit("signed", true);
    assert_eq!(bed.verify("main", false).await, Ok(()));
    let deep = bed.verify("main", true).await;
    assert!(matches!(deep, Err(SignatureError::Unsigned(_))), "{deep:?}");
    bed.commit("unsigned seal\n\nArgocd-gpg-seal: trust me", false);
    let deep = bed.verify("main", true).await;
    assert!(matches!(deep, Err(SignatureError::Unsigned(_))), "{deep:?}");
    bed.commit("seal\n\nArgocd-gpg-seal: reviewed", true);
    assert_eq!(bed.verify("main", true).await, Ok(()));
    // A branch that is merged needs signatures of its own.
    bed.git(&["checkout", "-q", "-b", "side"]);
    bed.commit("unsigned side", false);
    bed.git(&["checkout", "-q", "main"]);
    bed.commit("signed main", true);
    assert_eq!(bed.verify("main", true).await, Ok(()));
    bed.git(&["merge", "-q", "--no-ff", "-S", "-m", "merged", "side"]);
    let deep = bed.verify("main", true).await;
    assert!(matches!(deep, Err(SignatureError::Unsigned(_))), "{deep:?}");
}
