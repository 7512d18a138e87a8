//! URLs of repositories that are reached over ssh.

/// Port of ssh.
const PORT: u16 = 22;
/// The user of Git hosts.
const USER: &str = "git";

/// `ssh://[user@]host[:port]/path` or `user@host:path`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SshUrl {
    user: Option<String>,
    /// Name or address, without brackets.
    pub host: String,
    /// 22 when the URL has none.
    pub port: u16,
    /// The path as the server's `git-upload-pack` gets it.
    pub path: String,
}

impl SshUrl {
    /// Reads a URL; `None` when it is not one of ssh, or has a part that a shell or a program could take for something
    /// else.
    pub fn parse(url: &str) -> Option<Self> {
        let url = url.trim();
        let (authority, path) = match url.split_once("://") {
            Some((scheme, rest)) if scheme.eq_ignore_ascii_case("ssh") => {
                let (authority, path) = rest.split_once('/')?;
                // `/~/a` is below the home of the user, as Git has it.
                let path = match path.strip_prefix('~') {
                    Some(_) => path.to_owned(),
                    None => format!("/{path}"),
                };
                (authority, path)
            }
            Some(_) => return None,
            None => {
                let (authority, path) = url.split_once(':')?;
                if !authority.contains('@') || authority.contains('/') {
                    return None;
                }
                (authority, path.to_owned())
            }
        };
        let is_short = !url.contains("://");
        let (user, host) = match authority.split_once('@') {
            Some((user, host)) => (Some(user), host),
            None => (None, authority),
        };
        let (host, port) = match host.rsplit_once(':') {
            Some((name, port)) if !is_short && !port.contains(']') => (name, port.parse().ok()?),
            _ => (host, PORT),
        };
        let host = host
            .strip_prefix('[')
            .and_then(|host| host.strip_suffix(']'))
            .unwrap_or(host)
            .to_ascii_lowercase();
        let fine = is_word(&host, ":") && user.is_none_or(|user| is_word(user, ""));
        let path_is_fine = !path.is_empty()
            && path != "/"
            && !path.starts_with('-')
            && !path.chars().any(char::is_control);
        (fine && path_is_fine).then(|| Self {
            user: user.map(str::to_owned),
            host,
            port,
            path,
        })
    }

    /// The user to log in as.
    pub fn user(&self) -> &str {
        self.user.as_deref().unwrap_or(USER)
    }

    /// The name of the server in lists of known hosts.
    pub fn known_as(&self) -> String {
        if self.port == PORT {
            self.host.clone()
        } else {
            format!("[{}]:{}", self.host, self.port)
        }
    }

    /// The path as one word of a shell.
    pub fn quoted_path(&self) -> String {
        let quoted = self.path.replace('\'', "'\\''").replace('!', "'\\!'");
        format!("'{quoted}'")
    }
}

/// True for a word that no program takes for an option.
fn is_word(text: &str, more: &str) -> bool {
    !text.is_empty()
        && !text.starts_with('-')
        && text
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || ".-_".contains(c) || more.contains(c))
}

#[cfg(test)]
mod tests {
    use super::SshUrl;

    #[test]
    fn both_forms_are_read() {
        for (url, expected) in [
            (
                "git@Git.example.com:a/b.git",
                "git git.example.com 22 a/b.git",
            ),
            (
                "ssh://git@git.example.com/a/b",
                "git git.example.com 22 /a/b",
            ),
            (
                "ssh://git.example.com:2222/a",
                "git git.example.com 2222 /a",
            ),
            ("ssh://me@[::1]:2222/~/a", "me ::1 2222 ~/a"),
        ] {
            let read = SshUrl::parse(url).expect(url);
            let found = format!("{} {} {} {}", read.user(), read.host, read.port, read.path);
            assert_eq!(found, expected, "{url}");
        }
    }

    #[test]
    fn what_a_program_could_take_for_something_else_is_no_url() {
        for url in [
            "/tmp/a",
            "file:///tmp/a",
            "https://git@git.example.com/a",
            "git.example.com:a",
            "./a@b:c",
            "git@-oProxyCommand=x:a",
            "-l@git.example.com:a",
            "ssh://-oProxyCommand=x/a",
            "ssh://git@host$(id)/a",
            "ssh://git@host:x/a",
            "ssh://git@host",
            "git@host:-a",
            "git@host:",
            "ssh://u:p@host/a",
        ] {
            assert_eq!(SshUrl::parse(url), None, "{url}");
        }
    }

    #[test]
    fn known_hosts_and_shells_get_what_they_read() {
        let url = SshUrl::parse("ssh://git@h:2222/a'b").expect("a URL");
        assert_eq!(url.known_as(), "[h]:2222");
        assert_eq!(url.quoted_path(), r"'/a'\''b'");
    }
}
