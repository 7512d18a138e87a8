//! Reads everything that a plan needs: Git, the live objects, and how the two compare.

use std::collections::{BTreeMap, HashMap, HashSet};

use expressions::glob;
use jiff::{SignedDuration, Timestamp};
use reconcile_core::object::Root;

use super::{
    Context, InvalidOperation, ObserveError, Observed, Place, Problem, Refresh, Skip, SourceState,
    live_state::{check_permissions, compare, live_of, note_handed_over},
    orphans,
    plan::deletion,
    source::read_git,
    validate,
};
use crate::{
    api::{
        ANNOTATION_COMPARE_OPTIONS, ANNOTATION_DELETION_APPROVED, ANNOTATION_REFRESH,
        ANNOTATION_SKIP_RECONCILE, Application, ApplicationDestination, ApplicationSpec, Operation,
        fields::APPLICATION, is_true,
    },
    clusters::{ClusterError, ConnectionState, DestinationError, GroupKind, instance_name},
    diff::WebhookChanges,
    project::{ServiceAccountError, SyncTarget, service_account},
};

/// Refs of this age are as good as new; it bounds the polls when many applications arrive at once.
const RECENT: SignedDuration = SignedDuration::from_secs(3);

/// Reads everything that a plan for `root` needs.
pub(super) async fn observe(
    context: &Context,
    root: &Root<Application>,
) -> Result<Observed, ObserveError> {
    let mut observed = begin(context, root);
    if observed.skip.is_some() {
        return Ok(observed);
    }
    observed.spec = match root.parse_spec() {
        Ok(spec) => spec,
        // A spec that cannot be read must not hold up the deletion.
        Err(_) if observed.deleting => ApplicationSpec {
            destination: destination_of(root),
            ..ApplicationSpec::default()
        },
        Err(error) => return Err(error.into()),
    };
    let cluster = match context.clusters.resolve(&observed.spec.destination) {
        Ok(spec) => {
            observed.destination = Ok(spec.destination.clone());
            if spec.skip {
                observed.skip = Some(Skip::SwitchedOff);
                return Ok(observed);
            }
            context.clusters.open(&observed.key, &spec)?
        }
        Err(error) => {
            context.clusters.forget(&observed.key);
            if observed.deleting && !error.is_unknown() {
                // Its Secret is still there: the objects go once it can be read.
                return Err(ClusterError::Unusable(error).into());
            }
            observed.destination = Err(error);
            if !observed.deleting {
                validate_spec(context, root, &mut observed);
            }
            return Ok(observed);
        }
    };
    if cluster.connection.state() == ConnectionState::Connecting {
        observed.skip = Some(Skip::Connecting);
        return Ok(observed);
    }
    cluster.connection.check()?;
    observed.turn = context.clusters.turn(&observed.key, &cluster);
    if observed.turn.is_none() {
        observed.skip = Some(Skip::Busy);
        return Ok(observed);
    }
    let at = Place {
        context,
        cluster: &cluster,
        client: &cluster.reads,
    };
    let work = observe_on(at, root, observed);
    // On the heap: the state of a whole pass is large.
    Box::pin(cluster.connection.guard(work)).await
}

/// The destination of a spec that may have other faults.
pub(crate) fn destination_of(root: &Root<Application>) -> ApplicationDestination {
    let spec = root.spec_value();
    let destination = spec.get("destination").cloned().unwrap_or_default();
    serde_json::from_value(destination).unwrap_or_default()
}

async fn observe_on(
    at: Place<'_>,
    root: &Root<Application>,
    mut observed: Observed,
) -> Result<Observed, ObserveError> {
    let now = at.context.clock.now();
    at.cluster.discovery.ensure().await?;
    observed.sync_user = sync_user(at.context, &observed);
    if observed.deleting {
        observe_deletion(at, root, &mut observed).await?;
        return Ok(observed);
    }
    let every = at.context.argo.current().hard_reconciliation;
    observed.hard_refresh = every
        .filter(|every| !every.is_zero())
        .map(|every| at.context.notes.hard_refresh(&observed.key, every, now));
    validate_spec(at.context, root, &mut observed);
    let blocked = observed.problems.iter().any(|problem| problem.blocks);
    if !blocked {
        let fresh = freshness(&observed, now);
        read_git(at, &mut observed, fresh).await?;
    }
    compare(at, &mut observed).await?;
    orphans::warn(at, &mut observed).await;
    Ok(observed)
}

