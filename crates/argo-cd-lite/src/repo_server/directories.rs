//! Files and folders of a commit or an artifact, for generators and forms.

use std::collections::BTreeMap;

use expressions::glob::Glob;
use git_fetch::FetchError;

use super::{
    error::CallError,
    messages::{
        AppList, GitDirectoriesRequest, GitDirectoriesResponse, GitFilesRequest, GitFilesResponse,
        ListAppsRequest, OciDirectoriesRequest, OciDirectoriesResponse, OciFilesRequest,
        OciFilesResponse, Repository,
    },
    reach::{Age, Offered, Reach, Repositories},
};
use crate::{
    api::ApplicationSource,
    render::{Files, SourceType},
    repo::{FileQuery, Found, GitError, NodeKind, SourceTree, is_packed, join},
};

/// Bytes of the files of one answer.
const MAX_BYTES: u64 = 32 << 20;
/// Folders of one answer.
const MAX_FOLDERS: usize = 50_000;
/// Folders below each other.
const MAX_DEPTH: usize = 64;

impl Repositories {
    /// The files that a pattern matches.
    pub(super) async fn git_files(
        &self,
        request: GitFilesRequest,
    ) -> Result<GitFilesResponse, CallError> {
        let repo = request.repo.ok_or_else(|| CallError::missing("repo"))?;
        let pattern = FilePattern::new(&request.path, request.new_git_file_globbing_enabled)?;
        let reach = self.reach(&[&repo], Offered::default()).await?;
        let age = Age::of(request.no_revision_cache);
        let commit = reach.commit(&repo.repo, &request.revision, age).await?;
        let found = reach.hub.read(move |_| files(&commit.tree()?, &pattern));
        Ok(GitFilesResponse { map: found.await?? })
    }

    /// The files of an artifact that a pattern matches.
    pub(super) async fn oci_files(
        &self,
        request: OciFilesRequest,
    ) -> Result<OciFilesResponse, CallError> {
        let repo = request.repo.ok_or_else(|| CallError::missing("repo"))?;
        let pattern = FilePattern::new(&request.glob, true)?;
        let age = Age::of(request.no_revision_cache);
        let (reach, artifact) = self.artifact(repo, &request.revision, age).await?;
        let found = reach.hub.read(move |_| files(&artifact.tree()?, &pattern));
        Ok(OciFilesResponse {
            files: found.await??,
        })
    }

    /// All folders of an artifact but hidden ones.
    pub(super) async fn oci_directories(
        &self,
        request: OciDirectoriesRequest,
    ) -> Result<OciDirectoriesResponse, CallError> {
        let repo = request.repo.ok_or_else(|| CallError::missing("repo"))?;
        let age = Age::of(request.no_revision_cache);
        let (reach, artifact) = self.artifact(repo, &request.revision, age).await?;
        let folders = reach
            .hub
            .read(move |_| folders(&artifact.tree()?))
            .await??;
        Ok(OciDirectoriesResponse {
            paths: paths(folders),
        })
    }

    async fn artifact(
        &self,
        repo: Repository,
        revision: &str,
        age: Age,
    ) -> Result<(Reach, Files), CallError> {
        let source = ApplicationSource {
            repo_url: repo.repo.clone(),
            ..ApplicationSource::default()
        };
        if !is_packed(&source) {
            return Err(CallError::Invalid(
                "repo is no artifact of a registry".to_owned(),
            ));
        }
        if revision.is_empty() {
            return Err(CallError::missing("revision"));
        }
        let reach = self.reach(&[&repo], Offered::default()).await?;
        let open = reach.open(&source, revision, age).await?;
        Ok((reach, open.files))
    }

    /// All folders but hidden ones.
    pub(super) async fn git_directories(
        &self,
        request: GitDirectoriesRequest,
    ) -> Result<GitDirectoriesResponse, CallError> {
        let repo = request.repo.ok_or_else(|| CallError::missing("repo"))?;
        let reach = self.reach(&[&repo], Offered::default()).await?;
        let age = Age::of(request.no_revision_cache);
        let commit = reach.commit(&repo.repo, &request.revision, age).await?;
        let folders = reach.hub.read(move |_| folders(&commit.tree()?)).await??;
        Ok(GitDirectoriesResponse {
            paths: paths(folders),
        })
    }

