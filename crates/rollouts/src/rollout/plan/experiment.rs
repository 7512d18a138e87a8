//! Which Experiments should exist for the Rollout, and what their verdicts mean for it.
//!
//! An Experiment carries a mark that names the revision, the step and the steps that it was made for. One
//! that was created before the process ended is found by it. One that gives no verdict any more, because
//! the update was aborted or a person asked for another try, is terminated, also when it has ended.

use std::sync::Arc;

use super::{
    action::{Action, ExperimentStart},
    facts,
    planner::Planner,
};
use crate::{
    api::{analysis::AnalysisPhase, rollout::PauseReason},
    experiment::view::ExperimentView,
    rollout::{
        observed::{Canary, Step},
        traffic::ExtraWeight,
    },
};

/// The Experiment of the current step.
pub(super) fn canary(planner: &mut Planner<'_>, canary: &Canary) {
    // Once the abort is written, or taken back: until then a crash must find the verdict again.
    if planner.observed.status.abort || planner.retrying {
        end_for_good(planner);
    }
    if facts::is_analysis_off(planner) {
        return stop_all(planner);
    }
    let Some((index, Step::Experiment(_))) = facts::current_step(planner, canary) else {
        return leave(planner);
    };
    let mark = mark(planner, canary, index);
    let Some(current) = current(planner, &mark) else {
        return start(planner, index, mark);
    };
    planner.status.canary.current_experiment = Some(current.key.name.clone());
    match current.phase {
        AnalysisPhase::Inconclusive if planner.resumed => {
            // The person has seen the verdict and asks for another one.
            end(planner, &current);
            start(planner, index, mark);
        }
        AnalysisPhase::Inconclusive => planner.add_pause(PauseReason::InconclusiveExperiment),
        AnalysisPhase::Error | AnalysisPhase::Failed => {
            let message = &current.message;
            planner.abort(format!(
                "Experiment analysis phase is error/failed: {message}"
            ));
        }
        _ => {}
    }
}

/// True when the Experiment of the current step has ended well.
pub(super) fn succeeded(planner: &Planner<'_>) -> bool {
    let name = planner.status.canary.current_experiment.as_ref();
    let view = name.and_then(|name| find(planner, name));
    view.is_some_and(|view| view.phase == AnalysisPhase::Successful)
}

/// The shares that the Experiment of the current step gives to its templates while all of them run.
pub(super) fn weights(planner: &Planner<'_>, canary: &Canary) -> Vec<ExtraWeight> {
    let Some((_, Step::Experiment(step))) = facts::current_step(planner, canary) else {
        return Vec::new();
    };
    let name = planner.status.canary.current_experiment.as_ref();
    let view = name.and_then(|name| find(planner, name));
    let running = |view: &Arc<ExperimentView>| {
        view.phase == AnalysisPhase::Running && !view.terminate && !view.deleting
    };
    let off = facts::is_analysis_off(planner);
    let Some(view) = view.filter(|view| running(view) && !off) else {
        return Vec::new();
    };
    let services = view.services.iter().filter_map(|(name, service, hash)| {
        let mut templates = step.templates.iter();
        let template = templates.find(|template| template.name == *name)?;
        Some(ExtraWeight {
            service: service.clone(),
            hash: hash.clone(),
            weight: template.weight?,
        })
    });
    services.collect()
}

fn find(planner: &Planner<'_>, name: &str) -> Option<Arc<ExperimentView>> {
    let mut all = planner.observed.experiments.iter();
    all.find(|view| view.key.name == name).cloned()
}

/// Names the try of the step.
fn mark(planner: &Planner<'_>, canary: &Canary, index: i32) -> String {
    let revision = planner.new_set().revision;
    format!("{revision}/{index}/{}", canary.step_hash)
}

fn is_ended_here(planner: &Planner<'_>, name: &str) -> bool {
    let action = Action::TerminateExperiment {
        name: name.to_owned(),
    };
    planner.runs.contains(&action)
}

