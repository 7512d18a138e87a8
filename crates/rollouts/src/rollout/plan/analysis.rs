//! Which AnalysisRuns should exist for the Rollout, and what their verdicts mean for it.

use std::sync::Arc;

use reconcile_core::event::EventNote;

use super::{
    action::{Action, RunRef},
    facts,
    planner::Planner,
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
    rollout::observed::{BlueGreen, Canary, Step},
};

/// The runs that the status of a Rollout names.
fn slot<'s>(planner: &'s mut Planner<'_>, run_type: RunType) -> &'s mut Option<RunStatus> {
    let status = &mut planner.status;
    match run_type {
        RunType::Step(_) => &mut status.canary.current_step_analysis_run_status,
        RunType::Background => &mut status.canary.current_background_analysis_run_status,
        RunType::PrePromotion => &mut status.blue_green.pre_promotion_analysis_run_status,
        RunType::PostPromotion => &mut status.blue_green.post_promotion_analysis_run_status,
    }
}

/// Runs of a canary: the one of the step, and the one beside the steps.
pub(super) fn canary(planner: &mut Planner<'_>, canary: &Canary) {
    if facts::is_analysis_off(planner) {
        return stop_all(planner);
    }
    match facts::current_step(planner, canary) {
        Some((index, Step::Analysis(_))) => {
            if is_of_another_step(planner, index) {
                // A person promoted past an analysis to the next one.
                discard(planner, RunType::Step(index));
            }
            require(
                planner,
                RunType::Step(index),
                "Step-based analysis phase error/failed",
            );
        }
        _ => discard(planner, RunType::Step(0)),
    }
    let index = planner.status.current_step_index.unwrap_or_default();
    match &canary.analysis {
        Some((_, starting_step)) if !planner.is_stable() => {
            if index >= *starting_step {
                require(
                    planner,
                    RunType::Background,
                    "Background analysis phase error/failed",
                );
            }
        }
        _ => discard(planner, RunType::Background),
    }
}

/// Runs of a blue-green update: the one before the switch, and the one after it.
pub(super) fn blue_green(
    planner: &mut Planner<'_>,
    rules: &BlueGreen,
    saturated: bool,
    active_hash: &str,
) {
    if facts::is_analysis_off(planner) {
        return stop_all(planner);
    }
    let switched = active_hash == planner.newest_hash();
    if rules.pre_analysis.is_some() && !switched && !planner.is_stable() {
        if saturated
            || planner
                .status
                .blue_green
                .pre_promotion_analysis_run_status
                .is_some()
        {
            require(
                planner,
                RunType::PrePromotion,
                "Pre-promotion analysis phase error/failed",
            );
        }
    } else {
        finish(planner, RunType::PrePromotion);
    }
    if rules.post_analysis.is_some() && switched && !planner.is_stable() {
        // Before the load balancer knows the pods there is nothing to measure.
        let started = planner
            .status
            .blue_green
            .post_promotion_analysis_run_status
            .is_some();
        if started || facts::are_targets_registered(planner) {
            require(
                planner,
                RunType::PostPromotion,
                "Post-promotion analysis phase error/failed",
            );
        }
    } else {
        finish(planner, RunType::PostPromotion);
    }
}

/// True when the run that the status names was made for another step.
fn is_of_another_step(planner: &Planner<'_>, index: i32) -> bool {
    let named = planner
        .status
        .canary
        .current_step_analysis_run_status
        .as_ref();
    named
        .and_then(|run| planner.run(&run.name))
        .and_then(|view| view.labels.get(STEP_INDEX_LABEL))
        .is_some_and(|step| *step != index.to_string())
}

/// True when the run has ended well.
pub(super) fn succeeded(planner: &Planner<'_>, run_type: RunType) -> bool {
    let (canary, rules) = (&planner.status.canary, &planner.status.blue_green);
    let run = match run_type {
        RunType::Step(_) => &canary.current_step_analysis_run_status,
        RunType::Background => &canary.current_background_analysis_run_status,
        RunType::PrePromotion => &rules.pre_promotion_analysis_run_status,
        RunType::PostPromotion => &rules.post_promotion_analysis_run_status,
    };
    run.as_ref()
        .is_some_and(|run| run.status == AnalysisPhase::Successful.as_str())
}

/// True when the run of the current step has ended well.
pub(super) fn step_succeeded(planner: &Planner<'_>) -> bool {
    succeeded(planner, RunType::Step(0))
}

/// As [`refresh`], with a note and an Event when the phase of the run changed.
fn follow(planner: &mut Planner<'_>, run_type: RunType) -> Option<Arc<RunView>> {
    let old = slot(planner, run_type).as_ref()?.status.clone();
    let view = refresh(planner, run_type)?;
    let phase = &view.phase;
    if *phase != AnalysisPhase::Unset && phase.as_str() != old {
        let text = format!(
            "{} Analysis Run '{}' Status New: '{phase}' Previous: '{old}'",
            run_type.label(),
            view.key.name
        );
        let reason = format!("AnalysisRun{phase}");
        planner.events.push(match phase {
            AnalysisPhase::Failed | AnalysisPhase::Error => EventNote::warning(reason, text),
            _ => EventNote::normal(reason, text),
        });
    }
    Some(view)
}

