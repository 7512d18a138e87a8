//! The sources of an Application: which commits, which targets.

use jiff::{SignedDuration, Timestamp};
use reconcile_core::credentials::redact_url;

use super::{
    Context, ObserveError, Observed, Place, Problem, SourceState,
    failure::Failure,
    local_source,
    signatures::{check_signature, refuse_unsigned},
    validate,
};
use crate::{
    api::{ApplicationSource, Revisions},
    render::{AppFacts, Files, OpenSource, Placement, Remotes, RenderFor, RenderRequest},
    repo::{ChartRef, Follow, OpenChart, Resolved, is_packed},
};

/// Reads what the sources say at their target revisions, and at those of the operation in work.
pub(super) async fn read_git(
    at: Place<'_>,
    observed: &mut Observed,
    fresh: Option<Timestamp>,
) -> Result<(), ObserveError> {
    let sources = observed.spec.sources().to_vec();
    if sources.is_empty() {
        return Ok(());
    }
    let context = at.context;
    follow(context, observed, &sources);
    let hard = observed.is_hard();
    let several = observed.spec.has_several_sources();
    let request = SourceRequest {
        sources: &sources,
        several,
        revisions: None,
        fresh,
        hard,
    };
    observed.source = render(at, observed, &request).await;
    // The operation may be pinned to another commit, or bring sources of its own.
    let Some(operation) = observed.current_operation() else {
        return Ok(());
    };
    let sync = operation.sync.clone().unwrap_or_default();
    if !sync.manifests.is_empty() {
        let place = placement(at, observed);
        let local = local_source::read(at, observed, place, sync.manifests).await;
        observed.sync_source = Some(local);
        return Ok(());
    }
    let pinned = observed
        .status
        .operation_state
        .as_ref()
        .filter(|state| !state.phase.completed())
        .and_then(|state| state.sync_result.as_ref())
        .map(crate::api::SyncResult::synced)
        .filter(|revisions| !revisions.is_empty());
    let revisions = pinned.unwrap_or(Revisions::of_fields(&sync.revision, &sync.revisions));
    let (own, own_several) = match (sync.sources.is_empty(), sync.source) {
        (false, _) => (Some(sync.sources), true),
        (true, Some(own)) => (Some(vec![own]), false),
        (true, None) => (None, several),
    };
    let own = own.filter(|own| *own != sources);
    let at_target = observed
        .source
        .ready()
        .is_some_and(|(at, _)| *at == revisions);
    if own.is_none() && (revisions.is_empty() || at_target) {
        return Ok(());
    }
    if let Some(refused) = refused(context, observed, own.as_deref().unwrap_or_default()) {
        observed.sync_source = Some(refused);
        return Ok(());
    }
    let several = if own.is_some() { own_several } else { several };
    let sources = own.unwrap_or(sources);
    let request = SourceRequest {
        sources: &sources,
        several,
        revisions: Some(&revisions),
        fresh: None,
        hard,
    };
    observed.sync_source = Some(render(at, observed, &request).await);
    Ok(())
}

/// Where the objects of the application go.
fn placement(at: Place<'_>, observed: &Observed) -> Placement {
    Placement {
        instance: observed.instance.clone(),
        namespace: observed.spec.destination.namespace.clone(),
        server: at.cluster.destination().server.to_string(),
        managed: at.context.argo.current().managed.clone(),
    }
}

/// Notes which revisions wake the application.
fn follow(context: &Context, observed: &Observed, sources: &[ApplicationSource]) {
    let charts: Vec<ChartRef<'_>> = sources
        .iter()
        .filter(|source| is_packed(source))
        .map(|source| chart_of(source, &source.target_revision))
        .collect();
    context.charts.follow(&observed.key, &charts);
    let follows: Vec<Follow<'_>> = sources
        .iter()
        .filter(|source| !is_packed(source))
        .map(|source| Follow {
            url: &source.repo_url,
            revision: &source.target_revision,
            tag_prefix: &source.tag_prefix,
        })
        .collect();
    let project = observed.spec.project_name();
    context.repos.follow(&observed.key, project, &follows);
}