fn current(planner: &Planner<'_>, mark: &str) -> Option<Arc<ExperimentView>> {
    let hash = planner.newest_hash();
    let fits = |view: &ExperimentView| {
        view.step == mark
            && view.hash == hash
            && !view.deleting
            && !is_ended_here(planner, &view.key.name)
    };
    // A person may terminate the one that the status names: then its verdict counts.
    let named = planner.status.canary.current_experiment.as_ref();
    let known = named
        .and_then(|name| find(planner, name))
        .filter(|view| fits(view));
    known.or_else(|| {
        let mut all = planner.observed.experiments.iter();
        all.find(|view| fits(view) && !view.terminate).cloned()
    })
}

fn start(planner: &mut Planner<'_>, index: i32, mark: String) {
    let is_started = |action: &Action| matches!(action, Action::StartExperiment(_));
    planner.status.canary.current_experiment = None;
    if planner.is_halted() || planner.runs.iter().any(is_started) {
        return;
    }
    let Some(stable) = planner.stable() else {
        return planner.note("the Experiment waits for a stable version");
    };
    planner.note("starting the Experiment of the step");
    let start = ExperimentStart {
        index,
        hash: planner.newest_hash(),
        revision: planner.new_set().revision,
        mark,
        canary_set: planner.new_set().view.name.clone(),
        stable_set: planner.replica_sets[stable].view.name.clone(),
    };
    planner.runs.push(Action::StartExperiment(start));
}

/// Terminates an Experiment, also one that has ended: what is terminated is not taken for that of a step.
fn end(planner: &mut Planner<'_>, view: &ExperimentView) {
    let action = Action::TerminateExperiment {
        name: view.key.name.clone(),
    };
    if !view.terminate && !view.deleting && !planner.runs.contains(&action) {
        planner.runs.push(action);
    }
}

/// The step is none with an Experiment.
fn leave(planner: &mut Planner<'_>) {
    planner.status.canary.current_experiment = None;
    if planner
        .pause_condition(&PauseReason::InconclusiveExperiment)
        .is_some()
    {
        planner.remove_pause(&PauseReason::InconclusiveExperiment);
    }
}

fn stop_all(planner: &mut Planner<'_>) {
    leave(planner);
    // One that was planned in an earlier round of this pass is not wanted any more.
    planner
        .runs
        .retain(|action| !matches!(action, Action::StartExperiment(_)));
    for view in planner.observed.experiments.clone() {
        if !view.is_completed() {
            end(planner, &view);
        }
    }
}

/// What the update has judged so far does not count for its next try.
fn end_for_good(planner: &mut Planner<'_>) {
    let hash = planner.newest_hash();
    for view in planner.observed.experiments.clone() {
        if view.is_completed() && view.hash == hash {
            end(planner, &view);
        }
    }
}

/// Ends Experiments of former steps and revisions, and deletes old ones. Called once, after the last round.
pub(super) fn collect_old(planner: &mut Planner<'_>) {
    let named = planner.status.canary.current_experiment.clone();
    let starts = planner.runs.iter().find_map(|action| match action {
        Action::StartExperiment(start) => Some(start.mark.clone()),
        _ => None,
    });
    let others = planner.observed.experiments.iter().filter(|view| {
        named.as_ref() != Some(&view.key.name) && starts.as_ref() != Some(&view.step)
    });
    let mut others: Vec<Arc<ExperimentView>> = others.cloned().collect();
    for view in others.iter().filter(|view| !view.is_completed()) {
        end(planner, view);
    }
    others.retain(|view| view.is_completed() && !view.deleting);
    others.sort_by_key(|view| std::cmp::Reverse(view.created));
    let (mut good, mut bad) = (0, 0);
    for view in others {
        let lives = planner
            .by_hash(&view.hash)
            .is_some_and(|index| !planner.replica_sets[index].view.deleting);
        let spec = &planner.observed.spec;
        let (count, limit) = if view.phase == AnalysisPhase::Successful {
            (&mut good, spec.successful_runs)
        } else {
            (&mut bad, spec.unsuccessful_runs)
        };
        *count += 1;
        if !lives || *count > limit {
            planner.runs.push(Action::DeleteExperiment {
                name: view.key.name.clone(),
            });
        }
    }
}
