//! Repository URLs, which are written in many ways for one repository.

use crate::SshUrl;

/// A form in which two spellings of the same repository are equal: lower-case host without its default port, no
/// user, no trailing slash or `.git`, `git@host:path` as an ssh URL.
pub fn normalize(url: &str) -> String {
    let url = url.trim();
    match Parts::of(url) {
        Some(Parts {
            scheme,
            authority,
            path,
        }) => {
            let path = path.trim_end_matches('/');
            let path = path.strip_suffix(".git").unwrap_or(path);
            format!("{scheme}://{authority}{path}")
        }
        None => url.trim_end_matches('/').to_owned(),
    }
}

/// The URL under which the server is asked, and which identifies a repository here: as [`normalize`] gives it, but with
/// the path as it was written, because not every server finds `a.git` as `a`. It has no user, so that everyone who
/// names the repository gets the same answers.
pub fn connection_url(url: &str) -> String {
    let url = url.trim();
    match Parts::of(url) {
        Some(parts) if url.contains("://") => {
            let path = parts.path.trim_end_matches('/');
            if let Some(ssh) = SshUrl::parse(url) {
                // There the user is a part of the address.
                return format!("ssh://{}@{}{path}", ssh.user(), parts.authority);
            }
            format!("{}://{}{path}", parts.scheme, parts.authority)
        }
        _ => url.to_owned(),
    }
}

/// True for the address of a repository on a server: by https, http or ssh.
pub fn is_remote_repository(url: &str) -> bool {
    let url = url.trim();
    let by_http = |scheme: &str| {
        url.get(..scheme.len())
            .is_some_and(|start| start.eq_ignore_ascii_case(scheme))
    };
    by_http("https://") || by_http("http://") || SshUrl::parse(url).is_some()
}

/// True when a URL holds a password or token. Credentials belong in a Secret: those of a URL would be used for everyone
/// who names the repository, and would be visible to everyone who reads the Application.
pub fn has_password(url: &str) -> bool {
    let Some((_, rest)) = url.trim().split_once("://") else {
        return false;
    };
    let authority = rest.split('/').next().unwrap_or(rest);
    let user = authority.rsplit_once('@').map(|(user, _)| user);
    user.is_some_and(|user| user.contains(':') || user.to_ascii_lowercase().contains("%3a"))
}

struct Parts {
    scheme: String,
    /// Host and port, without a user.
    authority: String,
    /// With the leading slash, or empty.
    path: String,
}

impl Parts {
    fn of(url: &str) -> Option<Self> {
        let (scheme, rest) = if let Some((scheme, rest)) = url.split_once("://") {
            (scheme.to_ascii_lowercase(), rest.to_owned())
        } else {
            let (_, rest) = url.split_once('@')?;
            let (host, path) = rest.split_once(':')?;
            ("ssh".to_owned(), format!("{host}/{path}"))
        };
        let (authority, path) = match rest.split_once('/') {
            Some((authority, path)) => (authority, format!("/{path}")),
            None => (rest.as_str(), String::new()),
        };
        let host = authority.rsplit('@').next().unwrap_or(authority);
        let mut host = host.to_ascii_lowercase();
        let default_port = match scheme.as_str() {
            "https" => ":443",
            "http" => ":80",
            "ssh" => ":22",
            _ => "",
        };
        if !default_port.is_empty()
            && let Some(bare) = host.strip_suffix(default_port)
        {
            host = bare.to_owned();
        }
        // `host.` is the same host as `host`.
        let authority = host.strip_suffix('.').map_or(host.clone(), str::to_owned);
        Some(Self {
            scheme,
            authority,
            path,
        })
    }
}

/// What makes different programs read a URL in different ways, or climb in its path; `None` when there is nothing
/// of the kind. Rules about URLs hold only for those that every reader understands alike.
pub fn ambiguity(url: &str) -> Option<&'static str> {
    let url = url.trim();
    if url
        .chars()
        .any(|c| c.is_whitespace() || c.is_control() || matches!(c, '\\' | '?' | '#'))
    {
        return Some("must not contain blanks, control characters, a backslash, ? or #");
    }
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
    if authority.matches('@').count() > 1 || authority.contains('%') {
        return Some("must have a plain host name");
    }
    let climbs = path.split('/').any(|part| {
        let plain = part.to_ascii_lowercase().replace("%2e", ".");
        plain == "." || plain == ".." || plain.contains("%2f") || plain.contains("%5c")
    });
    climbs.then_some("must not contain the path segments . and ..")
}

/// The spellings of a URL that rules about URLs are asked about: with and without `.git`, escapes decoded and slashes
/// that stand together as one, because servers do not tell these apart. `None` when it has no certain meaning; then no
/// rule may allow it.
pub fn rule_spellings(url: &str) -> Option<[String; 2]> {
    if ambiguity(url).is_some() {
        return None;
    }
    let decoded = decode(&collapse(&normalize(url)), |_| false)?;
    // What was behind an escape is checked again; a blank is the only thing that has to be behind one.
    if ambiguity(&decoded.replace(' ', "")).is_some() || decoded.contains('%') {
        return None;
    }
    let plain = normalize(&collapse(&decoded));
    let git = format!("{plain}.git");
    Some([plain, git])
}

/// The pattern of a rule in the form of [`rule_spellings`].
pub fn rule_pattern(pattern: &str) -> String {
    let pattern = collapse(&normalize(pattern));
    // An escape that would become a part of the pattern's own language is kept from doing so.
    decode(&pattern, |c| "*?[]{}\\,!^-".contains(c)).unwrap_or(pattern)
}

