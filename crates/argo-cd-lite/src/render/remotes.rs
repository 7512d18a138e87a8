//! What renderers may download: charts that charts and kustomizations name, bases, and files.

use std::sync::Arc;

use super::facts::digest;
use crate::{
    project::Project,
    repo::{ArchiveFile, ChartError, ChartHub, ChartRef, Commit, OpenChart, RepoError},
};

/// Bytes of a file of values.
const MAX_VALUES_BYTES: u64 = 8 * 1024 * 1024;

/// Charts of repositories that a project permits, and files by URL. Cloning shares it.
#[derive(Clone)]
pub struct Remotes {
    charts: ChartHub,
    project: Arc<Project>,
    schemes: Vec<String>,
    runtime: tokio::runtime::Handle,
}

impl Remotes {
    /// Downloads for an Application of `project`; files of values by these schemes of URLs. Must be called within the
    /// async runtime, which downloads.
    pub fn new(charts: ChartHub, project: Arc<Project>, schemes: Vec<String>) -> Self {
        Self {
            charts,
            project,
            schemes,
            runtime: tokio::runtime::Handle::current(),
        }
    }

    /// Changes with what the project permits.
    pub(super) fn permissions(&self) -> String {
        digest(&self.project.spec.source_repos)
    }

    /// True when the project permits the repository.
    pub(super) fn permit(&self, url: &str) -> bool {
        self.project.permits_repository(url)
    }

    /// Why a file of values is not downloaded by a URL of this scheme; `None` when it is.
    pub(super) fn scheme_problem(&self, scheme: &str) -> Option<String> {
        if !["http", "https"].contains(&scheme) {
            return Some(format!("files are not downloaded by {scheme}"));
        }
        let allowed = self.schemes.iter().any(|one| one == scheme);
        (!allowed).then(|| format!("helm.valuesFileSchemes of argocd-cm does not permit {scheme}"))
    }

    /// The file at a URL, without any credential. Blocks; must not be called on a thread of the async runtime.
    pub(super) fn values(&self, url: &str) -> Result<Vec<u8>, ChartError> {
        let download = self.charts.download_file(url, MAX_VALUES_BYTES);
        self.runtime.block_on(download)
    }

    /// The archive of a chart. Blocks; must not be called on a thread of the async runtime.
    pub(super) fn download(&self, chart: &ChartRef<'_>) -> Result<Vec<u8>, ChartError> {
        self.open(chart)?.content()
    }

    /// The files of a chart. Blocks, like `download`.
    pub(super) fn open(&self, chart: &ChartRef<'_>) -> Result<ArchiveFile, ChartError> {
        self.runtime.block_on(async {
            let version = self.charts.find(chart, None).await?.version;
            let exact = ChartRef {
                revision: &version,
                ..*chart
            };
            self.charts.open(&exact, OpenChart::default()).await
        })
    }

    /// The commit of a revision, with the credentials of its repository. Blocks, like `download`.
    pub(super) fn commit(&self, url: &str, revision: &str) -> Result<Commit, RepoError> {
        let repositories = self.charts.repositories();
        self.runtime.block_on(repositories.commit_of(url, revision))
    }
}
