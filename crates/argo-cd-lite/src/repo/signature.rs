//! Signatures of commits, checked by `gpgv` with the keys of `argocd-gpg-keys-cm`.
//!
//! ```text
//!   commit ──► signature + what was signed ──► gpgv with our keys only ──► fingerprint ──► one of the project's keys?
//! ```

use std::{
    collections::{BTreeMap, HashMap},
    fs, io,
    path::Path,
    process::{Command, Stdio},
    sync::Arc,
    time::{Duration, Instant},
};

use base64::{Engine, engine::general_purpose::STANDARD};
use parking_lot::{Mutex, RwLock};
use reconcile_core::process_limits::limit_child;
use rustix::process::Resource;
use sha2::{Digest, Sha256};
use thiserror::Error;

use super::{Commit, GitError, Interrupt, RepoError, RepoHub};

pub use history::{RequiredSignatures, Signed};

mod fetch;
mod history;

/// Time of a check.
const DEADLINE: Duration = Duration::from_secs(10);
/// How often a running check is polled.
const LOOK: Duration = Duration::from_millis(10);
/// What the program may take.
const LIMITS: [(Resource, u64); 4] = [
    (Resource::Cpu, 10),
    (Resource::Data, 256 * 1024 * 1024),
    (Resource::Nofile, 64),
    (Resource::Core, 0),
];
/// Checks that are remembered.
const MAX_KNOWN: usize = 2000;
/// Hexadecimal digits of a key id; shorter ones are easily forged.
const KEY_ID: usize = 16;

/// Why a commit is not taken for one of the project's signers.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum SignatureError {
    /// It has no signature.
    #[error("Target revision {0} in Git is not signed, but a signature is required")]
    Unsigned(String),
    /// It is signed in another way.
    #[error(
        "Target revision {0} in Git has a signature that is none of GnuPG, but one is required"
    )]
    Foreign(String),
    /// The signature is no good, or of a key that is not known.
    #[error("Target revision {commit} in Git has a signature that cannot be verified: {reason}")]
    Invalid {
        /// The commit.
        commit: String,
        /// What the program says.
        reason: String,
    },
    /// The signature is good and its key is none of the project's.
    #[error(
        "Target revision {commit} in Git is signed by the key {key}, which the project does not list (spec.signatureKeys or spec.sourceIntegrity)"
    )]
    NotAllowed {
        /// The commit.
        commit: String,
        /// Id of the key.
        key: String,
    },
    /// Too many commits would have to be read.
    #[error(
        "revision {commit} in Git has more than {limit} ancestors without a seal: add a signed commit with the trailer Argocd-gpg-seal"
    )]
    Long {
        /// The commit.
        commit: String,
        /// The limit.
        limit: usize,
    },
    /// The check could not be made.
    #[error("cannot verify the signature of revision {commit}: {reason}")]
    Unchecked {
        /// The commit.
        commit: String,
        /// Why.
        reason: String,
    },
}

type Known = HashMap<String, Result<(), SignatureError>>;

/// The keys that signatures are checked with. Cloning shares them.
#[derive(Clone, Default)]
pub struct Signatures(Arc<Inner>);

#[derive(Default)]
struct Inner {
    keyring: RwLock<Arc<Keyring>>,
    known: Mutex<Known>,
}

#[derive(Default)]
struct Keyring {
    /// All keys in binary form, one after another.
    keys: Vec<u8>,
    /// SHA-256 of the keys.
    digest: Vec<u8>,
}

impl Signatures {
    /// Takes the ConfigMap with armored public keys by key id.
    pub fn set_keys(&self, keys: Option<&BTreeMap<String, String>>) {
        let mut binary = Vec::new();
        for (id, armored) in keys.into_iter().flatten() {
            if let Some(key) = dearmored(armored) {
                binary.extend(key);
            } else {
                tracing::warn!(key = id, "argocd-gpg-keys-cm: no armored public key");
            }
        }
        *self.0.keyring.write() = Arc::new(Keyring {
            digest: Sha256::digest(&binary).to_vec(),
            keys: binary,
        });
        self.0.known.lock().clear();
    }

    /// The keys of a list, as they are known now.
    fn keys(&self, allowed: &[String]) -> Keys {
        let keyring = self.0.keyring.read().clone();
        let mut hash = Sha256::new();
        hash.update(&keyring.digest);
        for key in allowed {
            hash.update([0]);
            hash.update(key);
        }
        Keys {
            keyring,
            allowed: allowed.to_vec(),
            digest: hex::encode(hash.finalize()),
        }
    }

