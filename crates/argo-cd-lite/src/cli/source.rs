//! The manifests of an Application: from folders on this machine, or from its repositories.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use prometheus::Registry;
use reconcile_core::{clock::Clock, egress::EgressPolicy, operator::install_tls};

use super::{CliError, SourceArgs, SourceError, application::FileApplication, scope};
use crate::{
    api::ApplicationSource,
    metrics::GitMetrics,
    project::{DEFAULT_PROJECT, Project, default_spec},
    render::{
        AppFacts, ClusterFacts, Files, OpenSource, Remotes, RenderRequest, TargetSet, Tools,
        render_once,
    },
    repo::{
        ChartConfig, ChartError, ChartHub, ChartRef, Credentials, DEFAULT_DISK_BUDGET,
        FileRepositories, GitLimits, HubConfig, OpenChart, RepoHub, Trust, is_packed, normalize,
    },
    settings::ArgoSettings,
};

/// The targets of an Application and the revision that they were read at; empty for a folder that is read as it is.
pub(super) struct Rendered {
    pub(super) revision: String,
    pub(super) set: TargetSet,
}

/// Renders. Without a revision a folder that takes the place of a repository is read as it is, uncommitted changes
/// included; with one, its Git history is. The revision is that of the first source, and of others from its repository.
pub(super) fn targets(
    app: &FileApplication,
    args: &SourceArgs,
    revision: Option<&str>,
) -> Result<Rendered, CliError> {
    let failed = |error: SourceError| CliError::Source {
        app: app.key.to_string(),
        error: Box::new(error),
    };
    let folder = tempfile::tempdir().map_err(|error| failed(SourceError::Workspace(error)))?;
    let sources = app.spec.sources();
    let first = sources
        .first()
        .ok_or_else(|| failed(SourceError::NoSource))?;
    let repositories = Repositories::new(folder.path(), args).map_err(failed)?;
    let overrides = overrides(args)?;
    let mut open = Vec::new();
    for source in sources {
        let own = normalize(&source.repo_url) == normalize(&first.repo_url);
        let revision = revision.filter(|_| own);
        let here = overrides.get(&normalize(&source.repo_url)).cloned();
        let chart = is_packed(source);
        let (files, revision) = match (here, revision) {
            (Some(here), _) if chart => (Files::Folder(here), String::new()),
            (Some(here), None) => (Files::Folder(here), String::new()),
            (here, revision) => {
                let url = match &here {
                    Some(here) => file_url(here).map_err(failed)?,
                    None => source.repo_url.clone(),
                };
                repositories.open(&url, source, revision).map_err(failed)?
            }
        };
        open.push(OpenSource {
            source: source.unpacked(),
            files,
            revision,
        });
    }
    let revision = open
        .first()
        .map(|open| open.revision.clone())
        .unwrap_or_default();
    let request = RenderRequest {
        app: AppFacts {
            name: app.key.name.clone(),
            instance: app.placement.instance.clone(),
            project: app.spec.project_name().to_owned(),
            namespace: app.placement.namespace.clone(),
        },
        sources: open,
        cluster: ClusterFacts {
            kube_version: args.kube_version.clone(),
            api_versions: args.api_versions.clone(),
        },
        remotes: Some(repositories.remotes(&overrides).map_err(failed)?),
        kustomize: Arc::default(),
    };
    let tools = Tools::new(args.tools.clone().paths(), folder.path().join("sandboxes"));
    let set = render_once(&request, &app.placement, &tools, scope::of)
        .map_err(|error| failed(error.into()))?;
    Ok(Rendered { revision, set })
}

/// The folders that take the place of repositories, by their normalised URLs.
fn overrides(args: &SourceArgs) -> Result<BTreeMap<String, PathBuf>, CliError> {
    let mut folders = BTreeMap::new();
    for text in &args.repo_override {
        // A path has no equals sign more often than a URL.
        let (from, to) = text.rsplit_once('=').ok_or_else(|| {
            CliError::Usage(format!("--repo-override {text:?}: write it as URL=PATH"))
        })?;
        let folder = folders.entry(normalize(from));
        folder.or_insert_with(|| PathBuf::from(to));
    }
    Ok(folders)
}