    /// The folders that hold charts or kustomizations.
    pub(super) async fn list_apps(&self, request: ListAppsRequest) -> Result<AppList, CallError> {
        let repo = request.repo.ok_or_else(|| CallError::missing("repo"))?;
        let reach = self.reach(&[&repo], Offered::default()).await?;
        let commit = reach
            .commit(&repo.repo, &request.revision, Age::Recent)
            .await?;
        let folders = reach.hub.read(move |_| folders(&commit.tree()?)).await??;
        let disabled = |word: &str| request.enabled_source_types.get(word) == Some(&false);
        let apps = folders.into_iter().filter_map(|(path, type_)| {
            let word = type_?.word();
            let path = if path.is_empty() {
                ".".to_owned()
            } else {
                path
            };
            (!disabled(word)).then(|| (path, word.to_owned()))
        });
        Ok(AppList {
            apps: apps.collect(),
        })
    }
}

/// Which files are asked for.
#[derive(Debug)]
struct FilePattern {
    glob: Glob,
    /// The folder that all of them are in.
    folder: String,
    /// The path itself, which may be a folder whose files are meant.
    path: String,
}

impl FilePattern {
    /// In the older mode a `*` matches slashes, too.
    fn new(path: &str, new_globbing: bool) -> Result<Self, CallError> {
        let path = path.trim_start_matches("./");
        if path.starts_with('/') || path.split('/').any(|part| part == "..") {
            return Err(CallError::Invalid(format!(
                "path {path:?} leads outside of the repository"
            )));
        }
        let glob = if new_globbing {
            Glob::doublestar(path)
        } else {
            Glob::new(path, &[])
        };
        let glob = glob.map_err(|error| CallError::Invalid(format!("path {path:?}: {error}")))?;
        let fixed = path
            .split(['*', '?', '[', '{', '\\'])
            .next()
            .unwrap_or_default();
        let folder = fixed.rsplit_once('/').map_or("", |(folder, _)| folder);
        Ok(Self {
            glob,
            folder: folder.to_owned(),
            path: path.trim_end_matches('/').to_owned(),
        })
    }

    fn matches(&self, path: &str) -> bool {
        self.glob.answer(path).allows()
            || path
                .strip_prefix(self.path.as_str())
                .is_some_and(|below| below.starts_with('/'))
    }
}

/// The paths of folders, without the root.
fn paths(folders: BTreeMap<String, Option<SourceType>>) -> Vec<String> {
    let paths = folders.into_keys().filter(|path| !path.is_empty());
    paths.collect()
}

fn files(tree: &SourceTree, pattern: &FilePattern) -> Result<BTreeMap<String, Vec<u8>>, GitError> {
    let Some(folder) = tree.look(&pattern.folder)?.filter(Found::is_folder) else {
        return Ok(BTreeMap::new());
    };
    let query = FileQuery {
        recurse: true,
        linked_folders: false,
        max_bytes: MAX_BYTES,
        wanted: &|path| pattern.matches(&join(&pattern.folder, path)),
    };
    let found = tree.files(&folder, &query)?;
    let named = found
        .into_iter()
        .map(|file| (join(&pattern.folder, &file.path), file.content));
    Ok(named.collect())
}

/// All folders with what they hold, sorted; the root is the empty path.
fn folders(tree: &SourceTree) -> Result<BTreeMap<String, Option<SourceType>>, GitError> {
    let mut folders = BTreeMap::new();
    let mut open = vec![(tree.folder("")?, 0)];
    while let Some((folder, depth)) = open.pop() {
        let entries = tree.entries(&folder)?;
        let names = entries.iter().map(|(name, _)| name.as_str());
        folders.insert(folder.path.clone(), SourceType::of_folder(names));
        for (name, node) in entries {
            if node.kind != NodeKind::Folder || name.starts_with('.') {
                continue;
            }
            if depth >= MAX_DEPTH || folders.len() + open.len() >= MAX_FOLDERS {
                let limit = MAX_FOLDERS as u64;
                let what = "folders";
                return Err(FetchError::Exceeds { what, limit }.into());
            }
            let path = join(&folder.path, &name);
            open.push((Found { path, node }, depth + 1));
        }
    }
    Ok(folders)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matches(pattern: &str, new: bool, path: &str) -> bool {
        FilePattern::new(pattern, new)
            .expect("a pattern")
            .matches(path)
    }

    #[test]
    fn a_star_matches_slashes_in_the_older_mode_only() {
        assert!(matches("apps/*/config.json", false, "apps/a/b/config.json"));
        assert!(!matches("apps/*/config.json", true, "apps/a/b/config.json"));
        assert!(matches("apps/**/config.json", true, "apps/a/b/config.json"));
        assert!(matches("apps/**/config.json", true, "apps/config.json"));
        assert!(matches("apps/a.json", true, "apps/a.json"));
        assert!(matches("apps", false, "apps/a.json") && !matches("apps", false, "apps2/a.json"));
    }

    #[test]
    fn paths_stay_in_the_repository() {
        for path in ["/etc/passwd", "../x", "a/../../x", "a/.."] {
            assert!(FilePattern::new(path, true).is_err(), "{path}");
        }
    }
}
