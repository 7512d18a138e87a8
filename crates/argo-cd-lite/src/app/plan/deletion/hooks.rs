//! Hooks that run before or after the objects of an application are deleted.

use reconcile_core::reconcile::Plan;

use super::{Action, Remains};
use crate::{
    api::{CLEANUP, Phase},
    app::{Observed, SourceState},
    clusters::{Live, ResourceId},
    health::{Code, Health},
    sync::{
        DeletePolicy, DeletionPhase,
        plan::{HookObject, phase_of},
    },
};

/// The hooks of one phase that have not ended, of the lowest wave that has any.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct HookStage {
    /// `PreDelete` or `PostDelete`.
    pub phase: &'static str,
    /// To be created: positions of the targets, with the names of the objects.
    pub missing: Vec<(usize, ResourceId)>,
    /// In work.
    pub running: Vec<ResourceId>,
    /// Left by earlier syncs or failed; they are deleted and run again.
    pub stale: Vec<HookObject>,
    /// Why hooks failed or must not run, for people.
    pub problems: Vec<String>,
}

impl HookStage {
    /// Plans the next step of the hooks.
    pub(super) fn plan(&self, observed: &Observed, plan: &mut Plan<Action>) {
        for problem in &self.problems {
            plan.note(problem.clone());
        }
        if !self.stale.is_empty() {
            plan.act(Action::Hooks(self.stale.clone()));
        } else if !self.missing.is_empty() {
            plan.act(Action::CreateHooks {
                hooks: self.missing.clone(),
                deletion: deletion_id(observed),
            });
        } else if !self.running.is_empty() {
            plan.note(format!(
                "deletion waits for {} {} hooks",
                self.running.len(),
                self.phase
            ));
        }
    }
}

/// True for the finalizers of hooks.
pub fn is_hook_finalizer(name: &str) -> bool {
    let base = name.strip_suffix(CLEANUP).unwrap_or(name);
    DeletionPhase::ALL
        .iter()
        .any(|phase| phase.finalizer() == base)
}

/// True when hooks run at the deletion of an application with these finalizers.
pub fn has_hook_finalizer(finalizers: &[String]) -> bool {
    finalizers.iter().any(|name| is_hook_finalizer(name))
}

/// True for the object of a hook that the end of the deletion takes care of.
pub(super) fn is_deletion_hook(observed: &Observed, live: &Live) -> bool {
    let hook = live.settings.as_ref().and_then(|one| one.hook.as_ref());
    hook.is_some_and(|hook| !hook.deletion.is_empty()) && has_hook_finalizer(&observed.finalizers)
}

/// Identifies the hooks of this deletion.
fn deletion_id(observed: &Observed) -> String {
    let at = observed.deleted_at.unwrap_or_default();
    format!("delete-{}", at.as_second())
}

/// What is left of a phase whose finalizer is there.
pub(super) fn remains(observed: &Observed, phase: DeletionPhase) -> Option<Remains> {
    let finalizer = phase.finalizer();
    observed.finalizers.iter().find(|name| *name == finalizer)?;
    let mut stage = HookStage {
        phase: phase.word(),
        ..HookStage::default()
    };
    let (commit, set) = match &observed.source {
        SourceState::Ready { revisions, set } => (revisions.get(0).unwrap_or_default(), set),
        SourceState::Failed { message, .. } => {
            stage.problems.push(format!(
                "the {} hooks cannot be read: {message}",
                phase.word()
            ));
            return Some(Remains::Hooks(stage));
        }
        SourceState::NotAsked => {
            let word = phase.word();
            stage.problems.push(format!(
                "the {word} hooks cannot be read: spec.source is missing"
            ));
            return Some(Remains::Hooks(stage));
        }
    };
    let mut hooks: Vec<usize> = (0..set.targets.len())
        .filter(|at| set.targets[*at].runs_at(phase))
        .collect();
    hooks.sort_by_key(|at| set.targets[*at].settings.wave);
    let mut wave = None;
    for index in hooks {
        let target = &set.targets[index];
        if wave.is_some_and(|wave| target.settings.wave != wave) {
            break;
        }
        let id = hook_id(observed, index, commit, phase);
        if add(&mut stage, observed, index, id) {
            wave = Some(target.settings.wave);
        }
    }
    Some(if wave.is_some() {
        Remains::Hooks(stage)
    } else {
        Remains::Finalizers(vec![finalizer.to_owned()])
    })
}

/// The object of a hook. A generated name is the same in each pass.
fn hook_id(observed: &Observed, index: usize, commit: &str, phase: DeletionPhase) -> ResourceId {
    let target = observed.source.ready().map(|(_, set)| &set.targets[index]);
    let Some(target) = target else {
        return ResourceId::new("", "", "", "");
    };
    let Some(prefix) = &target.generate_name else {
        return target.id.clone();
    };
    let short: String = commit.chars().take(7).collect();
    let at = observed.deleted_at.unwrap_or_default().as_second();
    let word = phase.word().to_lowercase();
    ResourceId {
        name: format!("{prefix}{short}-{word}-{at}-{index}").into(),
        ..target.id.clone()
    }
}

/// Adds a hook to the stage. False when it has ended well.
fn add(stage: &mut HookStage, observed: &Observed, index: usize, id: ResourceId) -> bool {
    let target = observed
        .source
        .ready()
        .map(|(_, set)| &set.targets[index].id);
    if let Some(reason) = target.and_then(|target| observed.refused.get(target)) {
        stage
            .problems
            .push(format!("{} hook: {reason}", stage.phase));
        return true;
    }
    let Some(live) = observed.live.get(&id) else {
        stage.missing.push((index, id));
        return true;
    };
    let ours = live.operation.as_deref() == Some(deletion_id(observed).as_str());
    let code = live.health.as_ref().map(|health| health.code);
    let phase = match code {
        Some(Code::Unknown) => Phase::Failed,
        code => phase_of(code),
    };
    if ours && phase == Phase::Succeeded && !live.deleting {
        return false;
    }
    if ours && phase.unsuccessful() && !live.deleting {
        let text = live.health.as_ref().map(Health::text).unwrap_or_default();
        stage.problems.push(format!(
            "{} hook {id} failed and runs again: {text}",
            stage.phase
        ));
    }
    if live.deleting || (ours && phase == Phase::Running) {
        stage.running.push(id);
    } else {
        stage.stale.push(object(&id, live));
    }
    true
}

fn object(id: &ResourceId, live: &Live) -> HookObject {
    HookObject {
        id: id.clone(),
        uid: live.uid.to_string(),
        finalizer: live.hook_finalizer,
        delete: true,
    }
}

/// Objects of hooks that go when everything has ended well.
pub(super) fn cleanup(observed: &Observed) -> Vec<HookObject> {
    let mut hooks: Vec<HookObject> = observed
        .live
        .iter()
        .filter(|(_, live)| {
            let settings = live.settings();
            let succeeded = settings
                .hook
                .as_ref()
                .is_some_and(|hook| hook.delete.contains(&DeletePolicy::HookSucceeded));
            succeeded
                && !live.deleting
                && live.belongs_to(&observed.instance)
                && is_deletion_hook(observed, live)
        })
        .map(|(id, live)| object(id, live))
        .collect();
    hooks.sort_by(|a, b| a.id.cmp(&b.id));
    hooks
}
