//! Refs and commits.

use super::{
    error::CallError,
    messages::{
        ListRefsRequest, Refs, RepoServerRevisionMetadataRequest, ResolveRevisionRequest,
        ResolveRevisionResponse, RevisionMetadata, TestRepositoryRequest, TestRepositoryResponse,
        Time, UpdateRevisionForPathsRequest, UpdateRevisionForPathsResponse,
    },
    reach::{Age, Offered, Reach, Repositories},
};
use crate::{
    api::ApplicationSource,
    repo::{ChartRef, Commit, RepositoryKind, is_commit_id, is_packed},
};

/// Paths of one request.
const MAX_PATHS: usize = 1000;

impl Repositories {
    /// Whether a repository can be reached with its credentials.
    pub(super) async fn test_repository(
        &self,
        request: TestRepositoryRequest,
    ) -> Result<TestRepositoryResponse, CallError> {
        let repo = request.repo.ok_or_else(|| CallError::missing("repo"))?;
        let reach = self.reach(&[&repo], Offered::default()).await?;
        match repo.kind() {
            RepositoryKind::Git => {
                let since = reach.since(Age::New);
                let listed = reach.hub.refs(&repo.repo, Some(since)).await?;
                if let Some((error, _)) = listed.failing {
                    return Err(error.into());
                }
            }
            RepositoryKind::Helm => drop(reach.charts.index(&repo.repo, true).await?),
            RepositoryKind::Oci => drop(reach.charts.tags(&repo.repo, true).await?),
        }
        Ok(TestRepositoryResponse {
            verified_repository: true,
        })
    }

    /// The commit or version that a revision means.
    pub(super) async fn resolve_revision(
        &self,
        request: ResolveRevisionRequest,
    ) -> Result<ResolveRevisionResponse, CallError> {
        let repo = request
            .repo
            .as_ref()
            .ok_or_else(|| CallError::missing("repo"))?;
        let spec = request.app.and_then(|app| app.spec);
        let spec = spec.ok_or_else(|| CallError::missing("app.spec"))?;
        let index = usize::try_from(request.source_index).unwrap_or(0);
        let source = match spec.sources.get(index) {
            Some(source) => Some(source.clone()),
            None if spec.sources.is_empty() => spec.source,
            None => None,
        };
        let source = source.ok_or_else(|| CallError::missing("source at sourceIndex"))?;
        let source = source
            .to_api()
            .map_err(|error| CallError::Invalid(error.to_string()))?;
        let revision = request.ambiguous_revision;
        let reach = self.reach(&[repo], Offered::default()).await?;
        if is_packed(&source) {
            let version = chart_version(&reach, &source, &revision).await?;
            return Ok(ResolveRevisionResponse {
                ambiguous_revision: format!("{revision} ({version})"),
                revision: version,
            });
        }
        if is_commit_id(&revision) {
            return Ok(ResolveRevisionResponse {
                revision: revision.clone(),
                ambiguous_revision: revision,
            });
        }
        // Somebody is about to sync: what was pushed a moment ago counts.
        let at = reach
            .resolve(&repo.repo, &revision, &source.tag_prefix, Age::New)
            .await?;
        let shown = if revision.is_empty() {
            "HEAD"
        } else {
            revision.as_str()
        };
        Ok(ResolveRevisionResponse {
            ambiguous_revision: format!("{shown} ({})", at.commit),
            revision: at.commit,
        })
    }

    /// Branches and tags.
    pub(super) async fn list_refs(&self, request: ListRefsRequest) -> Result<Refs, CallError> {
        let repo = request.repo.ok_or_else(|| CallError::missing("repo"))?;
        let reach = self.reach(&[&repo], Offered::default()).await?;
        let listed = reach
            .hub
            .refs(&repo.repo, Some(reach.since(Age::Recent)))
            .await?;
        let below = |prefix: &str| {
            let names = listed
                .refs
                .refs
                .keys()
                .filter_map(|name| name.strip_prefix(prefix));
            names.map(str::to_owned).collect()
        };
        Ok(Refs {
            branches: below("refs/heads/"),
            tags: below("refs/tags/"),
        })
    }

    /// Tags of an OCI repository.
    pub(super) async fn list_oci_tags(&self, request: ListRefsRequest) -> Result<Refs, CallError> {
        let repo = request.repo.ok_or_else(|| CallError::missing("repo"))?;
        let reach = self.reach(&[&repo], Offered::default()).await?;
        Ok(Refs {
            branches: Vec::new(),
            tags: reach.charts.tags(&repo.repo, false).await?,
        })
    }

