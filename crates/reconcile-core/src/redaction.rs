//! Removes credentials from texts that leave the process: status, Events and log.
//!
//! Every text that a foreign server returns goes through [`Redactor::redact`] whole, before it is shortened: a
//! cut in the middle of a secret would leave its first half.

use std::{fmt::Write as _, sync::Arc};

use base64::{Engine, prelude::BASE64_STANDARD};
use parking_lot::Mutex;
use secrecy::{ExposeSecret, SecretString};

use crate::secret::Secret;

/// Replaces a secret.
const REDACTED: &str = "*****";
/// Characters of an answer that a message quotes.
const LONGEST_EXCERPT: usize = 200;
/// Lines of a secret that are at least this long are secrets of their own: servers reformat keys.
const SHORTEST_LINE: usize = 8;

/// The secrets of one exchange, in every spelling that a server may send them back in. Cloning shares them.
#[derive(Clone, Debug, Default)]
pub struct Redactor(Arc<Mutex<Vec<SecretString>>>);

impl Redactor {
    /// Hides these secrets.
    pub fn of(secrets: &[Secret]) -> Self {
        let redactor = Self::default();
        for secret in secrets {
            redactor.add(secret.expose());
        }
        redactor
    }

    /// Adds a secret with its usual encodings. Tokens that a login gives are added while measuring.
    pub fn add(&self, secret: &str) {
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

    /// Adds a user name and password, also as they are sent in a header of HTTP, and to a mail server.
    pub fn add_login(&self, name: &str, password: &str) {
        if password.is_empty() {
            return;
        }
        self.add(password);
        self.add(&base64(&format!("{name}:{password}")));
        self.add(&base64(&format!("\0{name}\0{password}")));
    }

    /// `text` without secrets.
    pub fn redact(&self, mut text: String) -> String {
        for secret in &*self.0.lock() {
            if text.contains(secret.expose_secret()) {
                text = text.replace(secret.expose_secret(), REDACTED);
            }
        }
        text
    }

    /// The beginning of a foreign text on one line, for a message: redacted whole, then shortened.
    pub fn excerpt(&self, text: &[u8]) -> String {
        let text = self.redact(String::from_utf8_lossy(text).into_owned());
        // Far more than is kept, so that runs of white space do not use it up.
        let start: String = text.chars().take(10 * LONGEST_EXCERPT).collect();
        shortened(on_one_line(&start), LONGEST_EXCERPT)
    }
}

/// `text` with every run of white space as one space. Only for redacted texts: a secret may have white space.
pub fn on_one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// At most `longest` characters of `text`. Only for redacted texts.
pub fn shortened(text: String, longest: usize) -> String {
    match text.char_indices().nth(longest) {
        None => text,
        Some((end, _)) => format!("{}...", &text[..end]),
    }
}

fn spellings(secret: &str) -> [String; 8] {
    let quoted = serde_json::to_string(secret).unwrap_or_default();
    let in_json = quoted
        .strip_prefix('"')
        .and_then(|text| text.strip_suffix('"'))
        .unwrap_or_default();
    let in_path = percent(secret, "%20");
    [
        secret.to_owned(),
        in_json.to_owned(),
        go_json(in_json),
        html(secret),
        lower_escapes(&in_path),
        percent(secret, "+"),
        in_path,
        base64(secret),
    ]
}

/// JSON as Go's encoder writes it: safe to be part of a page.
fn go_json(in_json: &str) -> String {
    in_json
        .replace('<', r"\u003c")
        .replace('>', r"\u003e")
        .replace('&', r"\u0026")
}

/// Text in a page, as Go's templates escape it.
fn html(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&#34;")
        .replace('\'', "&#39;")
}

fn base64(text: &str) -> String {
    BASE64_STANDARD.encode(text)
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
            ("AUTH PLAIN AG1lAGh1bnRlcjI=", "AUTH PLAIN *****"),
            ("nothing", "nothing"),
        ] {
            assert_eq!(redactor.redact(text.to_owned()), redacted, "{text}");
        }
    }

    #[test]
    fn escapes_of_pages_and_of_go_hide_no_secret() {
        let redactor = Redactor::default();
        redactor.add("a<b>&'c\"d");
        for text in [
            r#"{"x":"a\u003cb\u003e\u0026'c\"d"}"#,
            "<p>a&lt;b&gt;&amp;&#39;c&#34;d</p>",
        ] {
            let redacted = redactor.redact(text.to_owned());
            assert!(redacted.contains("*****"), "{redacted}");
        }
    }

    #[test]
    fn a_secret_across_the_end_of_an_excerpt_is_hidden_whole() {
        let redactor = Redactor::default();
        redactor.add("hunter2 of  \n the forest");
        for before in LONGEST_EXCERPT - 30..=LONGEST_EXCERPT + 1 {
            let text = format!("{}hunter2 of  \n the forest", "x".repeat(before));
            let shown = redactor.excerpt(text.as_bytes());
            assert!(!shown.contains('h'), "{shown}");
        }
        assert_eq!(redactor.excerpt(b" a \n\n b "), "a b");
    }

    #[test]
    fn an_empty_secret_changes_nothing() {
        let redactor = Redactor::default();
        redactor.add("");
        redactor.add(" \n");
        assert_eq!(redactor.redact("a b".to_owned()), "a b");
    }
}
