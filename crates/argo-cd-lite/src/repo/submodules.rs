//! Submodules of a commit: other repositories at fixed commits, each read with the credentials of its own URL.

use std::{collections::HashMap, sync::Arc};

use git_fetch::FetchError;
use parking_lot::Mutex;
use reconcile_core::credentials::redact_url;

use super::{
    Commit, GitError, NodeKind, RepoError, RepoHub, Resolved, commit::Submodules, error::exceeds,
};

/// The file that names them.
const FILE: &str = ".gitmodules";
/// Bytes of that file.
const MAX_BYTES: u64 = 1024 * 1024;
/// Submodules of a commit, those of submodules included.
const MAX_SUBMODULES: usize = 50;
/// Submodules in submodules.
const MAX_DEPTH: usize = 5;
/// Commits whose list is kept.
const MAX_KNOWN: usize = 1000;

/// A submodule as its commit names it.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Submodule {
    path: String,
    /// Relative to the URL of the parent when it begins with `./` or `../`.
    url: String,
    /// The commit.
    commit: String,
}

/// Lists of submodules by commit: a commit never changes.
#[derive(Default)]
pub(super) struct KnownSubmodules(Mutex<HashMap<String, Arc<Vec<Submodule>>>>);

impl RepoHub {
    /// The commit with its submodules, as far as `permit` allows their repositories. One that is not there is an error of
    /// whoever reads below its path.
    pub async fn with_submodules(
        &self,
        url: &str,
        commit: Commit,
        permit: &(dyn Fn(&str) -> bool + Sync),
    ) -> Result<Commit, RepoError> {
        let mut found = Submodules::new();
        let mut pending = vec![(url.to_owned(), commit.clone(), 0)];
        while let Some((parent, at, depth)) = pending.pop() {
            for wanted in self.listed(&at).await?.iter() {
                if found.contains_key(&wanted.commit) {
                    continue;
                }
                if found.len() >= MAX_SUBMODULES || depth >= MAX_DEPTH {
                    return Err(exceeds("submodules", MAX_SUBMODULES as u64).into());
                }
                let url = absolute(&parent, &wanted.url);
                let read = self.submodule(&url, wanted, permit).await?;
                if let Ok(commit) = &read {
                    pending.push((url, commit.clone(), depth + 1));
                }
                found.insert(wanted.commit.clone(), read);
            }
        }
        if found.is_empty() {
            return Ok(commit);
        }
        Ok(commit.with(found))
    }

    /// The commit of a submodule, or why it is not read. What may pass by itself is an error of the whole: to render
    /// without it would be to take it for empty.
    async fn submodule(
        &self,
        url: &str,
        wanted: &Submodule,
        permit: &(dyn Fn(&str) -> bool + Sync),
    ) -> Result<Result<Commit, String>, RepoError> {
        let shown = redact_url(url);
        if !permit(url) {
            return Ok(Err(format!(
                "the project does not permit its repository {shown} (spec.sourceRepos)"
            )));
        }
        let at = Resolved {
            commit: wanted.commit.clone(),
            reference: None,
        };
        match self.commit(url, &at).await {
            Ok(commit) => Ok(Ok(self.with_large_files(url, commit))),
            // A repository that is not there is a mistake in `.gitmodules` rather than a failure that passes.
            Err(error)
                if error.is_transient()
                    && !matches!(error, RepoError::Git(GitError::Fetch(FetchError::NotFound))) =>
            {
                Err(error)
            }
            Err(error) => Ok(Err(format!("{shown}: {error}"))),
        }
    }

    async fn listed(&self, commit: &Commit) -> Result<Arc<Vec<Submodule>>, RepoError> {
        let known = &self.submodules().0;
        if let Some(known) = known.lock().get(commit.id()) {
            return Ok(known.clone());
        }
        let at = commit.clone();
        let listed = Arc::new(self.look_up(move |_| list(&at)).await??);
        let mut known = known.lock();
        if known.len() >= MAX_KNOWN {
            known.clear();
        }
        known.insert(commit.id().to_owned(), listed.clone());
        Ok(listed)
    }
}

/// What `.gitmodules` of a commit names and the commit has.
fn list(commit: &Commit) -> Result<Vec<Submodule>, GitError> {
    let tree = commit.tree()?;
    let Some(text) = tree.file(FILE, MAX_BYTES)? else {
        return Ok(Vec::new());
    };
    let mut found = Vec::new();
    for (path, url) in parse(&String::from_utf8_lossy(&text)) {
        let (parent, name) = path.rsplit_once('/').unwrap_or(("", &path));
        let Some(folder) = tree.look(parent)?.filter(super::Found::is_folder) else {
            continue;
        };
        let entries = tree.entries(&folder)?;
        let node = entries
            .iter()
            .find(|(entry, node)| entry == name && node.kind == NodeKind::Module);
        if let Some((_, node)) = node {
            found.push(Submodule {
                path: path.clone(),
                url,
                commit: node.id.clone(),
            });
        }
    }
    found.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(found)
}

/// Path and URL of each section of a `.gitmodules` file.
fn parse(text: &str) -> Vec<(String, String)> {
    let mut sections: Vec<(String, String)> = Vec::new();
    for line in text.lines().map(str::trim) {
        if line.starts_with('[') {
            sections.push(Default::default());
            continue;
        }
        let (Some((path, url)), Some((key, value))) = (sections.last_mut(), line.split_once('='))
        else {
            continue;
        };
        let value = value.trim().trim_matches('"').to_owned();
        match key.trim() {
            "path" => value.trim_matches('/').clone_into(path),
            "url" => *url = value,
            _ => {}
        }
    }
    sections.retain(|(path, url)| !path.is_empty() && !url.is_empty());
    sections
}

/// The URL of a submodule: a relative one begins at the repository of its parent.
fn absolute(parent: &str, url: &str) -> String {
    if !(url.starts_with("./") || url.starts_with("../")) {
        return url.to_owned();
    }
    let mut base = parent.trim_end_matches('/');
    let mut rest = url;
    loop {
        if let Some(inner) = rest.strip_prefix("./") {
            rest = inner;
        } else if let Some(inner) = rest.strip_prefix("../") {
            let root = base.find("://").map_or(0, |at| at + 3);
            // The host stays.
            match base[root..].rfind('/') {
                Some(at) => base = &base[..root + at],
                None => return url.to_owned(),
            }
            rest = inner;
        } else {
            return format!("{base}/{rest}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sections_have_a_path_and_a_url() {
        let text = "
[submodule \"a\"]
    path = vendor/a
    url = \"https://git.example.com/a.git\"
    branch = main
[submodule \"no url\"]
    path = b
[submodule \"c\"]
url=../c.git
path=c/
";
        let expected = [
            ("vendor/a", "https://git.example.com/a.git"),
            ("c", "../c.git"),
        ];
        assert_eq!(
            parse(text),
            expected.map(|(path, url)| (path.to_owned(), url.to_owned()))
        );
    }

    #[test]
    fn relative_urls_begin_at_the_parent() {
        for (parent, url, expected) in [
            ("https://h/o/app.git", "../lib.git", "https://h/o/lib.git"),
            ("https://h/o/app/", "../../x/lib", "https://h/x/lib"),
            ("https://h/o/app", "./lib", "https://h/o/app/lib"),
            ("git@h:o/app.git", "../lib.git", "git@h:o/lib.git"),
            ("https://h/o/app", "https://other/lib", "https://other/lib"),
            // Not above the host.
            ("https://h/app", "../../lib", "../../lib"),
        ] {
            assert_eq!(absolute(parent, url), expected, "{parent} {url}");
        }
    }
}
