//! Sources whose files are partly in Git LFS.

use std::sync::Arc;

use git_fetch::FetchError;

use super::{Files, RenderFailure, RenderFor, RenderRequest, Renders, Scope, TargetSet};
use crate::repo::{RepoError, RepoHub};

/// How often reading begins again. Each round reads further only where a file that was downloaded names others, such as a
/// kustomization.
pub(super) const ROUNDS: usize = 16;

impl Renders {
    /// Renders. What is read for the first time of files in Git LFS is downloaded, and rendering begins again.
    pub async fn render_whole<S, E>(
        &self,
        hub: &RepoHub,
        request: &RenderRequest,
        asked: impl Fn() -> RenderFor<S>,
    ) -> Result<Arc<TargetSet>, E>
    where
        S: Fn(&str, &str) -> Scope + Send + 'static,
        E: From<RenderFailure> + From<RepoError>,
    {
        for _ in 0..ROUNDS {
            match self.render(hub, request.clone(), asked()).await {
                Err(failure) if failure.lacks_files() => {}
                rendered => return Ok(rendered?),
            }
            for open in &request.sources {
                if let Files::Commit(commit) = &open.files {
                    hub.fetch_large_files(commit).await?;
                }
            }
        }
        Err(too_many_rounds().into())
    }
}

/// What was downloaded leads to more downloads, again and again.
pub(super) fn too_many_rounds() -> RepoError {
    let limit = ROUNDS as u64;
    let what = "rounds of downloads from Git LFS";
    RepoError::from(FetchError::Exceeds { what, limit })
}