/// The state of sources that an operation brings, when one of them must not be used.
fn refused(
    context: &Context,
    observed: &Observed,
    own: &[ApplicationSource],
) -> Option<SourceState> {
    own.iter()
        .find_map(|own| refuse_source(context, observed, own))
        .map(SourceState::refused)
}

/// Why the source of an operation must not be used; it has to pass the same checks as that of the spec.
fn refuse_source(
    context: &Context,
    observed: &Observed,
    source: &ApplicationSource,
) -> Option<String> {
    if let Some(problem) = validate::source_problem(source, context.repos.file_repositories()) {
        return Some(problem.replace("spec.source", "operation.sync.source"));
    }
    let name = observed.spec.project_name();
    let permitted = context
        .project(name)
        .is_some_and(|known| known.project.permits_repository(&source.repo_url));
    (!permitted).then(|| {
        format!(
            "application repo {} is not permitted in project '{name}'",
            redact_url(&source.repo_url)
        )
    })
}

/// Sources to render.
struct SourceRequest<'a> {
    sources: &'a [ApplicationSource],
    /// The Application has several sources; a list of one is one of them, too.
    several: bool,
    /// Revisions other than the sources' own target revisions.
    revisions: Option<&'a Revisions>,
    /// How old the refs may be.
    fresh: Option<Timestamp>,
    /// Trust nothing that was rendered before.
    hard: bool,
}

/// The targets of a source.
async fn render(
    at: Place<'_>,
    observed: &mut Observed,
    request: &SourceRequest<'_>,
) -> SourceState {
    let context = at.context;
    let failure = match try_render(at, observed, request).await {
        Ok(state) => {
            context.notes.repository_works(&observed.key);
            return state;
        }
        Err(failure) => failure,
    };
    let now = context.clock.now();
    let lasts =
        failure.transient && lasted(context, context.notes.repository_fails(&observed.key, now));
    SourceState::Failed {
        message: failure.message,
        transient: failure.transient,
        // Grace keeps an existing status. It does not apply when a refresh was requested.
        grace: failure.transient
            && !lasts
            && observed.status.sync.is_some()
            && observed.refresh.is_none(),
    }
}

/// True when something has failed since `since` for longer than the grace period.
fn lasted(context: &Context, since: Timestamp) -> bool {
    let age = context.clock.now().duration_since(since);
    age >= SignedDuration::try_from(context.settings.repo_grace).unwrap_or(SignedDuration::MAX)
}

/// The commit of a source.
async fn find_commit(
    context: &Context,
    observed: &mut Observed,
    source: &ApplicationSource,
    revision: Option<&str>,
    fresh: Option<Timestamp>,
) -> Result<Resolved, Failure> {
    let url = source.repo_url.as_str();
    if let Some(at) = revision.and_then(Resolved::of_commit_id) {
        return Ok(at);
    }
    let listed = context.repos.refs(url, fresh).await?;
    if let Some((error, since)) = &listed.failing
        && (observed.refresh.is_some() || lasted(context, *since))
    {
        // The last known commit is still synced; the condition shows that newer ones are not seen.
        observed.problems.push(Problem::remark(
            "ComparisonError",
            format!("cannot list the refs of the repository since {since:.0}: {error}"),
        ));
    }
    let revision = revision.unwrap_or(&source.target_revision);
    Ok(context
        .repos
        .resolve(url, &listed.refs, revision, &source.tag_prefix)
        .await?)
}

/// The chart that a source names, at a version or constraint.
fn chart_of<'a>(source: &'a ApplicationSource, revision: &'a str) -> ChartRef<'a> {
    ChartRef {
        url: &source.repo_url,
        chart: &source.chart,
        revision,
    }
}

