//! Which AnalysisRuns should exist for the Rollout, and what their verdicts mean for it.

use std::sync::Arc;

use reconcile_core::reconcile::EventNote;

use super::{
    action::{Action, RunRef},
    facts,
    work::Work,
};
use crate::{
    analysis::{
        RunView,
        build::{ROLLOUT_TYPE_LABEL, RunType, STEP_INDEX_LABEL},
    },
    api::{
        analysis::AnalysisPhase,
        rollout::{HASH_LABEL, PauseReason, RunStatus},
    },
    rollout::world::{BlueGreen, Canary, Step},
};

/// The runs that the status of a Rollout names.
fn slot<'s>(work: &'s mut Work<'_>, run_type: RunType) -> &'s mut Option<RunStatus> {
    let status = &mut work.status;
    match run_type {
        RunType::Step(_) => &mut status.canary.current_step_analysis_run_status,
        RunType::Background => &mut status.canary.current_background_analysis_run_status,
        RunType::PrePromotion => &mut status.blue_green.pre_promotion_analysis_run_status,
        RunType::PostPromotion => &mut status.blue_green.post_promotion_analysis_run_status,
    }
}

/// Runs of a canary: the one of the step, and the one beside the steps.
pub(super) fn canary(work: &mut Work<'_>, canary: &Canary) {
    if facts::is_analysis_off(work) {
        return stop_all(work);
    }
    match facts::current_step(work, canary) {
        Some((index, Step::Analysis(_))) => {
            if is_of_another_step(work, index) {
                // A person promoted past an analysis to the next one.
                discard(work, RunType::Step(index));
            }
            require(
                work,
                RunType::Step(index),
                "Step-based analysis phase error/failed",
            );
        }
        _ => discard(work, RunType::Step(0)),
    }
    let index = work.status.current_step_index.unwrap_or_default();
    match &canary.analysis {
        Some((_, starting_step)) if !work.is_stable() => {
            if index >= *starting_step {
                require(
                    work,
                    RunType::Background,
                    "Background analysis phase error/failed",
                );
            }
        }
        _ => discard(work, RunType::Background),
    }
}

/// Runs of a blue-green update: the one before the switch, and the one after it.
pub(super) fn blue_green(
    work: &mut Work<'_>,
    rules: &BlueGreen,
    saturated: bool,
    active_hash: &str,
) {
    if facts::is_analysis_off(work) {
        return stop_all(work);
    }
    let switched = active_hash == work.newest_hash();
    if rules.pre_analysis.is_some() && !switched && !work.is_stable() {
        if saturated
            || work
                .status
                .blue_green
                .pre_promotion_analysis_run_status
                .is_some()
        {
            require(
                work,
                RunType::PrePromotion,
                "Pre-promotion analysis phase error/failed",
            );
        }
    } else {
        finish(work, RunType::PrePromotion);
    }
    if rules.post_analysis.is_some() && switched && !work.is_stable() {
        require(
            work,
            RunType::PostPromotion,
            "Post-promotion analysis phase error/failed",
        );
    } else {
        finish(work, RunType::PostPromotion);
    }
}

/// True when the run that the status names was made for another step.
fn is_of_another_step(work: &Work<'_>, index: i32) -> bool {
    let named = work.status.canary.current_step_analysis_run_status.as_ref();
    named
        .and_then(|run| work.run(&run.name))
        .and_then(|view| view.labels.get(STEP_INDEX_LABEL))
        .is_some_and(|step| *step != index.to_string())
}

/// True when the run has ended well.
pub(super) fn succeeded(work: &mut Work<'_>, run_type: RunType) -> bool {
    slot(work, run_type)
        .as_ref()
        .is_some_and(|run| run.status == AnalysisPhase::Successful.as_str())
}

/// True when the run of the current step has ended well.
pub(super) fn step_succeeded(work: &mut Work<'_>) -> bool {
    succeeded(work, RunType::Step(0))
}

/// As [`refresh`], and tells when the run has come to another phase.
fn follow(work: &mut Work<'_>, run_type: RunType) -> Option<Arc<RunView>> {
    let old = slot(work, run_type).as_ref()?.status.clone();
    let view = refresh(work, run_type)?;
    let phase = &view.phase;
    if *phase != AnalysisPhase::Unset && phase.as_str() != old {
        let text = format!(
            "{} Analysis Run '{}' Status New: '{phase}' Previous: '{old}'",
            run_type.label(),
            view.key.name
        );
        let reason = format!("AnalysisRun{phase}");
        work.events.push(match phase {
            AnalysisPhase::Failed | AnalysisPhase::Error => EventNote::warning(reason, text),
            _ => EventNote::normal(reason, text),
        });
    }
    Some(view)
}

/// Brings what the status says about the run up to date.
fn refresh(work: &mut Work<'_>, run_type: RunType) -> Option<Arc<RunView>> {
    let name = slot(work, run_type).as_ref()?.name.clone();
    let view = work.run(&name).cloned()?;
    let fresh = RunStatus {
        name,
        status: view.phase.as_str().to_owned(),
        message: view.message.clone(),
    };
    *slot(work, run_type) = Some(fresh);
    Some(view)
}