/// Brings what the status says about the run up to date.
fn refresh(planner: &mut Planner<'_>, run_type: RunType) -> Option<Arc<RunView>> {
    let name = slot(planner, run_type).as_ref()?.name.clone();
    let view = planner.run(&name).cloned()?;
    let fresh = RunStatus {
        name,
        status: view.phase.as_str().to_owned(),
        message: view.message.clone(),
    };
    *slot(planner, run_type) = Some(fresh);
    Some(view)
}

fn require(planner: &mut Planner<'_>, run_type: RunType, blame: &str) {
    let current = follow(planner, run_type);
    let again = current
        .as_ref()
        .is_some_and(|run| run.phase == AnalysisPhase::Inconclusive && planner.resumed);
    if again && matches!(run_type, RunType::PrePromotion | RunType::PostPromotion) {
        // The resumption was about this verdict, not about the pause before the switch.
        planner.clear_pauses();
    }
    let Some(current) = current.filter(|_| !again) else {
        return start(planner, run_type);
    };
    match current.phase {
        AnalysisPhase::Inconclusive => planner.add_pause(PauseReason::InconclusiveAnalysisRun),
        AnalysisPhase::Error | AnalysisPhase::Failed => {
            planner.abort(format!("{blame}: {}", current.message));
        }
        _ => {}
    }
}

fn start(planner: &mut Planner<'_>, run_type: RunType) {
    // Nothing is judged while a person holds the Rollout back, and nothing twice in one pass.
    if planner.is_halted() || planner.started.contains(&run_type) {
        return;
    }
    planner.started.push(run_type);
    *slot(planner, run_type) = None;
    planner.note(format!("starting the {} analysis", run_type.label()));
    let action = Action::StartRun {
        run_type,
        hash: planner.newest_hash(),
        revision: planner.new_set().revision,
    };
    planner.runs.push(action);
}

/// Ends the run and forgets it.
fn discard(planner: &mut Planner<'_>, run_type: RunType) {
    if let Some(run) = slot(planner, run_type).take() {
        planner.terminate(&run.name);
    }
}

/// Ends the run but keeps its verdict in the status.
fn finish(planner: &mut Planner<'_>, run_type: RunType) {
    if let Some(run) = follow(planner, run_type) {
        planner.terminate(&run.key.name);
    }
}

fn stop_all(planner: &mut Planner<'_>) {
    // A run that was planned in an earlier round of this pass is not wanted any more.
    planner
        .runs
        .retain(|action| !matches!(action, Action::StartRun { .. }));
    planner.started.clear();
    for run_type in [
        RunType::Step(0),
        RunType::Background,
        RunType::PrePromotion,
        RunType::PostPromotion,
    ] {
        refresh(planner, run_type);
    }
    let names: Vec<String> = planner
        .observed
        .runs
        .iter()
        .map(|run| run.key.name.clone())
        .collect();
    for name in names {
        planner.terminate(&name);
    }
}

/// Ends runs that belong to former steps or revisions. Called once, after the last round: a run that was
/// created just before a crash is not in the status yet, and is found again when it is started.
pub(super) fn stop_unneeded(planner: &mut Planner<'_>) {
    let current = current_names(planner);
    let others: Vec<String> = planner
        .observed
        .runs
        .iter()
        .filter(|run| !current.contains(&run.key.name) && !is_about_to_start(planner, run))
        .map(|run| run.key.name.clone())
        .collect();
    for name in others {
        planner.terminate(&name);
    }
}

/// True when the run is one that this pass starts.
fn is_about_to_start(planner: &Planner<'_>, run: &RunView) -> bool {
    let label = |name: &str| run.labels.get(name).map(String::as_str);
    let hash = planner.newest_hash();
    planner.started.iter().any(|run_type| {
        let step = match run_type {
            RunType::Step(index) => label(STEP_INDEX_LABEL) == Some(index.to_string().as_str()),
            _ => true,
        };
        step && label(ROLLOUT_TYPE_LABEL) == Some(run_type.label())
            && label(HASH_LABEL) == Some(hash.as_str())
    })
}

fn current_names(planner: &Planner<'_>) -> Vec<String> {
    let status = &planner.status;
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
pub(super) fn collect_old(planner: &mut Planner<'_>) {
    let current = current_names(planner);
    let mut runs: Vec<Arc<RunView>> = planner
        .observed
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
        let lives = planner
            .by_hash(hash)
            .is_some_and(|index| !planner.replica_sets[index].view.deleting);
        let keep = if !lives {
            false
        } else if run.phase == AnalysisPhase::Successful {
            good += 1;
            good <= planner.observed.spec.successful_runs
        } else {
            bad += 1;
            bad <= planner.observed.spec.unsuccessful_runs
        };
        if !keep {
            planner.runs.push(Action::DeleteRun(RunRef {
                name: run.key.name.clone(),
            }));
        }
    }
}