/// One slash for several, but for those behind a scheme.
fn collapse(url: &str) -> String {
    let mut short = String::with_capacity(url.len());
    for c in url.chars() {
        let is_repeated = c == '/' && short.ends_with('/') && !short.ends_with(":/");
        if !is_repeated {
            short.push(c);
        }
    }
    short
}

/// The text with its escapes decoded; a backslash stands before those that `quoted` names. `None` when they are not
/// UTF-8 or not complete.
fn decode(text: &str, quoted: impl Fn(char) -> bool) -> Option<String> {
    let mut decoded = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('%') {
        decoded.push_str(&rest[..at]);
        rest = &rest[at..];
        let mut bytes = Vec::new();
        while let Some(escape) = rest.strip_prefix('%') {
            let byte = u8::from_str_radix(escape.get(..2)?, 16).ok()?;
            bytes.push(byte);
            rest = &escape[2..];
        }
        for c in String::from_utf8(bytes).ok()?.chars() {
            if quoted(c) {
                decoded.push('\\');
            }
            decoded.push(c);
        }
    }
    decoded.push_str(rest);
    Some(decoded)
}

/// True when a template for `prefix` is one for `url`: the same scheme, host and port, and whole path segments.
pub fn covers(prefix: &str, url: &str) -> bool {
    if ambiguity(url).is_some() {
        return false;
    }
    let (Some(prefix), Some(url)) = (Parts::of(&normalize(prefix)), Parts::of(&normalize(url)))
    else {
        return false;
    };
    let segments = |path: &str| -> Vec<String> {
        path.split('/')
            .filter(|part| !part.is_empty())
            .map(str::to_owned)
            .collect()
    };
    prefix.scheme == url.scheme
        && prefix.authority == url.authority
        && segments(&url.path).starts_with(&segments(&prefix.path))
}

/// The host that a URL leads to, whatever the port; empty for a file.
pub fn host(url: &str) -> String {
    let authority = Parts::of(&normalize(url)).map(|parts| parts.authority);
    let authority = authority.unwrap_or_default();
    match authority.rsplit_once(':') {
        Some((host, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => host.to_owned(),
        _ => authority,
    }
}

/// True when both URLs lead to the same server by the same protocol.
pub fn same_authority(one: &str, other: &str) -> bool {
    if ambiguity(other).is_some() {
        return false;
    }
    match (Parts::of(one.trim()), Parts::of(other.trim())) {
        (Some(one), Some(other)) => one.scheme == other.scheme && one.authority == other.authority,
        _ => false,
    }
}

/// Host and path only, by which the payload of a webhook is matched whatever the scheme is.
pub fn host_and_path(url: &str) -> String {
    let normal = normalize(url);
    normal
        .split_once("://")
        .map_or(normal.clone(), |(_, rest)| rest.to_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spellings_of_one_repository_are_equal() {
        let plain = normalize("https://git.example.com/a/b");
        for other in [
            "https://Git.example.com/a/b.git",
            "https://u:p@git.example.com/a/b/",
            " https://git.example.com/a/b",
            "https://git.example.com:443/a/b",
            "https://git.example.com./a/b",
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
    fn a_connection_has_one_spelling_without_a_user() {
        for (url, expected) in [
            (
                "https://u@Git.example.com:443/A/b.git/",
                "https://git.example.com/A/b.git",
            ),
            ("https://git.example.com./a", "https://git.example.com/a"),
            ("HTTPS://git.example.com", "https://git.example.com"),
            ("file:///tmp/A.git", "file:///tmp/A.git"),
            (
                "ssh://me@Git.example.com:22/A",
                "ssh://me@git.example.com/A",
            ),
            ("git@git.example.com:a", "git@git.example.com:a"),
            ("/tmp/a", "/tmp/a"),
        ] {
            assert_eq!(connection_url(url), expected, "{url}");
        }
    }

    #[test]
    fn passwords_in_urls_are_seen() {
        for url in [
            "https://u:p@h/a",
            "https://:p@h/a",
            "https://u%3Ap@h/a",
            " http://u:@h",
        ] {
            assert!(has_password(url), "{url}");
        }
        for url in [
            "https://u@h/a",
            "https://h:8443/a:b@c",
            "git@h:a/b",
            "https://h/a",
        ] {
            assert!(!has_password(url), "{url}");
        }
    }

    #[test]
    fn a_prefix_covers_whole_hosts_and_segments() {
        for (prefix, url) in [
            ("https://git.example.com/", "https://git.example.com/x.git"),
            ("https://git.example.com", "https://GIT.example.com:443/x"),
            (
                "https://git.example.com/org",
                "https://git.example.com/org/x",
            ),
            (
                "https://git.example.com/org/",
                "https://git.example.com/org",
            ),
            ("git@git.example.com:org", "git@git.example.com:org/x.git"),
        ] {
            assert!(covers(prefix, url), "{prefix} {url}");
        }
        for (prefix, url) in [
            (
                "https://git.example.com/",
                "https://git.example.com.evil.org/x",
            ),
            ("https://git.example.com/", "https://git.example.com:8443/x"),
            ("https://git.example.com/", "http://git.example.com/x"),
            (
                "https://git.example.com/org",
                "https://git.example.com/organisation/x",
            ),
            (
                "https://git.example.com/org",
                "https://git.example.com/org/../evil/x",
            ),
            (
                "https://git.example.com/org",
                "https://git.example.com/org/%2e%2E/evil/x",
            ),
            (
                "https://git.example.com/",
                "https://git.example.com@evil.org/x",
            ),
            (
                "https://git.example.com/",
                "https://evil.org\\@git.example.com/x",
            ),
            (
                "https://git.example.com/",
                "https://evil.org?@git.example.com/x",
            ),
        ] {
            assert!(!covers(prefix, url), "{prefix} {url}");
        }
    }
}
