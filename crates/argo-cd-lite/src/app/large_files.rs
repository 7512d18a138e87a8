//! Sources whose files are partly in Git LFS.

use std::sync::Arc;

use super::{Context, failure::Failure};
use crate::{
    render::{Files, RenderFor, RenderRequest, Scope, TargetSet},
    repo::GitError,
};

/// How often rendering begins again. Each round reads further only where a file that was downloaded names others, such as a
/// kustomization.
const ROUNDS: usize = 16;

/// Renders. What is read for the first time of files in Git LFS is downloaded, and rendering begins again.
pub(super) async fn render<S>(
    context: &Context,
    request: &RenderRequest,
    asked: impl Fn() -> RenderFor<S>,
) -> Result<Arc<TargetSet>, Failure>
where
    S: Fn(&str, &str) -> Scope + Send + 'static,
{
    for _ in 0..ROUNDS {
        let rendered = (context.renders)
            .render(&context.repos, request.clone(), asked())
            .await;
        match rendered {
            Err(failure) if failure.lacks_files() => {}
            rendered => return Ok(rendered?),
        }
        for open in &request.sources {
            if let Files::Commit(commit) = &open.files {
                let url = &open.source.repo_url;
                context.repos.fetch_large_files(url, commit).await?;
            }
        }
    }
    let limit = ROUNDS as u64;
    let what = "rounds of downloads from Git LFS";
    Err(crate::repo::RepoError::from(GitError::Exceeds { what, limit }).into())
}
