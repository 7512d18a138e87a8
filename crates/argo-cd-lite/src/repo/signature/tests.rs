//! Signatures made with the gpg program.

use reconcile_core::testkit::skip_where;

use super::*;

/// A home of gpg with keys of its own.
pub(crate) struct Gpg(tempfile::TempDir);

impl Gpg {
    /// `None` when the programs are not there; the test counts as skipped then.
    pub(crate) fn new() -> Option<Self> {
        let there = |name: &str| {
            let version = Command::new(name).arg("--version").output();
            version.is_ok_and(|output| output.status.success())
        };
        if !there("gpg") || !there("gpgv") {
            skip_where(&["ALLOW_SKIPS"], "no gpg or gpgv: apt-get install gpg gpgv");
            return None;
        }
        Some(Self(tempfile::tempdir().expect("a folder")))
    }

    /// The folder of its keys.
    pub(crate) fn home(&self) -> &Path {
        self.0.path()
    }

    fn run(&self, arguments: &[&str], input: &[u8]) -> Vec<u8> {
        use std::io::Write as _;
        let mut child = Command::new("gpg")
            .args(["--batch", "--pinentry-mode", "loopback", "--passphrase", ""])
            .args(arguments)
            .env("GNUPGHOME", self.0.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("gpg runs");
        let mut pipe = child.stdin.take().expect("a pipe");
        pipe.write_all(input).expect("it reads");
        drop(pipe);
        let output = child.wait_with_output().expect("it ends");
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "gpg {arguments:?}: {errors}");
        output.stdout
    }

    /// Makes a key; its id and its armored public part.
    pub(crate) fn key(&self, name: &str) -> (String, String) {
        self.run(&["--quick-gen-key", name, "ed25519", "sign", "never"], b"");
        let listed = self.run(&["--with-colons", "--list-keys", name], b"");
        let listed = String::from_utf8(listed).expect("text");
        let fingerprint = listed.lines().find_map(|line| line.strip_prefix("fpr:"));
        let fingerprint = fingerprint.expect("a fingerprint").replace(':', "");
        let public = self.run(&["--armor", "--export", name], b"");
        let id = fingerprint[fingerprint.len() - KEY_ID..].to_owned();
        (id, String::from_utf8(public).expect("text"))
    }

    /// The commit with a signature of this key, as Git writes it.
    fn sign(&self, name: &str, commit: &str) -> Vec<u8> {
        let signature = self.run(
            &["--local-user", name, "--armor", "--detach-sign"],
            commit.as_bytes(),
        );
        let signature = String::from_utf8(signature).expect("text");
        let field = signature.trim_end().replace('\n', "\n ");
        let (header, message) = commit.split_once("\n\n").expect("a message");
        format!("{header}\ngpgsig {field}\n\n{message}").into_bytes()
    }
}

impl Drop for Gpg {
    fn drop(&mut self) {
        // The agent of this home would stay.
        let mut kill = Command::new("gpgconf");
        drop(
            kill.args(["--kill", "all"])
                .env("GNUPGHOME", self.0.path())
                .output(),
        );
    }
}

const COMMIT: &str = "tree 4b825dc642cb6eb9a060e54bf8d69288fbee4904\nauthor a <a@example.com> 1 +0000\ncommitter a <a@example.com> 1 +0000\n\ngpgsig in a message\n is no header\n";

#[test]
fn only_a_good_signature_of_a_listed_key_passes() {
    let Some(gpg) = Gpg::new() else {
        return;
    };
    let (alice, alice_key) = gpg.key("alice@example.com");
    let (mallory, mallory_key) = gpg.key("mallory@example.com");
    let of_alice = gpg.sign("alice@example.com", COMMIT);
    let (_, signed) = split(&of_alice).expect("a signature");
    assert_eq!(signed, COMMIT.as_bytes());
    let binary = |armored: &str| dearmored(armored).expect("a key");
    let both = [binary(&alice_key), binary(&mallory_key)].concat();
    let interrupt = Interrupt::default();
    let verify = |raw: &[u8], keyring: &[u8], allowed: &[&str]| {
        let allowed: Vec<String> = allowed.iter().map(ToString::to_string).collect();
        let keys = Keys {
            keyring: Arc::new(Keyring {
                keys: keyring.to_vec(),
                digest: Vec::new(),
            }),
            allowed,
            digest: String::new(),
        };
        check("c1", split(raw), &keys, &interrupt)
    };
    assert_eq!(
        verify(&of_alice, &both, &[&mallory, &alice.to_lowercase()]),
        Ok(())
    );
    assert!(matches!(
        verify(&of_alice, &both, &[&mallory]),
        Err(SignatureError::NotAllowed { key, .. }) if key == alice
    ));
    // A short id is easily forged, and an empty one would fit every key.
    for short in [&alice[8..], "", " "] {
        assert!(verify(&of_alice, &both, &[short]).is_err(), "{short:?}");
    }
    let unknown = verify(&of_alice, &binary(&mallory_key), &[&alice]);
    let unknown = unknown.expect_err("the key is not known").to_string();
    assert!(unknown.contains("not in argocd-gpg-keys-cm"), "{unknown}");
    assert!(matches!(
        verify(COMMIT.as_bytes(), &both, &[&alice]),
        Err(SignatureError::Unsigned(_))
    ));
    let text = String::from_utf8(of_alice.clone()).expect("text");
    for (from, to) in [
        ("a@example.com", "b@example.com"),
        ("is no header", "was changed"),
    ] {
        let changed = text.replacen(from, to, 1);
        assert!(matches!(
            verify(changed.as_bytes(), &both, &[&alice]),
            Err(SignatureError::Invalid { .. })
        ));
    }
    let (header, rest) = text.split_once("\ngpgsig").expect("a signature");
    let twice = format!("{header}\ngpgsig x\ngpgsig{rest}");
    assert!(matches!(
        verify(twice.as_bytes(), &both, &[&alice]),
        Err(SignatureError::Unsigned(_))
    ));
    let ssh = format!("{header}\ngpgsig -----BEGIN SSH SIGNATURE-----\n\nm\n");
    assert!(matches!(
        verify(ssh.as_bytes(), &both, &[&alice]),
        Err(SignatureError::Foreign(_))
    ));
}
