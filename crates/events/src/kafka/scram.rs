//! SCRAM (RFC 5802): a login that sends no password, and in which the broker shows that it knows it too.

use std::num::NonZeroU32;

use base64::prelude::{BASE64_STANDARD, Engine as _};
use ring::{digest, hmac, pbkdf2};

/// Rounds that a broker may ask for; more of them only burn time.
const MOST_ROUNDS: u32 = 100_000;
/// No channel is bound: `n,,`.
const UNBOUND: &str = "biws";

/// A mechanism.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Hash {
    Sha256,
    Sha512,
}

impl Hash {
    /// The mechanism in SASL.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Sha256 => "SCRAM-SHA-256",
            Self::Sha512 => "SCRAM-SHA-512",
        }
    }

    fn hmac(self) -> hmac::Algorithm {
        match self {
            Self::Sha256 => hmac::HMAC_SHA256,
            Self::Sha512 => hmac::HMAC_SHA512,
        }
    }

    fn digest(self) -> &'static digest::Algorithm {
        match self {
            Self::Sha256 => &digest::SHA256,
            Self::Sha512 => &digest::SHA512,
        }
    }

    fn salted(self, password: &str, salt: &[u8], rounds: NonZeroU32) -> Vec<u8> {
        let algorithm = match self {
            Self::Sha256 => pbkdf2::PBKDF2_HMAC_SHA256,
            Self::Sha512 => pbkdf2::PBKDF2_HMAC_SHA512,
        };
        let mut key = vec![0; self.digest().output_len()];
        pbkdf2::derive(algorithm, rounds, salt, password.as_bytes(), &mut key);
        key
    }

    fn sign(self, key: &[u8], text: &str) -> hmac::Tag {
        hmac::sign(&hmac::Key::new(self.hmac(), key), text.as_bytes())
    }
}

/// A login that began.
pub(crate) struct Scram<'p> {
    hash: Hash,
    password: &'p str,
    nonce: String,
    first: String,
}

/// What the broker has to answer in the end.
pub(crate) struct Expected(String);

impl<'p> Scram<'p> {
    pub(crate) fn new(hash: Hash, username: &str, password: &'p str, nonce: &str) -> Self {
        let username = username.replace('=', "=3D").replace(',', "=2C");
        Self {
            hash,
            password,
            nonce: nonce.to_owned(),
            first: format!("n={username},r={nonce}"),
        }
    }

    /// The first message.
    pub(crate) fn first(&self) -> String {
        format!("n,,{}", self.first)
    }

    /// The answer to the challenge of the broker; `None` when that is none.
    pub(crate) fn answer(&self, challenge: &str) -> Option<(String, Expected)> {
        let field = |name: &str| {
            challenge
                .split(',')
                .find_map(|part| part.strip_prefix(name))
        };
        let nonce = field("r=").filter(|nonce| nonce.starts_with(&self.nonce))?;
        let salt = BASE64_STANDARD.decode(field("s=")?).ok()?;
        let rounds: u32 = field("i=")?.parse().ok()?;
        let rounds = NonZeroU32::new(rounds).filter(|rounds| rounds.get() <= MOST_ROUNDS)?;
        let salted = self.hash.salted(self.password, &salt, rounds);
        let client = self.hash.sign(&salted, "Client Key");
        let stored = digest::digest(self.hash.digest(), client.as_ref());
        let unproven = format!("c={UNBOUND},r={nonce}");
        let all = format!("{},{challenge},{unproven}", self.first);
        let signature = self.hash.sign(stored.as_ref(), &all);
        let bytes = client.as_ref().iter().zip(signature.as_ref());
        let proof: Vec<u8> = bytes.map(|(a, b)| a ^ b).collect();
        let server = self.hash.sign(&salted, "Server Key");
        let expected = self.hash.sign(server.as_ref(), &all);
        let answer = format!("{unproven},p={}", BASE64_STANDARD.encode(proof));
        let expected = Expected(format!("v={}", BASE64_STANDARD.encode(expected)));
        Some((answer, expected))
    }
}

impl Expected {
    /// Whether the broker knows the password.
    pub(crate) fn is(&self, answer: &str) -> bool {
        answer.split(',').any(|part| part == self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The exchange of RFC 7677.
    #[test]
    fn the_exchange_of_the_standard_is_made() {
        let scram = Scram::new(Hash::Sha256, "user", "pencil", "rOprNGfwEbeRWgbNEkqO");
        assert_eq!(scram.first(), "n,,n=user,r=rOprNGfwEbeRWgbNEkqO");
        let challenge = "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096";
        let (answer, expected) = scram.answer(challenge).expect("a challenge");
        assert_eq!(
            answer,
            "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ="
        );
        assert!(expected.is("v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4="));
        assert!(!expected.is("v=AAAA"));
        assert!(scram.answer("r=other,s=AAAA,i=4096").is_none());
        assert!(
            scram
                .answer("r=rOprNGfwEbeRWgbNEkqOx,s=AAAA,i=100000000")
                .is_none()
        );
    }
}