/// The version of a chart.
async fn find_version(
    context: &Context,
    observed: &mut Observed,
    source: &ApplicationSource,
    revision: Option<&str>,
    fresh: Option<Timestamp>,
) -> Result<String, Failure> {
    let revision = revision.unwrap_or(&source.target_revision);
    let found = context
        .charts
        .find(&chart_of(source, revision), fresh)
        .await?;
    if let Some((error, since)) = &found.failing
        && (observed.refresh.is_some() || lasted(context, *since))
    {
        // The last known version is still synced; the condition shows that newer ones are not seen.
        observed.problems.push(Problem::remark(
            "ComparisonError",
            format!("cannot list the versions of the chart since {since:.0}: {error}"),
        ));
    }
    Ok(found.version)
}

/// A source with its files.
async fn open(
    context: &Context,
    observed: &mut Observed,
    source: &ApplicationSource,
    revision: Option<&str>,
    request: &SourceRequest<'_>,
) -> Result<OpenSource, Failure> {
    let project = observed.spec.project_name();
    if !context.repos.serves(&source.repo_url, project) {
        let repository = redact_url(&source.repo_url);
        return Err(Failure::of_other_project(&repository));
    }
    if is_packed(source) {
        refuse_unsigned(context, observed, source)?;
        let version = find_version(context, observed, source, revision, request.fresh).await?;
        let how = OpenChart {
            pass_credentials: source
                .helm
                .as_ref()
                .is_some_and(|helm| helm.pass_credentials),
            hard: request.hard,
        };
        let archive = context
            .charts
            .open(&chart_of(source, &version), how)
            .await?;
        return Ok(OpenSource {
            source: source.unpacked(),
            files: Files::Archive(archive),
            revision: version,
        });
    }
    let at = find_commit(context, observed, source, revision, request.fresh).await?;
    let commit = context.repos.commit(&source.repo_url, &at).await?;
    check_signature(context, observed, source, (&at, &commit)).await?;
    let known = context.project(observed.spec.project_name());
    let permit = |url: &str| {
        let permitted = known.as_ref().map(|known| &known.project);
        permitted.is_some_and(|project| {
            project.permits_repository(url) && context.repos.serves(url, &project.name)
        })
    };
    let commit = context.repos.with_large_files(&source.repo_url, commit);
    let commit = context
        .repos
        .with_submodules(&source.repo_url, commit, &permit)
        .await?;
    Ok(OpenSource {
        source: source.clone(),
        files: Files::Commit(commit),
        revision: at.commit,
    })
}

async fn try_render(
    at: Place<'_>,
    observed: &mut Observed,
    request: &SourceRequest<'_>,
) -> Result<SourceState, Failure> {
    let Place {
        context, cluster, ..
    } = at;
    let mut sources = Vec::new();
    for (index, source) in request.sources.iter().enumerate() {
        let revision = request.revisions.and_then(|revisions| revisions.get(index));
        sources.push(open(context, observed, source, revision, request).await?);
    }
    let commits = sources.iter().map(|open| open.revision.clone());
    let revisions = if request.several {
        Revisions::Several(commits.collect())
    } else {
        // There is exactly one.
        Revisions::One(commits.collect())
    };
    let (place, hard) = (placement(at, observed), request.hard);
    let asked = || {
        let discovery = cluster.discovery.clone();
        RenderFor {
            placement: place.clone(),
            discovery: discovery.generation(),
            scope: move |group: &str, kind: &str| discovery.scope(group, kind),
            hard,
        }
    };
    let request = RenderRequest {
        app: AppFacts {
            name: observed.key.name.clone(),
            instance: observed.instance.clone(),
            project: observed.spec.project_name().to_owned(),
            namespace: observed.spec.destination.namespace.clone(),
        },
        sources,
        cluster: cluster.facts().await,
        kustomize: context.argo.current().kustomize.clone(),
        remotes: context.project(observed.spec.project_name()).map(|known| {
            let schemes = context.argo.current().values_file_schemes.clone();
            Remotes::new(context.charts.clone(), known.project.clone(), schemes)
        }),
    };
    let (renders, repos) = (&context.renders, &context.repos);
    let set = renders
        .render_whole::<_, Failure>(repos, &request, asked)
        .await?;
    tracing::debug!(application = %observed.key, %revisions, objects = set.targets.len(), "targets are known");
    Ok(SourceState::Ready { revisions, set })
}
