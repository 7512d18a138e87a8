//! Texts without the credentials of URLs.

/// What is printed in place of user and password.
const HIDDEN: &str = "*****@";

/// `text` with the user and password of each `scheme://user:password@host` hidden.
///
/// Everything between `://` and the last `@` of the same word may be a password, because some clients accept `/`, `@`
/// and `:` in it unescaped. A URL without credentials and with an `@` in its path therefore loses its host.
pub fn redact_urls(text: &str) -> String {
    let mut clean = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find("://") {
        let (before, after) = rest.split_at(at + "://".len());
        clean.push_str(before);
        let end = after.find(char::is_whitespace).unwrap_or(after.len());
        let (word, next) = after.split_at(end);
        match word.rsplit_once('@') {
            Some((_, host)) => {
                clean.push_str(HIDDEN);
                clean.push_str(host);
            }
            None => clean.push_str(word),
        }
        rest = next;
    }
    clean.push_str(rest);
    clean
}

/// One URL with its user and password hidden. The URL may be malformed; `user@host:path`, as SSH writes it, is kept.
pub fn redact_url(url: &str) -> String {
    let (scheme, host) = split_credentials(url);
    let user = &url[scheme.len()..url.len() - host.len()];
    if user.is_empty() || scheme.is_empty() && !user.contains([':', '/']) {
        url.to_owned()
    } else {
        format!("{scheme}{HIDDEN}{host}")
    }
}

/// The scheme of a URL with its `://`, and what follows the credentials.
pub fn split_credentials(url: &str) -> (&str, &str) {
    let begin = url.find("://").map_or(0, |at| at + "://".len());
    let (scheme, rest) = url.split_at(begin);
    (scheme, rest.rsplit_once('@').map_or(rest, |(_, host)| host))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_are_hidden_in_texts() {
        for (text, expected) in [
            (
                "cannot read \"https://u:secret@host/p\": refused by https://x@h",
                "cannot read \"https://*****@host/p\": refused by https://*****@h",
            ),
            ("https://u:sec/ret@host/p", "https://*****@host/p"),
            ("https://u:s@cr@et@host/p", "https://*****@host/p"),
            ("https://u:s@c/r@et@host: 403", "https://*****@host: 403"),
            ("https://u:secret://x@host/p", "https://*****@host/p"),
            ("https://host:8443/p?x=1", "https://host:8443/p?x=1"),
            ("git@host:a/b.git", "git@host:a/b.git"),
            ("mail ann@example.com", "mail ann@example.com"),
            ("see https://host, not a@b", "see https://host, not a@b"),
        ] {
            assert_eq!(redact_urls(text), expected);
        }
    }

    #[test]
    fn credentials_are_hidden_in_malformed_urls() {
        for (url, expected) in [
            ("nats://ann:hush@a b", "nats://*****@a b"),
            ("nats://ann:hu sh@a", "nats://*****@a"),
            ("ann:hu@sh@bus:4222", "*****@bus:4222"),
            ("nats://ann:hu/sh@bus", "nats://*****@bus"),
            ("bus:4222", "bus:4222"),
            ("git@host:a/b.git", "git@host:a/b.git"),
            ("https://u:pa ss/x@host/p", "https://*****@host/p"),
            ("nats://bus", "nats://bus"),
        ] {
            assert_eq!(redact_url(url), expected);
        }
        assert_eq!(split_credentials("tls://t@bus"), ("tls://", "bus"));
    }
}
