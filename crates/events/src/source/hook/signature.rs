//! HMAC signatures of requests.

use reconcile_core::secret::Secret;
use ring::hmac;

/// The hash below an HMAC.
#[derive(Clone, Copy, Debug)]
pub(super) enum Hash {
    Sha1,
    Sha256,
}

/// Whether `given`, in hexadecimal digits, is the HMAC of `message`. With an empty secret, which anybody could sign
/// with, nothing is right.
pub(super) fn is_right(hash: Hash, secret: &Secret, message: &[u8], given: &str) -> bool {
    let algorithm = match hash {
        Hash::Sha1 => hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY,
        Hash::Sha256 => hmac::HMAC_SHA256,
    };
    let Ok(given) = hex::decode(given) else {
        return false;
    };
    let key = hmac::Key::new(algorithm, secret.expose().as_bytes());
    !secret.is_empty() && hmac::verify(&key, message, &given).is_ok()
}