fn require(work: &mut Work<'_>, run_type: RunType, blame: &str) {
    let current = follow(work, run_type);
    let again = current
        .as_ref()
        .is_some_and(|run| run.phase == AnalysisPhase::Inconclusive && work.resumed);
    if again && matches!(run_type, RunType::PrePromotion | RunType::PostPromotion) {
        // The resumption was about this verdict, not about the pause before the switch.
        work.clear_pauses();
    }
    let Some(current) = current.filter(|_| !again) else {
        return start(work, run_type);
    };
    match current.phase {
        AnalysisPhase::Inconclusive => work.add_pause(PauseReason::InconclusiveAnalysisRun),
        AnalysisPhase::Error | AnalysisPhase::Failed => {
            work.abort(format!("{blame}: {}", current.message));
        }
        _ => {}
    }
}

fn start(work: &mut Work<'_>, run_type: RunType) {
    // Nothing is judged while a person holds the Rollout back, and nothing twice in one pass.
    if work.is_halted() || work.started.contains(&run_type) {
        return;
    }
    work.started.push(run_type);
    *slot(work, run_type) = None;
    work.note(format!("starting the {} analysis", run_type.label()));
    let action = Action::StartRun {
        run_type,
        hash: work.newest_hash(),
        revision: work.new_set().revision,
    };
    work.runs.push(action);
}

/// Ends the run and forgets it.
fn discard(work: &mut Work<'_>, run_type: RunType) {
    if let Some(run) = slot(work, run_type).take() {
        work.terminate(&run.name);
    }
}

/// Ends the run but keeps its verdict in the status.
fn finish(work: &mut Work<'_>, run_type: RunType) {
    if let Some(run) = follow(work, run_type) {
        work.terminate(&run.key.name);
    }
}

fn stop_all(work: &mut Work<'_>) {
    // A run that was planned in an earlier round of this pass is not wanted any more.
    work.runs
        .retain(|action| !matches!(action, Action::StartRun { .. }));
    work.started.clear();
    for run_type in [
        RunType::Step(0),
        RunType::Background,
        RunType::PrePromotion,
        RunType::PostPromotion,
    ] {
        refresh(work, run_type);
    }
    let names: Vec<String> = work
        .seen
        .runs
        .iter()
        .map(|run| run.key.name.clone())
        .collect();
    for name in names {
        work.terminate(&name);
    }
}

/// Ends runs that belong to former steps or revisions. Called once, after the last round: a run that was
/// created just before a crash is not in the status yet, and is found again when it is started.
pub(super) fn stop_unneeded(work: &mut Work<'_>) {
    let current = current_names(work);
    let others: Vec<String> = work
        .seen
        .runs
        .iter()
        .filter(|run| !current.contains(&run.key.name) && !is_about_to_start(work, run))
        .map(|run| run.key.name.clone())
        .collect();
    for name in others {
        work.terminate(&name);
    }
}

/// True when the run is one that this pass starts.
fn is_about_to_start(work: &Work<'_>, run: &RunView) -> bool {
    let label = |name: &str| run.labels.get(name).map(String::as_str);
    let hash = work.newest_hash();
    work.started.iter().any(|run_type| {
        let step = match run_type {
            RunType::Step(index) => label(STEP_INDEX_LABEL) == Some(index.to_string().as_str()),
            _ => true,
        };
        step && label(ROLLOUT_TYPE_LABEL) == Some(run_type.label())
            && label(HASH_LABEL) == Some(hash.as_str())
    })
}

fn current_names(work: &Work<'_>) -> Vec<String> {
    let status = &work.status;
    [
        &status.canary.current_step_analysis_run_status,
        &status.canary.current_background_analysis_run_status,
        &status.blue_green.pre_promotion_analysis_run_status,
        &status.blue_green.post_promotion_analysis_run_status,
    ]
    .into_iter()
    .flatten()
    .map(|run| run.name.clone())
    .collect()
}

/// Deletes finished runs of revisions that are gone, and those beyond the limits, oldest first.
pub(super) fn collect_old(work: &mut Work<'_>) {
    let current = current_names(work);
    let mut runs: Vec<Arc<RunView>> = work
        .seen
        .runs
        .iter()
        .filter(|run| !run.deleting && run.is_completed() && !current.contains(&run.key.name))
        .cloned()
        .collect();
    runs.sort_by_key(|run| std::cmp::Reverse(run.created));
    let (mut good, mut bad) = (0, 0);
    for run in runs {
        let Some(hash) = run.labels.get(HASH_LABEL) else {
            continue;
        };
        let lives = work
            .by_hash(hash)
            .is_some_and(|index| !work.sets[index].view.deleting);
        let keep = if !lives {
            false
        } else if run.phase == AnalysisPhase::Successful {
            good += 1;
            good <= work.seen.spec.successful_runs
        } else {
            bad += 1;
            bad <= work.seen.spec.unsuccessful_runs
        };
        if !keep {
            work.runs.push(Action::DeleteRun(RunRef {
                name: run.key.name.clone(),
            }));
        }
    }
}
