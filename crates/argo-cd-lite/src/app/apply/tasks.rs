//! Tasks of a sync, group after group.

use std::{
    collections::HashSet,
    sync::Arc,
    time::{Duration, Instant},
};

use futures::{StreamExt, TryStreamExt, stream};
use jiff::SignedDuration;
use kube::api::PropagationPolicy;
use reconcile_core::apply::{Deleted, delete};

use super::{
    super::{ObserveError, Observed, Place, plan::Run},
    After, TaskOutcome, TaskOutcomes,
    object::{self, ApplyOptions},
    refusal::TaskError,
    since_begin,
};
use crate::{
    api::Phase,
    diff::IgnoreRules,
    metrics::SyncEnd,
    render::TargetSet,
    sync::plan::{Task, TaskKind},
};

/// Writes of one application at the same time; more would only queue in the API server, whose
/// fairness would then slow down everybody else.
const WRITES: usize = 24;
/// Time for controllers to see a change of an object whose status has no observed generation.
const SETTLE: Duration = Duration::from_secs(2);

/// Carries out a step of a sync.
pub(super) async fn run(
    at: Place<'_>,
    observed: &Observed,
    run: &Run,
) -> Result<TaskOutcomes, ObserveError> {
    let source = if run.own_source {
        observed.sync_source.as_ref()
    } else {
        Some(&observed.source)
    };
    let Some((_, set)) = source.and_then(|source| source.ready()) else {
        return Ok(TaskOutcomes::default());
    };
    let runner = TaskRunner {
        at,
        observed,
        run,
        set,
        rules: observed
            .ignore_rules()
            .with_settings(&at.context.argo.current()),
        mode: mode(run),
        began: Instant::now(),
    };
    let mut tasks = TaskOutcomes {
        dry_run: run.dry_run_only,
        ..TaskOutcomes::default()
    };
    let tried = runner.dry_run().await?;
    if tried.iter().any(failed) || run.dry_run_only {
        tasks.refused = tried.iter().any(failed);
        tasks.outcomes = tried;
        if run.dry_run_only {
            let phase = if tasks.refused {
                Phase::Failed
            } else {
                Phase::Succeeded
            };
            runner.count(phase);
        } else {
            tasks.outcomes.retain(failed);
        }
        return Ok(tasks);
    }
    for group in &run.groups {
        // By position: the compiler cannot prove a stream of references to be Send.
        let outcomes: Vec<TaskOutcome> = stream::iter(0..group.len())
            .map(|at| runner.carry_out(&group[at]))
            .buffer_unordered(WRITES)
            .try_collect()
            .await?;
        let stop = outcomes.iter().any(failed);
        tasks.outcomes.extend(outcomes);
        if stop {
            break;
        }
        runner.await_definitions(group).await?;
    }
    tasks.outcomes.sort_by(|a, b| a.id.cmp(&b.id));
    runner.note_settling(&tasks.outcomes);
    if run.last {
        let phase = if tasks.outcomes.iter().any(failed) {
            Phase::Failed
        } else {
            Phase::Succeeded
        };
        runner.count(phase);
    }
    Ok(tasks)
}

fn mode(run: &Run) -> ApplyOptions {
    ApplyOptions {
        replace: run.options.has("Replace=true"),
        force: run.force || run.options.has("Force=true"),
        respect_ignored: run.options.has("RespectIgnoreDifferences=true"),
        validate: !run.options.has("Validate=false"),
        take_over: !run.options.has("ClientSideApplyMigration=false"),
        propagation: match run.options.value("PrunePropagationPolicy") {
            Some("background") => PropagationPolicy::Background,
            Some("orphan") => PropagationPolicy::Orphan,
            _ => PropagationPolicy::Foreground,
        },
    }
}

fn failed(outcome: &TaskOutcome) -> bool {
    outcome.row.hook_phase.is_some_and(Phase::unsuccessful)
}