/// The user that writes on the cluster in place of the controller, or why there is none.
fn sync_user(
    context: &Context,
    observed: &Observed,
) -> Result<Option<String>, ServiceAccountError> {
    let rule = context.argo.current().impersonation;
    let Ok(cluster) = &observed.destination else {
        return Ok(None);
    };
    if !rule.enabled {
        return Ok(None);
    }
    let name = observed.spec.project_name();
    // A project that does not exist or cannot be read names no account, and nothing takes its place.
    let readable = context.project(name).filter(|known| !known.blocks());
    let enforced = rule.enforced || readable.is_none();
    let items =
        (readable.as_ref()).map(|known| &known.project.spec.destination_service_accounts[..]);
    let target = SyncTarget {
        cluster,
        namespace: &observed.spec.destination.namespace,
        app_namespace: &observed.key.namespace,
    };
    match service_account(name, items.unwrap_or_default(), target) {
        Err(ServiceAccountError::NoMatch { .. }) if !enforced => Ok(None),
        found => found.map(Some),
    }
}

/// What the end of an application needs to know: its live objects, of every kind that it may have.
async fn observe_deletion(
    at: Place<'_>,
    root: &Root<Application>,
    observed: &mut Observed,
) -> Result<(), ObserveError> {
    let mut kinds: HashSet<GroupKind> = HashSet::new();
    let hooks = deletion::has_hook_finalizer(&observed.finalizers);
    if observed.status.resources.is_empty() || hooks {
        // It may have been synced without a note of it; then only Git knows the kinds. Hooks are in Git anyway.
        // The source must pass the same checks as before a sync, because hooks of it are run.
        validate_spec(at.context, root, observed);
        let blocking = observed.problems.iter().filter(|problem| problem.blocks);
        let reasons: Vec<&str> = blocking.map(|problem| problem.message.as_str()).collect();
        if reasons.is_empty() {
            read_git(at, observed, None).await?;
        } else {
            observed.source = SourceState::refused(reasons.join("; "));
        }
        if let Some((_, set)) = observed.source.ready() {
            kinds.extend(set.targets.iter().map(|target| target.id.kind.clone()));
        }
    }
    live_of(at, observed, &kinds).await?;
    if let Some((_, set)) = observed.source.ready() {
        let set = set.clone();
        check_permissions(at, observed, &set);
    }
    note_handed_over(at, observed);
    Ok(())
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
    if observed.refresh.is_some() || observed.is_hard() || asked {
        return Some(now);
    }
    let compared = observed.status.sync.as_ref().map(|sync| &sync.compared_to);
    let known = compared.is_some_and(|compared| {
        let spec = &observed.spec;
        compared.sources == spec.sources
            && (spec.has_several_sources() || compared.source == spec.source)
    });
    (!known).then(|| now.saturating_sub(RECENT).unwrap_or(now))
}

