//! Keys of SSH: those of users, in Secrets, and those that servers show.

use std::sync::Arc;

use num_bigint::BigUint;
use ring::{
    rand::SystemRandom,
    rsa::{KeyPair, KeyPairComponents, PublicKeyComponents},
    signature::{RSA_PKCS1_SHA256, RSA_PKCS1_SHA512},
};
use russh::{
    SendError, Signer,
    keys::{
        HashAlg, PrivateKey, PublicKey,
        agent::AgentIdentity,
        decode_secret_key,
        ssh_key::{
            self, Mpint,
            private::{KeypairData, RsaKeypair},
            public::{KeyData, RsaPublicKey},
        },
    },
};
use rustls::pki_types::{PrivateKeyDer, pem::PemObject};
use thiserror::Error;

use crate::ssh_host_keys;

/// A key that cannot be used. It quotes nothing of it.
#[derive(Debug, Error, PartialEq, Eq)]
pub(super) enum KeyError {
    #[error("holds no private key in PEM or the format of OpenSSH")]
    None,
    #[error("the private key is protected by a passphrase, which there is no field for")]
    Protected,
    #[error("the private key cannot be used; RSA keys need 2048 to 4096 bits")]
    Refused,
    #[error("no signature can be made with the private key")]
    Signature,
    #[error("the connection has ended")]
    Ended,
}

impl From<SendError> for KeyError {
    fn from(_: SendError) -> Self {
        Self::Ended
    }
}

/// The key of a user.
pub(super) enum UserKey {
    /// One that russh signs with.
    Plain(Arc<PrivateKey>),
    /// One of RSA, which ring signs with.
    Rsa(Box<RsaKey>),
}

/// A key of RSA.
pub(super) struct RsaKey {
    pair: KeyPair,
    pub(super) public: PublicKey,
}

impl UserKey {
    /// Reads the first private key of a text.
    pub(super) fn parse(text: &str) -> Result<Self, KeyError> {
        let block = block(text).ok_or(KeyError::None)?;
        if block.contains("ENCRYPTED") {
            return Err(KeyError::Protected);
        }
        let rsa = match PrivateKeyDer::from_pem_slice(block.as_bytes()) {
            Ok(PrivateKeyDer::Pkcs1(key)) => {
                Some(KeyPair::from_der(key.secret_pkcs1_der()).map_err(|_| KeyError::Refused)?)
            }
            Ok(PrivateKeyDer::Pkcs8(key)) => KeyPair::from_pkcs8(key.secret_pkcs8_der()).ok(),
            _ => None,
        };
        if let Some(pair) = rsa {
            return RsaKey::user_key(pair);
        }
        let key = match PrivateKey::from_openssh(block) {
            Ok(key) => key,
            Err(_) => decode_secret_key(block, None).map_err(|_| KeyError::Refused)?,
        };
        if key.is_encrypted() {
            return Err(KeyError::Protected);
        }
        match key.key_data() {
            KeypairData::Rsa(pair) => RsaKey::user_key(rsa_pair(pair).ok_or(KeyError::Refused)?),
            _ => Ok(Self::Plain(Arc::new(key))),
        }
    }
}

impl RsaKey {
    fn user_key(pair: KeyPair) -> Result<UserKey, KeyError> {
        let PublicKeyComponents { n, e } = PublicKeyComponents::<Vec<u8>>::from(pair.public());
        let [n, e] = [n, e].map(|number| Mpint::from_positive_bytes(&number));
        let public = RsaPublicKey::new(e, n).map_err(|_| KeyError::Refused)?;
        Ok(UserKey::Rsa(Box::new(Self {
            pair,
            public: KeyData::Rsa(public).into(),
        })))
    }

