//! The decision of a pass: a pure function of what was observed and the time.
//!
//! The status that a decision holds says only what was observed. It is true whatever becomes of the
//! actions, so it is written even when one of them fails.

mod action;
mod analyses;
mod phase;
mod template;

pub use action::{Action, DeadlineChange, SetChange};
pub(super) use phase::INVALID_SPEC;

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use reconcile_core::{event::EventNote, reconcile::Plan};

use super::observed::{CheckedSpec, Observed};
use crate::{
    api::{
        analysis::AnalysisPhase,
        experiment::{AnalysisStatus, ExperimentStatus, TemplateStatus},
    },
    rollout::plan::{after, whole_second},
};

/// What a pass decides.
#[derive(Clone, Debug, Default)]
pub struct Decision {
    /// Effects, next wake-up, reasons.
    pub plan: Plan<Action>,
    /// The status to be written.
    pub status: ExperimentStatus,
    /// Events beside those of the actions ([`Action::events`]).
    pub events: Vec<EventNote>,
}

impl AsRef<Plan<Action>> for Decision {
    fn as_ref(&self) -> &Plan<Action> {
        &self.plan
    }
}

/// Decides.
pub fn decide(observed: &Observed, now: Timestamp) -> Decision {
    let mut planner = Planner {
        observed,
        now,
        is_ending: is_ending(&observed.spec, &observed.status),
        status: observed.status.clone(),
        plan: Plan::new(),
        events: Vec::new(),
    };
    let names = |name: &str| {
        observed
            .spec
            .templates
            .iter()
            .any(|known| known.name == name)
    };
    let listed = |name: &str| {
        observed
            .spec
            .raw
            .analyses
            .iter()
            .any(|known| known.name == name)
    };
    planner
        .status
        .template_statuses
        .retain(|status| names(&status.name));
    planner
        .status
        .analysis_runs
        .retain(|status| listed(&status.name));
    for template in &observed.spec.templates {
        template::plan(&mut planner, template);
    }
    template::take_down_strays(&mut planner);
    for analysis in &observed.spec.raw.analyses {
        analyses::plan(&mut planner, analysis);
    }
    phase::assess(&mut planner);
    phase::conditions(&mut planner);
    if planner.plan.notes.is_empty() {
        let phase = planner.status.phase.as_str().to_owned();
        planner.plan.note(format!("nothing to do: {phase}"));
    }
    Decision {
        plan: planner.plan,
        status: planner.status,
        events: planner.events,
    }
}

/// The working copy of a pass.
struct Planner<'a> {
    observed: &'a Observed,
    now: Timestamp,
    /// Nothing is started any more, and what runs is taken down.
    is_ending: bool,
    status: ExperimentStatus,
    plan: Plan<Action>,
    events: Vec<EventNote>,
}

impl Planner<'_> {
    /// The current time as it is written into objects: whole seconds.
    fn time(&self) -> Time {
        Time(whole_second(self.now))
    }

    /// When the duration is over; none before all templates are available, and without a duration.
    fn end(&self) -> Option<Timestamp> {
        let begin = self.observed.status.available_at.as_ref()?.0;
        Some(after(begin, self.observed.spec.duration?))
    }

    fn template(&mut self, status: TemplateStatus) {
        let all = &mut self.status.template_statuses;
        match all.iter_mut().find(|known| known.name == status.name) {
            Some(known) => *known = status,
            None => all.push(status),
        }
    }

    fn analysis(&mut self, status: AnalysisStatus) {
        let all = &mut self.status.analysis_runs;
        match all.iter_mut().find(|known| known.name == status.name) {
            Some(known) => *known = status,
            None => all.push(status),
        }
    }
}

/// True when the Experiment is over or is to end: by a person, by a template or an analysis that went
/// wrong, or because all analyses that it waits for were successful.
pub fn is_ending(spec: &CheckedSpec, status: &ExperimentStatus) -> bool {
    use crate::api::experiment::TemplatePhase::{Error, Failed};
    let went_wrong = |template: &TemplateStatus| matches!(template.status, Failed | Error);
    spec.raw.terminate
        || status.phase.is_completed()
        || status.template_statuses.iter().any(went_wrong)
        || status
            .analysis_runs
            .iter()
            .any(|run| run.phase.is_completed() && run.phase != AnalysisPhase::Successful)
        || are_required_successful(spec, status)
}

/// True when there are analyses that the Experiment waits for, and all were successful.
fn are_required_successful(spec: &CheckedSpec, status: &ExperimentStatus) -> bool {
    let succeeded = |name: &str| {
        let mut all = status.analysis_runs.iter();
        all.any(|run| run.name == name && run.phase == AnalysisPhase::Successful)
    };
    spec.has_required() && spec.required().all(|analysis| succeeded(&analysis.name))
}