/// What the object itself says, without any other read.
pub(super) fn begin(context: &Context, root: &Root<Application>) -> Observed {
    let key = root.key();
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
        .is_some_and(is_true);
    let settings = &context.settings;
    let elsewhere = key.namespace != settings.control_plane
        && !settings
            .application_namespaces
            .iter()
            .any(|pattern| glob::answer(pattern, &key.namespace, &[]).allows());
    let skip = if switched_off || elsewhere {
        Some(Skip::SwitchedOff)
    } else {
        context.original.pod().map(Skip::Original)
    };
    let webhook_changes =
        compare_options(root.annotation(ANNOTATION_COMPARE_OPTIONS), &mut problems);
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
        old_status: root.status.clone(),
        operation: requested(root),
        deleting: root.is_deleting(),
        finalizers: root.metadata.finalizers.clone().unwrap_or_default(),
        skip,
        destination: Err(DestinationError::Missing),
        turn: None,
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
        namespace_refused: None,
        sync_user: Ok(None),
        handed_over: HashSet::new(),
        shared_definitions: BTreeMap::new(),
        windows: Vec::new(),
        webhook_changes,
        deleted_at: root.metadata.deletion_timestamp.as_ref().map(|time| time.0),
        approved_at: root
            .annotation(ANNOTATION_DELETION_APPROVED)
            .and_then(|text| text.trim().parse().ok()),
        settle_until: context.notes.settle_until(&key),
        hard_refresh: None,
        look_again: None,
        key,
    }
}

/// The request in the field `operation`, or what is wrong with it.
fn requested(root: &Root<Application>) -> Option<Result<Operation, InvalidOperation>> {
    let raw = root.request.as_ref().filter(|raw| raw.get() != "null")?;
    let unsupported = validate::unsupported(&root.request_value(), "operation", APPLICATION);
    let parsed = reconcile_core::object::parse_at::<Operation>("operation", raw.get());
    Some(match (parsed, unsupported) {
        (Err(error), _) => Err(InvalidOperation::Form(error.to_string())),
        (_, Some(list)) => Err(InvalidOperation::Unsupported(list)),
        (Ok(operation), None) => Ok(operation),
    })
}

/// The compare options of the Application. Whether the server is asked is not up to it: the two strategies of upstream
/// give one answer here, in which the server has the last word.
fn compare_options(text: Option<&str>, problems: &mut Vec<Problem>) -> WebhookChanges {
    let mut changes = WebhookChanges::Ignore;
    for option in text.unwrap_or_default().split(',').map(str::trim) {
        match option {
            "" | "ServerSideDiff=true" | "IncludeMutationWebhook=false" => {}
            "IncludeMutationWebhook=true" => changes = WebhookChanges::Count,
            other => problems.push(Problem::remark(
                "InvalidSpecError",
                format!("annotation {ANNOTATION_COMPARE_OPTIONS}: {other} is not supported on an Application"),
            )),
        }
    }
    changes
}

pub(super) fn validate_spec(context: &Context, root: &Root<Application>, observed: &mut Observed) {
    let name = observed.spec.project_name().to_owned();
    let known = context.project(&name);
    let mut problems = validate::problems(
        &root.spec_value(),
        &observed.spec,
        &observed.destination,
        known.as_ref().map(|known| &*known.project),
        context.repos.file_repositories(),
    );
    if let Some(known) = &known {
        let project = &known.project;
        observed.windows.clone_from(&project.spec.sync_windows);
        problems.extend(known.problems.iter().cloned());
        if !project.permits_namespace(&observed.key.namespace, &observed.control_plane) {
            problems.push(Problem::invalid_spec(format!(
                "application '{}' in namespace '{}' is not permitted to use project '{name}'",
                observed.key.name, observed.key.namespace
            )));
        }
    }
    observed.problems.extend(problems);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn compare_options_of_an_application_take_effect_or_are_remarked() {
        let read = |text: Option<&str>| {
            let mut problems = Vec::new();
            let changes = compare_options(text, &mut problems);
            (matches!(changes, WebhookChanges::Count), problems.len())
        };
        assert_eq!(read(None), (false, 0));
        assert_eq!(read(Some("")), (false, 0));
        assert_eq!(read(Some("ServerSideDiff=true")), (false, 0));
        let both = " ServerSideDiff=true, IncludeMutationWebhook=true";
        assert_eq!(read(Some(both)), (true, 0));
        assert_eq!(read(Some("IncludeMutationWebhook=false")), (false, 0));
        assert_eq!(read(Some("IgnoreExtraneous")), (false, 1));
    }
}