fn file_url(folder: &Path) -> Result<String, SourceError> {
    let whole = fs::canonicalize(folder).map_err(|error| SourceError::Folder {
        path: folder.to_owned(),
        error,
    })?;
    Ok(format!("file://{}", whole.display()))
}

/// Repositories for the time of one answer.
struct Repositories {
    hub: RepoHub,
    charts: ChartHub,
    runtime: tokio::runtime::Runtime,
}

impl Repositories {
    fn new(folder: &Path, args: &SourceArgs) -> Result<Self, SourceError> {
        install_tls();
        let metrics = GitMetrics::register(&Registry::new())?;
        let egress = EgressPolicy::of_flag(
            "--repositories-allow-link-local",
            args.repositories_allow_link_local,
        );
        let config = HubConfig {
            folder: folder.join("stores"),
            disk_budget: DEFAULT_DISK_BUDGET,
            limits: GitLimits::default(),
            file_repositories: FileRepositories::Allow,
            egress,
            trust: Trust::default(),
            poll: Duration::ZERO,
            jitter: Duration::ZERO,
        };
        let hub = RepoHub::new(
            config,
            Credentials::default(),
            Clock::system(),
            metrics,
            |_| {},
        );
        let charts = ChartConfig {
            folder: folder.join("charts"),
            budget: DEFAULT_DISK_BUDGET,
            egress,
            trust: Trust::default(),
        };
        let charts = ChartHub::new(charts, hub.clone(), Credentials::default(), |_| {});
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .map_err(SourceError::Client)?;
        Ok(Self {
            hub,
            charts,
            runtime,
        })
    }

    /// What renderers may download. There is no project here that could refuse a repository; but what a repository names is
    /// none on this machine, unless a folder takes its place.
    fn remotes(&self, overrides: &BTreeMap<String, PathBuf>) -> Result<Remotes, SourceError> {
        let mut instead = BTreeMap::new();
        for (url, folder) in overrides {
            instead.insert(url.clone(), file_url(folder)?);
        }
        let mut spec = default_spec();
        spec.source_repos = vec!["*".to_owned(), "!file://**".to_owned()];
        let project = Project {
            name: DEFAULT_PROJECT.to_owned(),
            spec,
        };
        let schemes = ArgoSettings::default().values_file_schemes;
        let _runtime = self.runtime.enter();
        let remotes = Remotes::new(self.charts.clone(), Arc::new(project), schemes);
        Ok(remotes.with_repositories(instead))
    }

    /// The files of a source and their commit.
    fn open(
        &self,
        url: &str,
        source: &ApplicationSource,
        revision: Option<&str>,
    ) -> Result<(Files, String), SourceError> {
        let revision = revision.unwrap_or(&source.target_revision);
        if is_packed(source) {
            return self.open_chart(url, source, revision);
        }
        let open = async {
            let listed = self.hub.refs(url, None).await?;
            let at = self
                .hub
                .resolve(url, &listed.refs, revision, &source.tag_prefix)
                .await?;
            let commit = self.hub.commit(url, &at).await?;
            // There is no project here that could refuse a repository.
            self.hub.with_submodules(url, commit, &|_| true).await
        };
        let commit = self
            .runtime
            .block_on(open)
            .map_err(SourceError::Repository)?;
        let id = commit.id().to_owned();
        Ok((Files::Commit(commit), id))
    }

    fn open_chart(
        &self,
        url: &str,
        source: &ApplicationSource,
        revision: &str,
    ) -> Result<(Files, String), SourceError> {
        let chart = ChartRef {
            url,
            chart: &source.chart,
            revision,
        };
        let open = async {
            let version = self.charts.find(&chart, None).await?.version;
            let exact = ChartRef {
                revision: &version,
                ..chart
            };
            let archive = self.charts.open(&exact, OpenChart::default()).await?;
            Ok::<_, ChartError>((Files::Archive(archive), version.clone()))
        };
        Ok(self.runtime.block_on(open)?)
    }
}