    fn known(&self, name: &str) -> Option<Result<(), SignatureError>> {
        self.0.known.lock().get(name).cloned()
    }

    fn remember(&self, name: String, result: &Result<(), SignatureError>) {
        if matches!(result, Err(SignatureError::Unchecked { .. })) {
            return;
        }
        let mut known = self.0.known.lock();
        if known.len() >= MAX_KNOWN {
            known.clear();
        }
        known.insert(name, result.clone());
    }

    /// Fails unless a key of the list has signed the commit.
    async fn verify_commit(
        &self,
        hub: &RepoHub,
        commit: &Commit,
        keys: &Keys,
    ) -> Result<Result<(), SignatureError>, RepoError> {
        let name = format!("{} {}", commit.id(), keys.digest);
        if let Some(known) = self.known(&name) {
            return Ok(known);
        }
        let (commit, keys) = (commit.clone(), keys.clone());
        let check = move |interrupt: &Interrupt| -> Result<_, GitError> {
            let raw = commit.raw()?;
            Ok(check(commit.id(), split(&raw), &keys, interrupt))
        };
        let result = hub.read(check).await??;
        self.remember(name, &result);
        Ok(result)
    }
}

/// The keys that may sign.
#[derive(Clone)]
struct Keys {
    keyring: Arc<Keyring>,
    /// Ids.
    allowed: Vec<String>,
    /// Says which keys these are.
    digest: String,
}

/// Whether one of the allowed keys has made a signature of a commit or tag, which comes with what was signed.
fn check(
    commit: &str,
    split: Option<(Vec<u8>, Vec<u8>)>,
    keys: &Keys,
    interrupt: &Interrupt,
) -> Result<(), SignatureError> {
    let (signature, signed) = split.ok_or_else(|| SignatureError::Unsigned(commit.to_owned()))?;
    if !signature.starts_with(b"-----BEGIN PGP SIGNATURE-----") {
        return Err(SignatureError::Foreign(commit.to_owned()));
    }
    let unchecked = |reason: String| SignatureError::Unchecked {
        commit: commit.to_owned(),
        reason,
    };
    let status = run(&keys.keyring.keys, &signature, &signed, interrupt).map_err(unchecked)?;
    let invalid = |reason: String| SignatureError::Invalid {
        commit: commit.to_owned(),
        reason,
    };
    let (used, key) = signer(&status).map_err(invalid)?;
    let listed = keys.allowed.iter().any(|id| {
        let id = id.trim().to_ascii_uppercase();
        id.len() >= KEY_ID && (key.ends_with(&id) || used.ends_with(&id))
    });
    if listed {
        return Ok(());
    }
    let short = key.len().saturating_sub(KEY_ID);
    Err(SignatureError::NotAllowed {
        commit: commit.to_owned(),
        key: key[short..].to_owned(),
    })
}

/// The signature in a commit's header, and the commit without it. `None` without exactly one.
fn split(raw: &[u8]) -> Option<(Vec<u8>, Vec<u8>)> {
    const NAME: &[u8] = b"gpgsig ";
    let (mut signature, mut signed) = (Vec::new(), Vec::new());
    let (mut inside, mut header, mut found) = (false, true, 0);
    for line in raw.split_inclusive(|byte| *byte == b'\n') {
        header &= line != b"\n";
        if header && line.starts_with(NAME) {
            (inside, found) = (true, found + 1);
            signature.extend_from_slice(&line[NAME.len()..]);
        } else if header && inside && line.starts_with(b" ") {
            signature.extend_from_slice(&line[1..]);
        } else {
            inside = false;
            signed.extend_from_slice(line);
        }
    }
    (found == 1).then_some((signature, signed))
}

/// The signature at the end of an annotated tag, and the tag before it.
fn split_tag(raw: &[u8]) -> Option<(Vec<u8>, Vec<u8>)> {
    const BEGIN: &[u8] = b"-----BEGIN PGP SIGNATURE-----";
    let mut at = 0;
    let mut found = None;
    for line in raw.split_inclusive(|byte| *byte == b'\n') {
        if line.starts_with(BEGIN) {
            found = Some(at);
        }
        at += line.len();
    }
    let at = found?;
    Some((raw[at..].to_vec(), raw[..at].to_vec()))
}

