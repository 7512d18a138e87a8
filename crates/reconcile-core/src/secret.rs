//! Secret texts that do not print and are compared in constant time.

use secrecy::{ExposeSecret, SecretString};
use subtle::ConstantTimeEq;

/// A password, a token or a private key.
#[derive(Clone, Debug)]
pub struct Secret(SecretString);

impl Secret {
    /// The text.
    pub fn expose(&self) -> &str {
        self.0.expose_secret()
    }

    /// True for the empty text.
    pub fn is_empty(&self) -> bool {
        self.expose().is_empty()
    }

    /// Whether `given` is the secret. The time that the answer takes shows the length of the secret at most.
    pub fn is(&self, given: &str) -> bool {
        self.expose().as_bytes().ct_eq(given.as_bytes()).into()
    }
}

impl From<SecretString> for Secret {
    fn from(text: SecretString) -> Self {
        Self(text)
    }
}

impl From<String> for Secret {
    fn from(text: String) -> Self {
        Self(text.into())
    }
}

impl From<&str> for Secret {
    fn from(text: &str) -> Self {
        Self(text.into())
    }
}

impl PartialEq for Secret {
    fn eq(&self, other: &Self) -> bool {
        self.is(other.expose())
    }
}

impl Eq for Secret {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_compared_and_does_not_print() {
        let secret = Secret::from("hush");
        assert!(secret.is("hush") && !secret.is("hus") && !secret.is("husk") && !secret.is(""));
        assert!(!format!("{secret:?}").contains("hush"));
    }
}
