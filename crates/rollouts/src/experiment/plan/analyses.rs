//! An analysis: its run is started once all templates are available, and ended with the Experiment.

use std::sync::Arc;

use reconcile_core::event::EventNote;

use super::{Action, Planner};
use crate::{
    analysis::RunView,
    api::{
        analysis::AnalysisPhase,
        experiment::{AVAILABLE_AT, AnalysisRef, AnalysisStatus},
    },
    experiment::run::run_name,
};

/// Plans what an analysis needs and brings its status up to date.
pub(super) fn plan(planner: &mut Planner<'_>, analysis: &AnalysisRef) {
    let mut all = planner.observed.status.analysis_runs.iter();
    let known = all.find(|status| status.name == analysis.name).cloned();
    let before = known.unwrap_or_else(|| AnalysisStatus {
        name: analysis.name.clone(),
        ..AnalysisStatus::default()
    });
    let mut status = before.clone();
    if status.analysis_run.is_empty()
        && let Some(run) = started(planner, analysis)
    {
        // Its start was not recorded: the process ended in between.
        planner.plan.note(format!(
            "found AnalysisRun {} of analysis {}",
            run.key.name, analysis.name
        ));
        status.analysis_run.clone_from(&run.key.name);
    }
    if status.analysis_run.is_empty() {
        start(planner, analysis, &mut status);
    } else if !status.phase.is_completed() {
        follow(planner, analysis, &mut status);
    }
    tell(planner, &before, &status);
    planner.analysis(status);
}

/// The run of the analysis that belongs to this try of the Experiment.
fn started(planner: &Planner<'_>, analysis: &AnalysisRef) -> Option<Arc<RunView>> {
    let observed = planner.observed;
    let since = observed
        .status
        .available_at
        .as_ref()?
        .0
        .as_second()
        .to_string();
    let name = run_name(&observed.root.key().name, &analysis.name);
    let is_named = |run: &RunView| {
        let counter = run.key.name.strip_prefix(&name);
        counter.is_some_and(|rest| {
            rest.is_empty()
                || rest
                    .strip_prefix('.')
                    .is_some_and(|digits| digits.parse::<u32>().is_ok())
        })
    };
    let mut runs = observed.runs.iter();
    runs.find(|run| !run.deleting && run.labels.get(AVAILABLE_AT) == Some(&since) && is_named(run))
        .cloned()
}

fn start(planner: &mut Planner<'_>, analysis: &AnalysisRef, status: &mut AnalysisStatus) {
    if planner.is_ending || status.phase.is_completed() {
        return;
    }
    match planner.observed.wanted_runs.get(&analysis.name) {
        Some(Err(problem)) => {
            status.phase = AnalysisPhase::Error;
            status.message = format!(
                "Failed to create AnalysisRun for analysis '{}': {problem}",
                analysis.name
            );
        }
        Some(Ok(run)) => {
            planner
                .plan
                .note(format!("starting analysis {}", analysis.name));
            planner.plan.act(Action::StartRun {
                analysis: analysis.name.clone(),
                run: Box::new(run.clone()),
            });
        }
        None => planner.plan.note(format!(
            "analysis {} waits until all templates are available",
            analysis.name
        )),
    }
}

fn follow(planner: &mut Planner<'_>, analysis: &AnalysisRef, status: &mut AnalysisStatus) {
    let Some(run) = planner.observed.run(&status.analysis_run).cloned() else {
        status.phase = AnalysisPhase::Error;
        status.message = format!("AnalysisRun {} not found", status.analysis_run);
        return;
    };
    if planner.is_ending && !run.is_completed() && !run.terminate {
        planner
            .plan
            .note(format!("ending analysis {}", analysis.name));
        planner.plan.act(Action::TerminateRun {
            analysis: analysis.name.clone(),
            name: run.key.name.clone(),
        });
    }
    status.phase = match &run.phase {
        AnalysisPhase::Unset => AnalysisPhase::Pending,
        phase => phase.clone(),
    };
    status.message.clone_from(&run.message);
}

fn tell(planner: &mut Planner<'_>, before: &AnalysisStatus, status: &AnalysisStatus) {
    if before.phase == status.phase {
        return;
    }
    let mut text = format!(
        "AnalysisRun '{}' transitioned from {} -> {}",
        status.name, before.phase, status.phase
    );
    if !status.message.is_empty() {
        text = format!("{text}: {}", status.message);
    }
    planner.plan.note(text.clone());
    let reason = format!("AnalysisRun{}", status.phase);
    let is_bad = status.phase.is_completed() && status.phase != AnalysisPhase::Successful;
    planner.events.push(if is_bad {
        EventNote::warning(reason, text)
    } else {
        EventNote::normal(reason, text)
    });
}
