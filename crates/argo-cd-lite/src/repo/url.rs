//! Repository URLs, which are written in many ways for one repository.

/// A form in which two spellings of the same repository are equal: lower-case host, no user, no trailing
/// slash or `.git`, `git@host:path` as an ssh URL.
pub fn normalize(url: &str) -> String {
    let url = url.trim();
    let (scheme, rest) = match url.split_once("://") {
        Some((scheme, rest)) => (scheme.to_ascii_lowercase(), rest.to_owned()),
        None => match url
            .split_once('@')
            .and_then(|(_, rest)| rest.split_once(':'))
        {
            Some((host, path)) => ("ssh".to_owned(), format!("{host}/{path}")),
            None => return url.trim_end_matches('/').to_owned(),
        },
    };
    let (authority, path) = match rest.split_once('/') {
        Some((authority, path)) => (authority, format!("/{path}")),
        None => (rest.as_str(), String::new()),
    };
    let host = authority
        .rsplit('@')
        .next()
        .unwrap_or(authority)
        .to_ascii_lowercase();
    let path = path.trim_end_matches('/');
    let path = path.strip_suffix(".git").unwrap_or(path);
    format!("{scheme}://{host}{path}")
}

/// Host and path only, by which the payload of a webhook is matched whatever the scheme is.
pub fn host_and_path(url: &str) -> String {
    let normal = normalize(url);
    normal
        .split_once("://")
        .map_or(normal.clone(), |(_, rest)| rest.to_lowercase())
}

/// `text` without user and password in any URL it quotes; errors of transports like to repeat them.
pub(super) fn redact(text: &str) -> String {
    let mut clean = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find("://") {
        let (before, after) = rest.split_at(at + 3);
        clean.push_str(before);
        let end = after.find(['/', ' ', '"', '\'']).unwrap_or(after.len());
        let authority = &after[..end];
        clean.push_str(authority.rsplit('@').next().unwrap_or(authority));
        rest = &after[end..];
    }
    clean.push_str(rest);
    clean
}

#[cfg(test)]
mod tests {
    use super::{normalize, redact};

    #[test]
    fn spellings_of_one_repository_are_equal() {
        let plain = normalize("https://git.example.com/a/b");
        for other in [
            "https://Git.example.com/a/b.git",
            "https://u:p@git.example.com/a/b/",
            " https://git.example.com/a/b",
        ] {
            assert_eq!(normalize(other), plain, "{other}");
        }
        assert_eq!(
            normalize("git@git.example.com:a/b.git"),
            "ssh://git.example.com/a/b"
        );
        assert_eq!(normalize("file:///tmp/a.git"), "file:///tmp/a");
    }

    #[test]
    fn credentials_never_show() {
        assert_eq!(
            redact("cannot read \"https://u:secret@host/p\": refused by https://x@h"),
            "cannot read \"https://host/p\": refused by https://h"
        );
    }
}