    /// The signature of a text in the form of the protocol.
    fn sign(&self, hash: Option<HashAlg>, text: &[u8]) -> Result<Vec<u8>, KeyError> {
        let (name, algorithm): (&str, &dyn ring::signature::RsaEncoding) = match hash {
            Some(HashAlg::Sha512) => ("rsa-sha2-512", &RSA_PKCS1_SHA512),
            _ => ("rsa-sha2-256", &RSA_PKCS1_SHA256),
        };
        let mut signature = vec![0; self.pair.public().modulus_len()];
        self.pair
            .sign(algorithm, &SystemRandom::new(), text, &mut signature)
            .map_err(|_| KeyError::Signature)?;
        let parts = [name.as_bytes(), &signature].map(with_length);
        Ok(with_length(&parts.concat()))
    }
}

fn with_length(bytes: &[u8]) -> Vec<u8> {
    let length = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
    [&length.to_be_bytes(), bytes].concat()
}

impl Signer for &RsaKey {
    type Error = KeyError;

    async fn auth_sign(
        &mut self,
        _key: &AgentIdentity,
        hash: Option<HashAlg>,
        mut text: Vec<u8>,
    ) -> Result<Vec<u8>, KeyError> {
        let signature = self.sign(hash, &text)?;
        text.extend_from_slice(&signature);
        Ok(text)
    }
}

/// A key of OpenSSH's own format, whose two shortcuts for the primes are not in it.
fn rsa_pair(pair: &RsaKeypair) -> Option<KeyPair> {
    let (public, private) = (pair.public(), pair.private());
    let bytes = |number: &Mpint| number.as_positive_bytes().map(<[u8]>::to_vec);
    let (d, p, q) = (
        bytes(private.d())?,
        bytes(private.p())?,
        bytes(private.q())?,
    );
    let shortcut = |prime: &[u8]| {
        let prime = BigUint::from_bytes_be(prime);
        let one = BigUint::from(1_u8);
        (prime > one).then(|| (BigUint::from_bytes_be(&d) % (prime - one)).to_bytes_be())
    };
    let components = KeyPairComponents {
        public_key: PublicKeyComponents {
            n: bytes(public.n())?,
            e: bytes(public.e())?,
        },
        dP: shortcut(&p)?,
        dQ: shortcut(&q)?,
        qInv: bytes(private.iqmp())?,
        d: d.clone(),
        p,
        q,
    };
    KeyPair::from_components(&components).ok()
}

/// The first block of PEM.
fn block(text: &str) -> Option<&str> {
    let begin = text.find("-----BEGIN ")?;
    let block = &text[begin..];
    let end = block.find("-----END ")? + "-----END ".len();
    let end = end + block[end..].find("-----")? + "-----".len();
    Some(&block[..end])
}

/// The public keys of servers in the lines of a text.
pub(super) fn host_keys(text: &str) -> Vec<PublicKey> {
    let keys = ssh_host_keys::host_keys(text).into_iter();
    keys.filter_map(|key| PublicKey::from_openssh(&key).ok())
        .collect()
}

/// A key as it is written in files, without a comment.
pub(super) fn written(key: &PublicKey) -> Result<String, ssh_key::Error> {
    PublicKey::from(key.key_data().clone()).to_openssh()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn host_keys_are_written_as_they_are_read() {
        let text =
            "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJCzT8pIHg3cX6qHwS0oXnXrNUMnbe/6p4b9zZQ0nD2u";
        let keys = host_keys(&format!("h {text} comment"));
        assert_eq!(keys.len(), 1);
        assert_eq!(written(&keys[0]).expect("a key"), text);
    }

    #[test]
    fn what_is_no_key_is_refused_without_a_word_of_it() {
        let refused = |text: &str| UserKey::parse(text).err();
        assert_eq!(refused("hush"), Some(KeyError::None));
        assert_eq!(refused("-----BEGIN hush"), Some(KeyError::None));
        let text = "-----BEGIN OPENSSH PRIVATE KEY-----\nhush\n-----END OPENSSH PRIVATE KEY-----";
        assert_eq!(refused(text), Some(KeyError::Refused));
        let text =
            "-----BEGIN ENCRYPTED PRIVATE KEY-----\nhush\n-----END ENCRYPTED PRIVATE KEY-----";
        assert_eq!(refused(text), Some(KeyError::Protected));
    }
}
