//! Renders.

use std::collections::BTreeMap;

use super::{
    error::CallError,
    messages::{ManifestRequest, ManifestResponse, RefTarget, Repository},
    reach::{Age, Offered, Reach, Repositories, check_same},
};
use crate::{
    api::ApplicationSource,
    cli::scope,
    clusters::instance_owner,
    render::{
        AppFacts, ClusterFacts, Files, OpenSource, Placement, Remotes, RenderFor, RenderRequest,
        Scope,
    },
    repo::ArchiveFile,
};

/// The revision of files that came with the call, as Argo CD has it.
const RECEIVED: &str = "streamed";

impl Repositories {
    /// The manifests of a source, also of one that no Application has.
    pub(super) async fn generate_manifest(
        &self,
        request: ManifestRequest,
    ) -> Result<ManifestResponse, CallError> {
        self.manifests(request, None).await
    }

    /// The manifests of a source, whose own files are those of an archive when there is one.
    pub(super) async fn manifests(
        &self,
        request: ManifestRequest,
        received: Option<ArchiveFile>,
    ) -> Result<ManifestResponse, CallError> {
        let repo = request
            .repo
            .as_ref()
            .ok_or_else(|| CallError::missing("repo"))?;
        let source = request.application_source.as_ref();
        let source = source.ok_or_else(|| CallError::missing("applicationSource"))?;
        let source = source
            .to_api()
            .map_err(|error| CallError::Invalid(error.to_string()))?;
        check_same(repo, &source)?;
        let offered = Offered {
            repos: &request.repos,
            templates: &request.helm_repo_creds,
        };
        let reach = self
            .reach(&repos(repo, &request.ref_sources), offered)
            .await?;
        let age = Age::of(request.no_revision_cache);
        let main = match received {
            Some(archive) => OpenSource {
                source,
                files: Files::Archive(archive),
                revision: RECEIVED.to_owned(),
            },
            None => reach.open(&source, &request.revision, age).await?,
        };
        let revision = main.revision.clone();
        let mut sources = references(&reach, &request.ref_sources, age).await?;
        sources.push(main);
        let set = self.render(&reach, &request, sources).await?;
        let source_type = set.types.last().map(|one| one.word()).unwrap_or_default();
        Ok(ManifestResponse {
            manifests: set
                .targets
                .iter()
                .map(|target| target.manifest.to_string())
                .collect(),
            namespace: request.namespace,
            server: String::new(),
            revision,
            source_type: source_type.to_owned(),
            verify_result: String::new(),
            commands: Vec::new(),
        })
    }

    async fn render(
        &self,
        reach: &Reach,
        request: &ManifestRequest,
        sources: Vec<OpenSource>,
    ) -> Result<std::sync::Arc<crate::render::TargetSet>, CallError> {
        let context = &self.context;
        let settings = context.argo.current();
        let instance = request.app_name.clone();
        let name = instance_owner(&instance, &context.settings.control_plane).name;
        let project = match request.project_name.as_str() {
            "" => "default",
            name => name,
        };
        let asked = || RenderFor {
            placement: Placement {
                instance: instance.clone(),
                namespace: request.namespace.clone(),
                server: String::new(),
                managed: settings.managed.clone(),
            },
            // The call does not say which cluster it is for.
            discovery: 0,
            scope: scope_of,
            hard: request.no_cache,
        };
        let remotes = context.project(project).map(|known| {
            Remotes::new(
                reach.charts.clone(),
                known.project.clone(),
                settings.values_file_schemes.clone(),
            )
            .with_logins(reach.logins.clone())
        });
        let render = RenderRequest {
            app: AppFacts {
                name,
                instance: instance.clone(),
                project: project.to_owned(),
                namespace: request.namespace.clone(),
            },
            sources,
            cluster: ClusterFacts {
                kube_version: request.kube_version.clone(),
                api_versions: request.api_versions.clone(),
            },
            remotes,
            kustomize: settings.kustomize.clone(),
        };
        let renders = &context.renders;
        renders.render_whole(&reach.hub, &render, asked).await
    }
}

fn scope_of(group: &str, kind: &str) -> Scope {
    scope::of(group, kind)
}

/// The repositories that a call opens.
pub(super) fn repos<'a>(
    repo: &'a Repository,
    references: &'a BTreeMap<String, RefTarget>,
) -> Vec<&'a Repository> {
    let others = references
        .values()
        .filter_map(|target| target.repo.as_ref());
    [repo].into_iter().chain(others).collect()
}

/// The sources whose files others read, by `$name`.
pub(super) async fn references(
    reach: &Reach,
    targets: &BTreeMap<String, RefTarget>,
    age: Age,
) -> Result<Vec<OpenSource>, CallError> {
    let mut sources = Vec::new();
    for (name, target) in targets {
        let repo = target
            .repo
            .as_ref()
            .ok_or_else(|| CallError::missing("repo of a reference"))?;
        let source = ApplicationSource {
            repo_url: repo.repo.clone(),
            target_revision: target.target_revision.clone(),
            chart: target.chart.clone(),
            reference: name.trim_start_matches('$').to_owned(),
            ..ApplicationSource::default()
        };
        sources.push(reach.open(&source, "", age).await?);
    }
    Ok(sources)
}
