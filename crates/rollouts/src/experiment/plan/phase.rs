//! Phase of the Experiment: that of the worst of its templates and of its analyses.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use reconcile_core::{
    conditions::{self, Condition, Times},
    event::EventNote,
};

use super::{Planner, are_required_successful};
use crate::{
    api::{
        analysis::AnalysisPhase,
        experiment::{ExperimentStatus, TemplatePhase},
    },
    rollout::plan::next_second,
};

/// Type of the condition that says what is wrong with the spec.
pub(in crate::experiment) const INVALID_SPEC: &str = "InvalidSpec";
const PROGRESSING: &str = "Progressing";

/// A phase with its message.
type PhaseReason = (AnalysisPhase, String);

/// Sets phase and message, unless the Experiment is over.
pub(super) fn assess(planner: &mut Planner<'_>) {
    let before = planner.status.phase.clone();
    match before {
        AnalysisPhase::Unset => planner.status.phase = AnalysisPhase::Pending,
        AnalysisPhase::Pending | AnalysisPhase::Running => {
            let templates = templates(&planner.status);
            if templates.0 == AnalysisPhase::Running && planner.status.available_at.is_none() {
                planner.plan.note("all templates are available");
                // Rounded up, so that the duration is never shorter than asked for.
                planner.status.available_at = Some(Time(next_second(planner.now)));
            }
            let (phase, message) = together(planner, templates);
            planner.status.phase = phase;
            planner.status.message = message;
        }
        _ => return,
    }
    let after = &planner.status.phase;
    if before != *after {
        let text = format!("Experiment transitioned from {before} -> {after}");
        planner.plan.note(text.clone());
        let reason = format!("Experiment{after}");
        planner.events.push(if is_bad(after) {
            EventNote::warning(reason, text)
        } else {
            EventNote::normal(reason, text)
        });
    }
}

fn is_bad(phase: &AnalysisPhase) -> bool {
    phase.is_completed() && *phase != AnalysisPhase::Successful
}

/// What templates and analyses mean together.
fn together(planner: &Planner<'_>, templates: PhaseReason) -> PhaseReason {
    let (spec, status) = (&planner.observed.spec, &planner.status);
    let analyses = analyses(planner);
    let required = are_required_successful(spec, status);
    if !templates.0.is_completed() {
        return if is_bad(&analyses.0) || required {
            analyses
        } else {
            templates
        };
    }
    if templates.0 != AnalysisPhase::Successful {
        return templates;
    }
    if spec.has_required() && !required && analyses.0 == AnalysisPhase::Successful {
        // What was never measured is no success.
        let message = "Terminated before all required analyses were started";
        return (AnalysisPhase::Inconclusive, message.to_owned());
    }
    if analyses.0.is_completed() || spec.has_required() {
        analyses
    } else {
        templates
    }
}

/// The worst of the templates; the first of several that are equally bad.
fn templates(status: &ExperimentStatus) -> PhaseReason {
    let mut worst = (TemplatePhase::Unset, "");
    for template in &status.template_statuses {
        if template.status > worst.0 {
            worst = (template.status, &template.message);
        }
    }
    let phase = match worst.0 {
        TemplatePhase::Progressing => AnalysisPhase::Pending,
        TemplatePhase::Failed => AnalysisPhase::Failed,
        TemplatePhase::Error => AnalysisPhase::Error,
        TemplatePhase::Successful => AnalysisPhase::Successful,
        TemplatePhase::Running | TemplatePhase::Unset => AnalysisPhase::Running,
    };
    (phase, worst.1.to_owned())
}

/// From good to bad.
fn rank(phase: &AnalysisPhase) -> u8 {
    match phase {
        AnalysisPhase::Unset | AnalysisPhase::Successful | AnalysisPhase::Other(_) => 0,
        AnalysisPhase::Running => 1,
        AnalysisPhase::Pending => 2,
        AnalysisPhase::Inconclusive => 3,
        AnalysisPhase::Error => 4,
        AnalysisPhase::Failed => 5,
    }
}

/// The worst of the analyses; good when there are none, or when all that are required were good and none
/// was bad.
fn analyses(planner: &Planner<'_>) -> PhaseReason {
    let mut worst = (AnalysisPhase::Successful, String::new());
    for run in &planner.status.analysis_runs {
        if rank(&run.phase) > rank(&worst.0) {
            worst = (run.phase.clone(), run.message.clone());
        }
    }
    let is_open = matches!(worst.0, AnalysisPhase::Running | AnalysisPhase::Pending);
    if are_required_successful(&planner.observed.spec, &planner.status)
        && (is_open || worst.0 == AnalysisPhase::Successful)
    {
        return (
            AnalysisPhase::Successful,
            "Required AnalysisRuns completed".to_owned(),
        );
    }
    if worst.0 == AnalysisPhase::Pending {
        worst.0 = AnalysisPhase::Running;
    }
    worst
}

/// Brings the condition `Progressing` up to date.
pub(super) fn conditions(planner: &mut Planner<'_>) {
    let name = planner.observed.root.key().name;
    let (status, old) = (&mut planner.status, &planner.observed.status);
    conditions::remove(&mut status.conditions, INVALID_SPEC);
    let pods = |status: &ExperimentStatus| -> Vec<(i32, i32, i32)> {
        let all = status.template_statuses.iter();
        all.map(|one| (one.replicas, one.ready_replicas, one.available_replicas))
            .collect()
    };
    let (holds, reason, text) = match &status.phase {
        AnalysisPhase::Successful => (
            false,
            "ExperimentCompleted",
            format!("Experiment \"{name}\" has successfully ran and completed."),
        ),
        phase if phase.is_completed() => (
            false,
            "ExperimentCompleted",
            format!("Experiment \"{name}\" ended: {phase}"),
        ),
        AnalysisPhase::Running => (
            true,
            "NewReplicaSetAvailable",
            format!("Experiment \"{name}\" is running."),
        ),
        _ => (
            true,
            "ReplicaSetUpdated",
            format!("Experiment \"{name}\" is progressing."),
        ),
    };
    if holds && pods(status) != pods(old) {
        // Progress moves the time of the update although the words stay.
        let entry = status
            .conditions
            .iter_mut()
            .find(|entry| entry.kind == PROGRESSING);
        if let Some(entry) = entry.filter(|entry| entry.is_true()) {
            entry.last_update_time = Some(planner.now);
        }
    }
    let condition = Condition::new(PROGRESSING, holds, reason, text);
    let times = Times::TransitionAndUpdate;
    conditions::set(&mut status.conditions, condition, times, planner.now);
}
