//! Removes credentials from texts that leave the process: status, Events and log.
//!
//! Every text that a provider returns goes through [`Redactor::redact`] whole, before it is shortened: a
//! cut in the middle of a secret would leave its first half.

use std::fmt::Write as _;

use parking_lot::Mutex;
use secrecy::{ExposeSecret, SecretString};

/// Replaces a secret.
const REDACTED: &str = "*****";
/// Lines of a secret that are at least this long are secrets of their own: servers reformat keys.
const SHORTEST_LINE: usize = 8;

/// The secrets of one measurement, in every spelling that a server may send them back in.
#[derive(Debug, Default)]
pub(super) struct Redactor(Mutex<Vec<SecretString>>);

impl Redactor {
    /// Adds a secret with its usual encodings. Tokens that a login gives are added while measuring.
    pub(super) fn add(&self, secret: &str) {
        let mut found = Vec::new();
        let whole = [secret, secret.trim()];
        let lines = secret
            .lines()
            .map(str::trim)
            .filter(|line| line.len() >= SHORTEST_LINE);
        for part in whole.into_iter().chain(lines) {
            found.extend(spellings(part));
        }
        let mut known = self.0.lock();
        for text in found {
            let is_new = known.iter().all(|old| old.expose_secret() != text);
            if is_new && !text.is_empty() {
                known.push(SecretString::from(text));
            }
        }
        // A secret that contains another one is replaced first, so that nothing of it remains.
        known.sort_by_key(|secret| std::cmp::Reverse(secret.expose_secret().len()));
    }

    /// Adds a user name and password, also as they are sent in a header.
    pub(super) fn add_login(&self, name: &str, password: &str) {
        if password.is_empty() {
            return;
        }
        self.add(password);
        self.add(&base64(&format!("{name}:{password}")));
    }

    /// `text` without secrets.
    pub(super) fn redact(&self, mut text: String) -> String {
        for secret in &*self.0.lock() {
            if text.contains(secret.expose_secret()) {
                text = text.replace(secret.expose_secret(), REDACTED);
            }
        }
        text
    }
}

fn spellings(secret: &str) -> [String; 6] {
    let quoted = serde_json::to_string(secret).unwrap_or_default();
    let in_json = quoted
        .strip_prefix('"')
        .and_then(|text| text.strip_suffix('"'))
        .unwrap_or_default();
    let in_path = percent(secret, "%20");
    [
        secret.to_owned(),
        in_json.to_owned(),
        lower_escapes(&in_path),
        percent(secret, "+"),
        in_path,
        base64(secret),
    ]
}

fn base64(text: &str) -> String {
    expressions::go_text::base64_standard(text.as_bytes())
}

fn percent(text: &str, space: &str) -> String {
    let mut encoded = String::new();
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => {
                encoded.push(char::from(byte));
            }
            b' ' => encoded.push_str(space),
            // Writing into a text cannot fail.
            other => drop(write!(encoded, "%{other:02X}")),
        }
    }
    encoded
}

fn lower_escapes(encoded: &str) -> String {
    let mut escaped = 0_u8;
    let lowered = encoded.chars().map(|char| {
        if char == '%' {
            escaped = 2;
            return char;
        }
        let in_escape = escaped > 0;
        escaped = escaped.saturating_sub(1);
        if in_escape {
            char.to_ascii_lowercase()
        } else {
            char
        }
    });
    lowered.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_found_in_every_spelling() {
        let redactor = Redactor::default();
        redactor.add("pass \"word\"/1\n");
        redactor.add_login("me", "hunter2");
        for (text, redacted) in [
            ("a pass \"word\"/1\n b", "a ***** b"),
            ("a pass \"word\"/1 b", "a ***** b"),
            (r#"{"x":"pass \"word\"/1"}"#, r#"{"x":"*****"}"#),
            ("/?x=pass%20%22word%22%2F1", "/?x=*****"),
            ("/?x=pass+%22word%22%2F1&y", "/?x=*****&y"),
            ("/?x=pass%20%22word%22%2f1", "/?x=*****"),
            ("hunter2", "*****"),
            ("aHVudGVyMg==", "*****"),
            ("Basic bWU6aHVudGVyMg==", "Basic *****"),
            ("nothing", "nothing"),
        ] {
            assert_eq!(redactor.redact(text.to_owned()), redacted, "{text}");
        }
    }

    #[test]
    fn an_empty_secret_changes_nothing() {
        let redactor = Redactor::default();
        redactor.add("");
        redactor.add(" \n");
        assert_eq!(redactor.redact("a b".to_owned()), "a b");
    }
}