/// What `gpgv` says about a signature, line by line.
fn run(
    keyring: &[u8],
    signature: &[u8],
    signed: &[u8],
    interrupt: &Interrupt,
) -> Result<String, String> {
    let failed = |error: io::Error| error.to_string();
    let folder = tempfile::Builder::new().prefix("gpgv-").tempdir();
    let folder = folder.map_err(failed)?;
    let path = |name: &str| folder.path().join(name);
    for (name, content) in [
        ("keys", keyring),
        ("signature", signature),
        ("commit", signed),
    ] {
        fs::write(path(name), content).map_err(failed)?;
    }
    let status = fs::File::create(path("status")).map_err(failed)?;
    let mut command = Command::new("gpgv");
    command
        .args(["--status-fd", "1", "--keyring"])
        .arg(path("keys"))
        .args(["signature", "commit"])
        .current_dir(folder.path())
        .env_clear()
        .env("HOME", folder.path())
        .env("GNUPGHOME", folder.path())
        .env("LC_ALL", "C")
        // The program of the system, whatever the environment of this process names first.
        .env("PATH", "/usr/local/bin:/usr/bin:/bin")
        .stdin(Stdio::null())
        .stdout(status)
        .stderr(Stdio::null());
    let mut child = command.spawn().map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => {
            "the program gpgv is not installed beside the controller".to_owned()
        }
        _ => error.to_string(),
    })?;
    limit_child("gpgv", &child, &LIMITS);
    let began = Instant::now();
    while child.try_wait().map_err(failed)?.is_none() {
        let cancelled = interrupt.load(std::sync::atomic::Ordering::Relaxed);
        if cancelled || began.elapsed() > DEADLINE {
            // It ends either way; waiting for it keeps no zombie.
            drop(child.kill());
            drop(child.wait());
            return Err("gpgv did not end in time".to_owned());
        }
        std::thread::sleep(LOOK);
    }
    read(&path("status")).map_err(failed)
}

fn read(path: &Path) -> io::Result<String> {
    let text = fs::read(path)?;
    Ok(String::from_utf8_lossy(&text).into_owned())
}

/// The fingerprints of the key of the only signature and of its primary key. The signature has to be good in every respect.
fn signer(status: &str) -> Result<(String, String), String> {
    let lines: Vec<Vec<&str>> = status
        .lines()
        .filter_map(|line| line.strip_prefix("[GNUPG:] "))
        .map(|line| line.split_whitespace().collect())
        .collect();
    let of = |word: &str| {
        lines
            .iter()
            .filter(|line| line.first() == Some(&word))
            .count()
    };
    for (word, reason) in [
        ("BADSIG", "the signature is bad"),
        ("EXPSIG", "the signature has expired"),
        ("EXPKEYSIG", "the key has expired"),
        ("REVKEYSIG", "the key was revoked"),
        ("NO_PUBKEY", "the key is not in argocd-gpg-keys-cm"),
        ("ERRSIG", "the signature cannot be checked"),
    ] {
        if of(word) > 0 {
            return Err(reason.to_owned());
        }
    }
    let valid = lines.iter().find(|line| line.first() == Some(&"VALIDSIG"));
    match valid.and_then(|line| Some((line.get(1)?, line.last()?))) {
        Some((used, key)) if of("GOODSIG") == 1 && of("VALIDSIG") == 1 => {
            Ok((used.to_ascii_uppercase(), key.to_ascii_uppercase()))
        }
        _ => Err("there is not exactly one good signature".to_owned()),
    }
}

/// The bytes of an armored key.
fn dearmored(text: &str) -> Option<Vec<u8>> {
    const BEGIN: &str = "-----BEGIN PGP PUBLIC KEY BLOCK-----";
    let (_, rest) = text.split_once(BEGIN)?;
    let (body, _) = rest.split_once("-----END PGP PUBLIC KEY BLOCK-----")?;
    // Headers end with an empty line; the last line is a checksum.
    let mut lines = body.lines().map(str::trim).skip(1).peekable();
    while lines.next_if(|line| line.contains(": ")).is_some() {}
    let lines = lines.filter(|line| !line.is_empty() && !line.starts_with('='));
    STANDARD.decode(lines.collect::<String>()).ok()
}

#[cfg(test)]
pub(super) mod tests;