    /// Author, date, message and tags of a commit.
    pub(super) async fn revision_metadata(
        &self,
        request: RepoServerRevisionMetadataRequest,
    ) -> Result<RevisionMetadata, CallError> {
        let repo = request.repo.ok_or_else(|| CallError::missing("repo"))?;
        if !is_commit_id(&request.revision) {
            return Err(CallError::Invalid(
                "revision must be the whole id of a commit".to_owned(),
            ));
        }
        let reach = self.reach(&[&repo], Offered::default()).await?;
        let listed = reach
            .hub
            .refs(&repo.repo, Some(reach.since(Age::Recent)))
            .await?;
        let at = reach
            .hub
            .resolve(&repo.repo, &listed.refs, &request.revision, "")
            .await?;
        let commit = reach.hub.commit(&repo.repo, &at).await?;
        let id = commit.id().to_owned();
        let info = reach.hub.look_up(move |_| commit.info()).await??;
        let tags = listed.refs.refs.iter().filter(|(_, commit)| **commit == id);
        let tags = tags.filter_map(|(name, _)| name.strip_prefix("refs/tags/"));
        Ok(RevisionMetadata {
            author: info.author,
            date: Some(Time {
                seconds: info.seconds,
                nanos: 0,
            }),
            tags: tags.map(str::to_owned).collect(),
            message: info.message,
            signature_info: String::new(),
        })
    }

    /// Whether any of the paths differs between two revisions.
    pub(super) async fn update_revision_for_paths(
        &self,
        request: UpdateRevisionForPathsRequest,
    ) -> Result<UpdateRevisionForPathsResponse, CallError> {
        let repo = request
            .repo
            .as_ref()
            .ok_or_else(|| CallError::missing("repo"))?;
        if request.paths.len() > MAX_PATHS {
            return Err(CallError::Invalid(format!("more than {MAX_PATHS} paths")));
        }
        let reach = self.reach(&[repo], Offered::default()).await?;
        let age = Age::of(request.no_revision_cache);
        let at = reach
            .resolve(&repo.repo, &request.revision, "", age)
            .await?;
        let answer = |changes| UpdateRevisionForPathsResponse {
            changes,
            revision: at.commit.clone(),
        };
        if request.synced_revision == at.commit {
            return Ok(answer(false));
        }
        // Without paths, and where several sources take part, everything counts.
        if request.paths.is_empty()
            || request.has_multiple_sources
            || request.synced_revision.is_empty()
        {
            return Ok(answer(true));
        }
        let new = reach.hub.commit(&repo.repo, &at).await?;
        let old = reach
            .commit(&repo.repo, &request.synced_revision, age)
            .await?;
        let root = request
            .application_source
            .map(|source| source.path)
            .unwrap_or_default();
        let paths = request.paths;
        let changes = reach
            .hub
            .read(move |_| differ(&old, &new, &root, &paths))
            .await??;
        Ok(answer(changes))
    }
}

/// Whether a path has other content in two commits. One with a `/` in front begins at the root of the repository, others
/// in the folder of the source.
fn differ(
    old: &Commit,
    new: &Commit,
    root: &str,
    paths: &[String],
) -> Result<bool, crate::repo::GitError> {
    let (old, new) = (old.tree()?, new.tree()?);
    for path in paths {
        // What a pattern matches is not compared piece by piece: it begins to count at its folder.
        let fixed = path.split(['*', '?', '[']).next().unwrap_or_default();
        let fixed = if fixed.len() < path.len() {
            fixed.rsplit_once('/').map_or("", |(folder, _)| folder)
        } else {
            fixed
        };
        let whole = match fixed.strip_prefix('/') {
            Some(whole) => whole.to_owned(),
            None => format!("{root}/{fixed}"),
        };
        let id = |found: Option<crate::repo::Found>| found.map(|found| found.node.id);
        if id(old.look(&whole)?) != id(new.look(&whole)?) {
            return Ok(true);
        }
    }
    Ok(false)
}

async fn chart_version(
    reach: &Reach,
    source: &ApplicationSource,
    revision: &str,
) -> Result<String, CallError> {
    let chart = ChartRef {
        url: &source.repo_url,
        chart: &source.chart,
        revision,
    };
    Ok(reach.charts.find(&chart, None).await?.version)
}
