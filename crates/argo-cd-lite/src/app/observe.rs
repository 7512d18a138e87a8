//! Reads everything that a plan needs: Git, the live objects, and how the two compare.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    sync::Arc,
};

use futures::{StreamExt, stream};
use jiff::{SignedDuration, Timestamp};
use kube::core::GroupVersionKind;
use reconcile_core::{
    apply::{ApplyError, get, resource_of},
    object::{FieldError, ObjectKey, Root},
    reconcile::{Classify, ErrorClass},
};
use thiserror::Error;

use super::{Context, Observed, Problem, Refresh, SourceState, validate};
use crate::{
    api::{
        ANNOTATION_REFRESH, ANNOTATION_SKIP_RECONCILE, Application, ApplicationSource,
        ApplicationSpec, Operation, OperationState, fields::APPLICATION,
    },
    cluster::{DiscoveryError, GroupKind, Live, LiveError, ResourceId, instance_name},
    diff::{DiffError, IgnoreRules},
    glob,
    project::Project,
    render::{
        DirectoryFilter, MAX_MANIFEST_BYTES, Placement, RenderError, RenderKey, Scope, TargetSet,
        build, objects,
    },
    repo::{RepoError, Resolved},
    sync::SyncOptions,
};

/// Comparisons of one application that run at the same time.
const COMPARISONS: usize = 16;

/// Refs of this age are as good as new; it bounds the polls when many applications arrive at once.
const RECENT: SignedDuration = SignedDuration::from_secs(3);

