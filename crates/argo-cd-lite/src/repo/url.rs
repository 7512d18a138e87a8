//! Repository URLs, which are written in many ways for one repository.

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

/// True when a template for `prefix` is one for `url`: the same scheme, host and port, and whole path segments.
pub(super) fn covers(prefix: &str, url: &str) -> bool {
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

/// True when both URLs lead to the same server by the same protocol.
pub(super) fn same_authority(one: &str, other: &str) -> bool {
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
