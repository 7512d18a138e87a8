//! The Git side of an Application: which commit, which targets.

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use reconcile_core::credentials::redact_url;

use super::{Context, ObserveError, Observed, Problem, Refresh, SourceState, validate};
use crate::{
    api::ApplicationSource,
    render::{
        DirectoryFilter, MAX_MANIFEST_BYTES, Placement, RenderError, RenderKey, RenderRequest,
        render as render_files,
    },
    repo::{FilesRequest, RepoError, Resolved},
};

/// Reads what Git says at the target revision, and at that of the operation in work.
pub(super) async fn read_git(
    context: &Context,
    observed: &mut Observed,
    fresh: Option<Timestamp>,
) -> Result<(), ObserveError> {
    let Some(source) = observed.spec.source.clone() else {
        return Ok(());
    };
    context.repos.follow(
        &observed.key,
        &source.repo_url,
        &source.target_revision,
        &source.tag_prefix,
    );
    let hard = observed.refresh == Some(Refresh::Hard);
    let request = SourceRequest {
        source: &source,
        revision: None,
        fresh,
        hard,
    };
    observed.source = render(context, observed, &request).await;
    // The operation may be pinned to another commit, or bring a source of its own.
    let Some(operation) = observed.current_operation() else {
        return Ok(());
    };
    let sync = operation.sync.clone().unwrap_or_default();
    let pinned = observed
        .status
        .operation_state
        .as_ref()
        .filter(|state| !state.phase.completed())
        .and_then(|state| state.sync_result.as_ref())
        .map(|result| result.revision.clone())
        .filter(|revision| !revision.is_empty());
    let revision = pinned.unwrap_or(sync.revision);
    let own_source = sync.source.clone().filter(|own| *own != source);
    let at_target = observed
        .source
        .ready()
        .is_some_and(|(commit, _)| commit == revision);
    if own_source.is_none() && (revision.is_empty() || at_target) {
        return Ok(());
    }
    if let Some(own) = &own_source
        && let Some(message) = refuse_source(context, observed, own)
    {
        observed.sync_source = Some(SourceState::Failed {
            message,
            transient: false,
            grace: false,
        });
        return Ok(());
    }
    let source = own_source.unwrap_or(source);
    let revision = (!revision.is_empty()).then_some(revision);
    let request = SourceRequest {
        source: &source,
        revision: revision.as_deref(),
        fresh: None,
        hard,
    };
    observed.sync_source = Some(render(context, observed, &request).await);
    Ok(())
}

/// Why the source of an operation must not be used; it has to pass the same checks as that of the spec.
fn refuse_source(
    context: &Context,
    observed: &Observed,
    source: &ApplicationSource,
) -> Option<String> {
    if let Some(problem) = validate::source_problem(source, context.settings.file_repositories) {
        return Some(problem.replace("spec.source", "operation.sync.source"));
    }
    let name = observed.spec.project_name();
    let permitted = context
        .project(name)
        .is_some_and(|(project, _)| project.permits_source(source));
    (!permitted).then(|| {
        format!(
            "application repo {} is not permitted in project '{name}'",
            redact_url(&source.repo_url)
        )
    })
}

/// A source to render.
struct SourceRequest<'a> {
    source: &'a ApplicationSource,
    /// A revision other than the source's own target revision.
    revision: Option<&'a str>,
    /// How old the refs may be.
    fresh: Option<Timestamp>,
    /// Trust nothing that was rendered before.
    hard: bool,
}

/// The targets of a source.
async fn render(
    context: &Context,
    observed: &mut Observed,
    request: &SourceRequest<'_>,
) -> SourceState {
    let failure = match try_render(context, observed, request).await {
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

struct Failure {
    message: String,
    transient: bool,
}

impl From<RepoError> for Failure {
    fn from(error: RepoError) -> Self {
        Self {
            transient: error.is_transient(),
            message: format!("Failed to load target state: {error}"),
        }
    }
}

impl From<RenderError> for Failure {
    fn from(error: RenderError) -> Self {
        Self {
            transient: false,
            message: format!("Failed to load target state: failed to generate manifest: {error}"),
        }
    }
}

/// The commit of a source.
async fn find_commit(
    context: &Context,
    observed: &mut Observed,
    request: &SourceRequest<'_>,
) -> Result<Resolved, Failure> {
    let url = request.source.repo_url.as_str();
    if let Some(commit) = request
        .revision
        .filter(|text| text.len() == 40 && text.bytes().all(|byte| byte.is_ascii_hexdigit()))
    {
        return Ok(Resolved {
            commit: commit.to_owned(),
            reference: None,
        });
    }
    let listed = context.repos.refs(url, request.fresh).await?;
    if let Some((error, since)) = &listed.failing
        && (observed.refresh.is_some() || lasted(context, *since))
    {
        // The last known commit is still synced; the condition shows that newer ones are not seen.
        observed.problems.push(Problem::remark(
            "ComparisonError",
            format!("cannot list the refs of the repository since {since:.0}: {error}"),
        ));
    }
    let revision = request.revision.unwrap_or(&request.source.target_revision);
    let prefix = &request.source.tag_prefix;
    Ok(context
        .repos
        .resolve(url, &listed.refs, revision, prefix)
        .await?)
}

async fn try_render(
    context: &Context,
    observed: &mut Observed,
    request: &SourceRequest<'_>,
) -> Result<SourceState, Failure> {
    let source = request.source;
    let at = find_commit(context, observed, request).await?;
    let repos = &context.repos;
    let folder = repos.folder_id(&source.repo_url, &at, &source.path).await?;
    let placement = Placement {
        instance: observed.instance.clone(),
        namespace: observed.spec.destination.namespace.clone(),
        managed: context.argo.current().managed.clone(),
    };
    let kinds = context.discovery.generation();
    let key = RenderKey::new(folder, source.directory.clone(), &placement, kinds);
    let commit = at.commit;
    if request.hard {
        context.rendered.remove(&key);
    } else if let Some(set) = context.rendered.get(&key) {
        return Ok(SourceState::Ready { commit, set });
    }
    let filter = DirectoryFilter::new(source.directory.as_ref());
    let wants = filter.clone();
    let files_request = FilesRequest {
        commit: commit.clone(),
        path: source.path.clone(),
        recurse: filter.recurse(),
        max_bytes: MAX_MANIFEST_BYTES,
        wanted: move |path: &str| wants.wants(path),
    };
    let files = repos.files(&source.repo_url, files_request).await?;
    let leaves_folder = files.leaves_folder;
    let explicit = source.directory.is_some();
    let discovery = context.discovery.clone();
    let set = repos
        .render(move |interrupt| {
            let scope = |group: &str, kind: &str| discovery.scope(group, kind);
            let request = RenderRequest {
                files: files.files,
                filter: &filter,
                explicit,
                placement: &placement,
                interrupt,
            };
            render_files(request, scope)
        })
        .await
        .map_err(RepoError::from)??;
    let set = Arc::new(set);
    tracing::debug!(application = %observed.key, %commit, objects = set.targets.len(), "rendered");
    if !leaves_folder {
        context.rendered.put(key, set.clone());
    }
    Ok(SourceState::Ready { commit, set })
}