/// Reading or writing failed.
#[derive(Debug, Error)]
pub enum ObserveError {
    /// The spec has a wrong form.
    #[error(transparent)]
    Spec(#[from] FieldError),
    /// Kinds.
    #[error(transparent)]
    Discovery(#[from] DiscoveryError),
    /// Live objects.
    #[error(transparent)]
    Live(#[from] LiveError),
    /// Comparison.
    #[error(transparent)]
    Diff(#[from] DiffError),
    /// A read or write of a single object.
    #[error(transparent)]
    Api(#[from] ApplyError),
}

impl Classify for ObserveError {
    fn class(&self) -> ErrorClass {
        match self {
            Self::Spec(error) => error.class(),
            Self::Discovery(error) => error.class(),
            Self::Live(error) => error.class(),
            Self::Diff(error) => error.class(),
            Self::Api(error) => error.class(),
        }
    }
}

/// Reads everything that a plan for `root` needs.
pub(super) async fn observe(
    context: &Context,
    root: &Root<Application>,
) -> Result<Observed, ObserveError> {
    let now = context.clock.now();
    let mut observed = begin(context, root);
    if observed.skip {
        return Ok(observed);
    }
    context.discovery.ensure().await?;
    if observed.deleting {
        observe_deletion(context, root, &mut observed).await?;
        return Ok(observed);
    }
    observed.spec = root.parse_spec()?;
    validate_spec(context, root, &mut observed);
    let blocked = observed.problems.iter().any(|problem| problem.blocks);
    if !blocked {
        let fresh = freshness(&observed, now);
        read_git(context, &mut observed, fresh).await?;
    }
    compare(context, &mut observed).await?;
    Ok(observed)
}

/// What the end of an application needs to know: its live objects, of every kind that it may have.
async fn observe_deletion(
    context: &Context,
    root: &Root<Application>,
    observed: &mut Observed,
) -> Result<(), ObserveError> {
    let mut kinds: HashSet<GroupKind> = HashSet::new();
    // A spec or a repository that cannot be read must not hold up the deletion.
    observed.spec = root.parse_spec().unwrap_or_default();
    if observed.status.resources.is_empty() {
        // It may have been synced without a note of it; then only Git knows the kinds.
        read_git(context, observed, None).await?;
        if let Some((_, set)) = observed.source.ready() {
            kinds.extend(set.targets.iter().map(|target| target.id.kind.clone()));
        }
    }
    live_of(context, observed, &kinds).await
}

/// How old the refs of the repository may be: a request for a refresh or a sync wants them from now on; a
/// new application or another source wants them recent; otherwise the poll keeps them.
fn freshness(observed: &Observed, now: Timestamp) -> Option<Timestamp> {
    let asked = observed.operation.is_some()
        && observed
            .status
            .operation_state
            .as_ref()
            .is_none_or(|state| state.phase.completed());
    if observed.refresh.is_some() || asked {
        return Some(now);
    }
    let compared = observed.status.sync.as_ref().map(|sync| &sync.compared_to);
    let known = compared.is_some_and(|compared| compared.source == observed.spec.source);
    (!known).then(|| now.saturating_sub(RECENT).unwrap_or(now))
}

/// What the object itself tells, without reading anything else.
fn begin(context: &Context, root: &Root<Application>) -> Observed {
    let key = root.key();
    let raw_operation = root.operation_value();
    let operation = match &root.operation {
        Some(raw) if raw.get() != "null" => {
            let unsupported = validate::unsupported(&raw_operation, "operation", APPLICATION);
            let parsed = reconcile_core::object::parse_at::<Operation>("operation", raw.get());
            Some(match (parsed, unsupported) {
                (Err(error), _) => Err(error.to_string()),
                (_, Some(list)) => Err(format!("not supported yet: {list}")),
                (Ok(operation), None) => Ok(operation),
            })
        }
        _ => None,
    };
    let status = root.parse_status();
    let mut problems = Vec::new();
    if let Err(error) = &status {
        problems.push(Problem::remark(
            "UnknownError",
            format!("the stored status cannot be read: {error}"),
        ));
    }
    let switched_off = root
        .annotation(ANNOTATION_SKIP_RECONCILE)
        .is_some_and(|text| {
            // The words that Go takes for true.
            matches!(text, "1" | "t" | "T" | "TRUE" | "true" | "True")
        });
    let settings = &context.settings;
    let elsewhere = key.namespace != settings.control_plane
        && !settings
            .application_namespaces
            .iter()
            .any(|pattern| glob::matches(pattern, &key.namespace, &[]));
    let skip = switched_off || elsewhere;
    let refresh = root.annotation(ANNOTATION_REFRESH).map(|text| {
        if text == "hard" {
            Refresh::Hard
        } else {
            Refresh::Normal
        }
    });
    Observed {
        instance: instance_name(&key, &context.settings.control_plane),
        control_plane: context.settings.control_plane.clone(),
        spec: ApplicationSpec::default(),
        status: status.unwrap_or_default(),
        old_status: root.status_value(),
        operation,
        deleting: root.is_deleting(),
        finalizers: root.metadata.finalizers.clone().unwrap_or_default(),
        skip,
        refresh,
        source: SourceState::NotAsked,
        sync_source: None,
        live: HashMap::new(),
        live_complete: false,
        same: HashSet::new(),
        refused: BTreeMap::new(),
        unserved: HashSet::new(),
        problems,
        create_namespace: false,
        settle_until: context.memory.settle_until(&key),
        key,
    }
}

fn validate_spec(context: &Context, root: &Root<Application>, observed: &mut Observed) {
    let name = observed.spec.project_name().to_owned();
    let project = project_of(context, &name);
    let mut problems = validate::problems(
        &root.spec_value(),
        &observed.spec,
        project.as_ref().map(|(project, _)| project),
    );
    if let Some((project, unsupported)) = &project {
        problems.extend(unsupported.iter().cloned());
        if !project.permits_namespace(&observed.key.namespace, &observed.control_plane) {
            problems.push(Problem::invalid_spec(format!(
                "application '{}' in namespace '{}' is not permitted to use project '{name}'",
                observed.key.name, observed.key.namespace
            )));
        }
    }
    observed.problems.extend(problems);
}

fn project_of(context: &Context, name: &str) -> Option<(Project, Vec<Problem>)> {
    let root = context
        .projects
        .get(&ObjectKey::new(&*context.settings.control_plane, name))?;
    let mut problems = validate::project_problems(name, &root.spec_value());
    let spec = match root.parse_spec() {
        Ok(spec) => spec,
        Err(error) => {
            problems.push(Problem::invalid_spec(format!("project {name}: {error}")));
            crate::api::AppProjectSpec::default()
        }
    };
    Some((
        Project {
            name: name.to_owned(),
            spec,
        },
        problems,
    ))
}

/// The operation in work: the stored one while it has not ended, else the request.
pub(super) fn current_operation(observed: &Observed) -> Option<&Operation> {
    let running = observed
        .status
        .operation_state
        .as_ref()
        .filter(|state| !state.phase.completed());
    running
        .map(|state: &OperationState| &state.operation)
        .or_else(|| observed.operation.as_ref()?.as_ref().ok())
}

async fn read_git(
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
    let wanted = Wanted {
        source: &source,
        revision: None,
        fresh,
        hard,
    };
    observed.source = render(context, observed, &wanted).await;
    // The operation may be pinned to another commit, or bring a source of its own.
    let Some(operation) = current_operation(observed) else {
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
    let source = own_source.unwrap_or(source);
    let revision = (!revision.is_empty()).then_some(revision);
    let wanted = Wanted {
        source: &source,
        revision: revision.as_deref(),
        fresh: None,
        hard,
    };
    observed.sync_source = Some(render(context, observed, &wanted).await);
    Ok(())
}

/// A source to render.
struct Wanted<'a> {
    source: &'a ApplicationSource,
    /// A revision other than the source's own target revision.
    revision: Option<&'a str>,
    /// How old the refs may be.
    fresh: Option<Timestamp>,
    /// Trust nothing that was rendered before.
    hard: bool,
}

/// The targets of a source.
async fn render(context: &Context, observed: &mut Observed, wanted: &Wanted<'_>) -> SourceState {
    let failure = match try_render(context, observed, wanted).await {
        Ok(state) => {
            context.memory.repository_works(&observed.key);
            return state;
        }
        Err(failure) => failure,
    };
    let now = context.clock.now();
    let lasts =
        failure.transient && lasted(context, context.memory.repository_fails(&observed.key, now));
    SourceState::Failed {
        message: failure.message,
        transient: failure.transient,
        // Grace only keeps a status that there already is, and nobody asked for news.
        grace: failure.transient
            && !lasts
            && observed.status.sync.is_some()
            && observed.refresh.is_none(),
    }
}

/// True when something has failed since `since` for so long that it must be said.
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
    wanted: &Wanted<'_>,
) -> Result<Resolved, Failure> {
    let url = wanted.source.repo_url.as_str();
    if let Some(commit) = wanted.revision.filter(|text| text.len() == 40) {
        return Ok(Resolved {
            commit: commit.to_owned(),
            reference: None,
        });
    }
    let listed = context.repos.refs(url, wanted.fresh).await?;
    if let Some((error, since)) = &listed.failing
        && (observed.refresh.is_some() || lasted(context, *since))
    {
        // The cluster is still kept as the last known commit says; but a person should know.
        observed.problems.push(Problem::remark(
            "ComparisonError",
            format!("the repository cannot be asked for news since {since:.0}: {error}"),
        ));
    }
    let revision = wanted.revision.unwrap_or(&wanted.source.target_revision);
    let prefix = &wanted.source.tag_prefix;
    Ok(context
        .repos
        .resolve(url, &listed.refs, revision, prefix)
        .await?)
}

async fn try_render(
    context: &Context,
    observed: &mut Observed,
    wanted: &Wanted<'_>,
) -> Result<SourceState, Failure> {
    let source = wanted.source;
    let at = find_commit(context, observed, wanted).await?;
    let repos = &context.repos;
    let folder = repos.folder_id(&source.repo_url, &at, &source.path).await?;
    let placement = Placement {
        instance: observed.instance.clone(),
        namespace: observed.spec.destination.namespace.clone(),
    };
    let kinds = context.discovery.generation();
    let key = RenderKey::new(folder, source.directory.clone(), &placement, kinds);
    let commit = at.commit;
    if wanted.hard {
        context.rendered.remove(&key);
    } else if let Some(set) = context.rendered.get(&key) {
        return Ok(SourceState::Ready { commit, set });
    }
    let filter = DirectoryFilter::new(source.directory.as_ref());
    let wants = filter.clone();
    let files = repos
        .files(
            &source.repo_url,
            &commit,
            &source.path,
            filter.recurse(),
            MAX_MANIFEST_BYTES,
            move |path| wants.wants(path),
        )
        .await?;
    let objects = objects(&files.files, &filter, source.directory.is_some())?;
    let scope = |group: &str, kind: &str| context.discovery.scope(group, kind);
    let set = Arc::new(build(objects, &placement, scope));
    tracing::debug!(application = %observed.key, %commit, objects = set.targets.len(), "rendered");
    if !files.leaves_folder {
        context.rendered.put(key, set.clone());
    }
    Ok(SourceState::Ready { commit, set })
}

/// Reads the live objects and compares the targets with them.
async fn compare(context: &Context, observed: &mut Observed) -> Result<(), ObserveError> {
    let sets: Vec<Arc<TargetSet>> = [Some(&observed.source), observed.sync_source.as_ref()]
        .into_iter()
        .flatten()
        .filter_map(|source| source.ready().map(|(_, set)| set.clone()))
        .collect();
    let mut kinds: HashSet<GroupKind> = HashSet::new();
    for set in &sets {
        kinds.extend(set.targets.iter().map(|target| target.id.kind.clone()));
    }
    find_unserved(context, observed, &kinds).await?;
    live_of(context, observed, &kinds).await?;
    aim(context, observed, &sets).await?;
    for set in &sets {
        check_permissions(context, observed, set);
    }
    if let Some((_, set)) = observed.source.ready() {
        let set = set.clone();
        observed.same = same(context, observed, &set).await?;
    }
    observed.create_namespace = namespace_is_missing(context, observed).await?;
    Ok(())
}

async fn find_unserved(
    context: &Context,
    observed: &mut Observed,
    kinds: &HashSet<GroupKind>,
) -> Result<(), ObserveError> {
    let missing = || -> HashSet<GroupKind> {
        kinds
            .iter()
            .filter(|kind| context.discovery.preferred(kind).is_none())
            .cloned()
            .collect()
    };
    observed.unserved = missing();
    if !observed.unserved.is_empty() {
        context.discovery.refresh(false).await?;
        observed.unserved = missing();
    }
    Ok(())
}

/// Reads the live objects of `kinds` and of every kind that the status tells of.
async fn live_of(
    context: &Context,
    observed: &mut Observed,
    kinds: &HashSet<GroupKind>,
) -> Result<(), ObserveError> {
    let mut kinds = kinds.clone();
    kinds.extend(
        observed
            .status
            .resources
            .iter()
            .map(|row| GroupKind::new(row.group.as_str(), row.kind.as_str())),
    );
    let results = observed
        .status
        .operation_state
        .as_ref()
        .and_then(|state| state.sync_result.as_ref());
    for row in results
        .map(|result| result.resources.as_slice())
        .unwrap_or_default()
    {
        kinds.insert(GroupKind::new(row.group.as_str(), row.kind.as_str()));
    }
    context.live.ensure(&kinds).await?;
    observed.live = context
        .live
        .of_instance(&observed.instance)
        .into_iter()
        .collect();
    observed.live_complete = true;
    Ok(())
}

/// Makes sure that untracked objects at the places of targets are seen.
async fn aim(
    context: &Context,
    observed: &mut Observed,
    sets: &[Arc<TargetSet>],
) -> Result<(), ObserveError> {
    let mut ids: Vec<ResourceId> = sets
        .iter()
        .flat_map(|set| &set.targets)
        .filter(|target| target.generate_name.is_none())
        .map(|target| target.id.clone())
        .collect();
    ids.sort();
    ids.dedup();
    // A new application that syncs by itself will apply everything in this very pass, whatever is there.
    let look = observed.spec.automated().is_none() || observed.status.sync.is_some();
    context.live.aim(&observed.key, ids.clone(), look).await?;
    for id in ids {
        if !observed.live.contains_key(&id)
            && let Some(live) = context.live.get(&id)
        {
            observed.live.insert(id, live);
        }
    }
    Ok(())
}

fn check_permissions(context: &Context, observed: &mut Observed, set: &TargetSet) {
    let name = observed.spec.project_name().to_owned();
    let Some((project, _)) = project_of(context, &name) else {
        return;
    };
    for target in &set.targets {
        let scope = context
            .discovery
            .scope(&target.id.kind.group, &target.id.kind.kind);
        if scope != Scope::Unserved
            && !project.permits_object(&target.id, scope == Scope::Namespaced)
        {
            observed.refused.insert(
                target.id.clone(),
                format!("{} is not permitted in project {name}", target.id),
            );
        }
    }
}

async fn same(
    context: &Context,
    observed: &Observed,
    set: &TargetSet,
) -> Result<HashSet<ResourceId>, ObserveError> {
    let rules = IgnoreRules::new(&observed.spec.ignore_differences);
    let pairs: Vec<(usize, Arc<Live>)> = set
        .targets
        .iter()
        .enumerate()
        .filter(|(_, target)| !target.marks.is_hook() && target.generate_name.is_none())
        .filter_map(|(at, target)| Some((at, observed.live.get(&target.id)?.clone())))
        .collect();
    let mut verdicts = stream::iter(pairs)
        .map(|(at, live)| {
            let rules = &rules;
            async move {
                let target = &set.targets[at];
                let served = context
                    .discovery
                    .version(&target.id.kind, &target.version)
                    .or_else(|| context.discovery.preferred(&target.id.kind));
                let Some(served) = served else {
                    return Ok((at, false));
                };
                context
                    .differ
                    .same(target, &live, &served.resource, rules)
                    .await
                    .map(|same| (at, same))
            }
        })
        .buffer_unordered(COMPARISONS);
    let mut same = HashSet::new();
    while let Some(verdict) = verdicts.next().await {
        let (at, is_same) = verdict?;
        if is_same {
            same.insert(set.targets[at].id.clone());
        }
    }
    Ok(same)
}

/// True when a sync would have to create the destination namespace.
async fn namespace_is_missing(
    context: &Context,
    observed: &Observed,
) -> Result<bool, ObserveError> {
    let name = observed.spec.destination.namespace.as_str();
    let options = sync_options(observed);
    if name.is_empty()
        || !options.has("CreateNamespace=true")
        || context.memory.knows_namespace(name)
    {
        return Ok(false);
    }
    let resource = resource_of(&GroupVersionKind::gvk("", "v1", "Namespace"), "namespaces");
    let found = get(&context.client, &resource, &ObjectKey::new("", name)).await?;
    context.memory.set_namespace(name, found.is_some());
    Ok(found.is_none())
}

/// Options of the operation in work, or of the application while there is none.
pub(super) fn sync_options(observed: &Observed) -> SyncOptions {
    let operation = current_operation(observed).and_then(|operation| operation.sync.as_ref());
    let list: &[String] = match operation {
        Some(sync) if !sync.sync_options.is_empty() => &sync.sync_options,
        _ => observed
            .spec
            .sync_policy
            .as_ref()
            .map(|policy| policy.sync_options.as_slice())
            .unwrap_or_default(),
    };
    SyncOptions::from_list(list.iter().map(String::as_str))
}
