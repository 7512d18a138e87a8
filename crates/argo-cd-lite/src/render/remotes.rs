//! What renderers may download: charts that charts and kustomizations name, bases, and files.

use std::{collections::BTreeMap, sync::Arc};

use thiserror::Error;
use uuid::Uuid;

use super::facts::digest;
use crate::{
    project::Project,
    repo::{
        ArchiveFile, ChartError, ChartHub, ChartRef, Commit, Credentials, OpenChart, RepoError,
        normalize,
    },
};

/// Bytes of a file of values.
const MAX_VALUES_BYTES: u64 = 8 * 1024 * 1024;

/// Charts of repositories that a project permits, and files by URL. Cloning shares it.
#[derive(Clone)]
pub struct Remotes {
    charts: ChartHub,
    project: Arc<Project>,
    schemes: Vec<String>,
    logins: Logins,
    /// What is read in place of a repository, by its normalised URL.
    instead: BTreeMap<String, String>,
    runtime: tokio::runtime::Handle,
}

/// Whose credentials downloads use.
#[derive(Clone)]
pub enum Logins {
    /// Those of the controller.
    Controller,
    /// Those of the controller that a caller brings, too. Others stay closed to it.
    Shared {
        /// What the controller has.
        controller: Credentials,
        /// What the caller brings.
        caller: Credentials,
    },
    /// Those of one call, by its unique number. Nobody else gets what they opened.
    Call(Uuid),
}

/// Why a repository is not read.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub(super) enum RemoteRefusal {
    #[error("the project does not permit this repository (spec.sourceRepos)")]
    Project,
    #[error("the Secret of this repository belongs to another project")]
    Secret,
    #[error("the call does not bring the credentials that the controller has for this repository")]
    Login,
}

impl Remotes {
    /// Downloads for an Application of `project`; files of values by these schemes of URLs. Must be called within the
    /// async runtime, which downloads.
    pub fn new(charts: ChartHub, project: Arc<Project>, schemes: Vec<String>) -> Self {
        Self {
            charts,
            project,
            schemes,
            logins: Logins::Controller,
            instead: BTreeMap::new(),
            runtime: tokio::runtime::Handle::current(),
        }
    }

    /// The same with the credentials of somebody else.
    #[must_use]
    pub fn with_logins(self, logins: Logins) -> Self {
        Self { logins, ..self }
    }

    /// The same with these URLs in place of those of repositories, which are normalised.
    #[must_use]
    pub fn with_repositories(self, instead: BTreeMap<String, String>) -> Self {
        Self { instead, ..self }
    }

    /// Changes with what the project permits.
    pub(super) fn permissions(&self) -> String {
        digest(&self.project.spec.source_repos)
    }

    /// Who logs in to the repository: a render that used it serves only those for whom this is equal.
    pub(super) fn login(&self, url: &str) -> String {
        if !self.charts.repositories().serves(url, &self.project.name) {
            return "another project".to_owned();
        }
        match &self.logins {
            Logins::Controller => "controller".to_owned(),
            Logins::Shared { controller, caller } if controller.agrees_with(caller, url) => {
                "controller".to_owned()
            }
            Logins::Shared { .. } => "nobody".to_owned(),
            Logins::Call(number) => format!("call {number}"),
        }
    }

    /// Why the repository is not read; `None` when it is.
    pub(super) fn refusal(&self, url: &str) -> Option<RemoteRefusal> {
        if !self.project.permits_repository(url) {
            return Some(RemoteRefusal::Project);
        }
        if !self.charts.repositories().serves(url, &self.project.name) {
            return Some(RemoteRefusal::Secret);
        }
        match &self.logins {
            Logins::Shared { controller, caller } if !controller.agrees_with(caller, url) => {
                Some(RemoteRefusal::Login)
            }
            Logins::Controller | Logins::Shared { .. } | Logins::Call(_) => None,
        }
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

    /// Downloads what reads of the commit found to be only pointers of Git LFS. Blocks, like `download`.
    pub(super) fn complete(&self, commit: &Commit) -> Result<(), RepoError> {
        let repositories = self.charts.repositories();
        let fetched = self
            .runtime
            .block_on(repositories.fetch_large_files(commit));
        fetched.map(drop)
    }

    /// The commit of a revision, with the credentials of its repository. Blocks, like `download`.
    pub(super) fn commit(&self, url: &str, revision: &str) -> Result<Commit, RepoError> {
        let repositories = self.charts.repositories();
        let url = self
            .instead
            .get(&normalize(url))
            .map_or(url, String::as_str);
        self.runtime.block_on(repositories.commit_of(url, revision))
    }
}