struct TaskRunner<'a> {
    at: Place<'a>,
    observed: &'a Observed,
    run: &'a Run,
    set: &'a Arc<TargetSet>,
    rules: IgnoreRules,
    mode: ApplyOptions,
    began: Instant,
}

impl TaskRunner<'_> {
    /// The sync has ended; for the metrics.
    fn count(&self, phase: Phase) {
        self.at.context.metrics.synced(&SyncEnd {
            app: &self.observed.key,
            project: self.observed.spec.project_name(),
            server: self.observed.server(),
            phase,
            dry_run: self.run.dry_run_only,
            // Most syncs begin and end in one pass.
            seconds: since_begin(self.observed, self.at.context.clock.now())
                .max(self.began.elapsed().as_secs_f64()),
        });
    }

    /// Tries the tasks without effect. What cannot be judged because something that this sync brings is not there yet
    /// counts as fine.
    async fn dry_run(&self) -> Result<Vec<TaskOutcome>, ObserveError> {
        let coming: HashSet<&str> = self
            .set
            .targets
            .iter()
            .filter(|target| {
                target.id.kind.is("", "Namespace") && !self.observed.live.contains_key(&target.id)
            })
            .map(|target| target.id.name.as_ref())
            .collect();
        let missing = self
            .observed
            .create_namespace
            .then_some(self.observed.spec.destination.namespace.as_str());
        let possible = |task: &Task| {
            let namespace = task.id.namespace.as_ref();
            task.is_delete()
                || (!coming.contains(namespace)
                    && missing != Some(namespace)
                    && !self.observed.unserved.contains(&task.id.kind))
        };
        let tasks = &self.run.dry_run;
        let chosen: Vec<usize> = (0..tasks.len())
            .filter(|at| possible(&tasks[*at]))
            .collect();
        stream::iter(chosen)
            .map(|at| self.dry_run_one(&tasks[at]))
            .buffer_unordered(WRITES)
            .try_collect()
            .await
    }

    async fn dry_run_one(&self, task: &Task) -> Result<TaskOutcome, ObserveError> {
        let mut row = task.new_row();
        let what = match task.target() {
            None if matches!(task.kind, TaskKind::Prune) => Ok("pruned".to_owned()),
            None if matches!(task.kind, TaskKind::ConfirmPrune) => {
                Ok("pruned after confirmation".to_owned())
            }
            None => Ok("ignored (requires pruning)".to_owned()),
            Some(index) => {
                let manifest =
                    object::manifest(task, &self.set.targets[index], &self.run.operation);
                object::dry_run(self.at, task, &manifest, &self.mode).await
            }
        };
        match what {
            Ok(message) => {
                "Synced".clone_into(&mut row.status);
                row.message = format!("{message} (dry run)");
                row.hook_phase = Some(Phase::Succeeded);
            }
            Err(error) => fail(&mut row, error.refusal()?),
        }
        Ok(TaskOutcome::unknown(task, row))
    }

    async fn carry_out(&self, task: &Task) -> Result<TaskOutcome, ObserveError> {
        match task.kind {
            TaskKind::SkipPrune(why) => {
                let mut row = task.new_row();
                "PruneSkipped".clone_into(&mut row.status);
                why.clone_into(&mut row.message);
                row.hook_phase = Some(Phase::Succeeded);
                Ok(TaskOutcome::unknown(task, row))
            }
            // The plan waits for the confirmation before it runs anything of the wave.
            TaskKind::ConfirmPrune => Ok(TaskOutcome::unknown(task, task.new_row())),
            TaskKind::Prune => self.prune(task).await,
            TaskKind::Apply(index) | TaskKind::Hook(index) => self.apply(task, index).await,
        }
    }

    async fn apply(&self, task: &Task, index: usize) -> Result<TaskOutcome, ObserveError> {
        let target = &self.set.targets[index];
        let mut row = task.new_row();
        let manifest = object::manifest(task, target, &self.run.operation);
        let applied = object::apply(self.at, task, manifest, &self.mode, &self.rules).await;
        let object::AppliedObject { live, message } = match applied {
            Ok(applied) => applied,
            Err(error) => {
                fail(&mut row, error.refusal()?);
                return Ok(TaskOutcome::unknown(task, row));
            }
        };
        row.message = message;
        row.images = target.images.iter().map(ToString::to_string).collect();
        if !task.is_hook() {
            "Synced".clone_into(&mut row.status);
            self.at.cluster.differ.applied(target, &live, &self.rules);
        }
        Ok(TaskOutcome {
            id: task.id.clone(),
            row,
            after: After::Is(live),
            same: !task.is_hook(),
        })
    }

    async fn prune(&self, task: &Task) -> Result<TaskOutcome, ObserveError> {
        let mut row = task.new_row();
        "Pruned".clone_into(&mut row.status);
        "pruned".clone_into(&mut row.message);
        row.hook_phase = Some(Phase::Succeeded);
        let mut after = After::Gone;
        if let Some(live) = &task.live {
            after = After::Unknown;
            if !live.deleting {
                match self.delete(task, &live.uid).await {
                    Ok(now) => after = now,
                    Err(error) => fail(&mut row, error.refusal()?),
                }
            }
        }
        Ok(TaskOutcome {
            id: task.id.clone(),
            row,
            after,
            same: false,
        })
    }

    /// Deletes the object of a task.
    async fn delete(&self, task: &Task, uid: &str) -> Result<After, TaskError> {
        let Some(served) = self.at.cluster.discovery.preferred(&task.id.kind) else {
            return Err(TaskError::Refused(format!(
                "the cluster does not serve kind {} any more",
                task.id.kind
            )));
        };
        let deleted = delete(
            self.at.client,
            &served.resource,
            &task.id.key(),
            Some(uid),
            self.mode.propagation.clone(),
        )
        .await?;
        Ok(match deleted {
            Deleted::Gone => {
                self.at.cluster.live.deleted(&task.id, uid);
                After::Gone
            }
            // The next wave waits until it is gone, even before the watch reports it.
            Deleted::Pending => self
                .at
                .cluster
                .live
                .going(&task.id, uid)
                .map_or(After::Unknown, After::Is),
        })
    }

    /// Objects of a new kind can only follow when the API server serves it.
    async fn await_definitions(&self, group: &[Task]) -> Result<(), ObserveError> {
        let definitions: Vec<&Task> = group
            .iter()
            .filter(|task| {
                &*task.id.kind.kind == "CustomResourceDefinition" && task.target().is_some()
            })
            .collect();
        if definitions.is_empty() {
            return Ok(());
        }
        for task in definitions {
            object::await_established(self.at, &task.id).await?;
        }
        self.at.cluster.discovery.refresh_now().await?;
        Ok(())
    }

    fn note_settling(&self, outcomes: &[TaskOutcome]) {
        let checks = self.at.context.checks();
        let needs_time = |outcome: &&TaskOutcome| {
            let kind = &outcome.id.kind;
            outcome.row.message.ends_with("configured")
                && checks.has_rule(&kind.group, &kind.kind)
                && !checks.is_generation_aware(&kind.group, &kind.kind)
        };
        let delay = match self.at.context.settings.wave_delay {
            Some(delay) => delay,
            // A new object has no status yet, and kinds with an observed generation show how fresh theirs is.
            None if outcomes.iter().any(|outcome| needs_time(&outcome)) => SETTLE,
            None => Duration::ZERO,
        };
        let until = (!delay.is_zero() && !self.run.last).then(|| {
            let delay = SignedDuration::try_from(delay).unwrap_or(SignedDuration::ZERO);
            self.at
                .context
                .clock
                .now()
                .saturating_add(delay)
                .unwrap_or(jiff::Timestamp::MAX)
        });
        self.at.context.notes.set_settle(&self.observed.key, until);
    }
}

fn fail(row: &mut crate::api::ResourceResult, reason: String) {
    "SyncFailed".clone_into(&mut row.status);
    row.message = reason;
    row.hook_phase = Some(Phase::Failed);
}
