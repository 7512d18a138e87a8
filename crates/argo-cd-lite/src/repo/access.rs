//! Which repositories a process may talk to at all, whoever names them.

use git_fetch::SshUrl;

use super::RepoHub;

/// Whether repositories on the machine of the process are accepted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum FileRepositories {
    /// Only those of servers, by http, https and ssh: with others a tenant reads files of the controller.
    #[default]
    Refuse,
    /// `file://` too, for tests and machines without tenants.
    Allow,
}

impl FileRepositories {
    /// From `--allow-file-repositories`.
    pub fn from_flag(allow: bool) -> Self {
        if allow { Self::Allow } else { Self::Refuse }
    }

    /// True when a repository with this URL may be read. A URL of any other scheme can name a local file, too.
    pub(super) fn permit(self, url: &str) -> bool {
        let is_remote = ["http://", "https://"]
            .iter()
            .any(|scheme| url.starts_with(scheme));
        is_remote || SshUrl::parse(url).is_some() || self == Self::Allow
    }
}

impl RepoHub {
    /// Whether the credentials that open a repository serve a project. What they opened is closed to the others.
    pub fn serves(&self, url: &str, project: &str) -> bool {
        self.transfers().credentials().serve(url, project)
    }
}
