//! A template: its ReplicaSet, its Service, and its phase.

use jiff::{SignedDuration, Timestamp};
use reconcile_core::event::EventNote;

use super::{Action, DeadlineChange, Planner, SetChange};
use crate::{
    api::experiment::{TemplatePhase, TemplateStatus},
    experiment::observed::CheckedTemplate,
    rollout::{
        observed::ReplicaSetView,
        plan::{after, next_second, whole_second},
    },
};

/// Plans what a template needs and brings its status up to date.
pub(super) fn plan(planner: &mut Planner<'_>, template: &CheckedTemplate) {
    let mut all = planner.observed.status.template_statuses.iter();
    let known = all.find(|status| status.name == template.name).cloned();
    let before = known.clone().unwrap_or_else(|| TemplateStatus {
        name: template.name.clone(),
        ..TemplateStatus::default()
    });
    let mut status = before.clone();
    let is_over = planner.is_ending || before.status.is_completed();
    let wanted = if is_over { 0 } else { template.replicas };
    let found = planner.observed.replica_sets.get(&template.name);
    let set = found.filter(|set| !set.deleting).cloned();
    let mut is_moving = known.is_none();
    match &set {
        None if is_over => {}
        None if found.is_some() => {
            planner.plan.note(format!(
                "waiting until ReplicaSet {} is deleted",
                template.set_name
            ));
        }
        None => {
            planner
                .plan
                .note(format!("template {} has no ReplicaSet yet", template.name));
            planner.plan.act(Action::CreateReplicaSet {
                template: template.name.clone(),
                name: template.set_name.clone(),
                replicas: wanted,
            });
        }
        Some(set) if is_over => is_moving |= take_down(planner, set),
        Some(set) => is_moving |= bring_up(planner, set, wanted),
    }
    service(planner, template, set.as_deref(), is_over, &mut status);
    let set = set.as_deref();
    status.replicas = set.map_or(0, |set| set.current);
    status.updated_replicas = status.replicas;
    status.ready_replicas = set.map_or(0, |set| set.ready);
    status.available_replicas = set.map_or(0, |set| set.available);
    if is_moving || counts(&before) != counts(&status) {
        status.last_transition_time = Some(planner.time());
    }
    if !before.status.is_completed() && status.status != TemplatePhase::Error {
        judge(planner, wanted, &mut status);
    }
    tell(planner, &before, &status);
    planner.template(status);
}

fn counts(status: &TemplateStatus) -> (i32, i32, i32) {
    (
        status.replicas,
        status.ready_replicas,
        status.available_replicas,
    )
}

/// Gives the ReplicaSet the pods that the template wants. True when they change.
fn bring_up(planner: &mut Planner<'_>, set: &ReplicaSetView, wanted: i32) -> bool {
    let replicas = (set.replicas != wanted).then_some(wanted);
    let deadline = removed(set);
    if replicas.is_some() || deadline != DeadlineChange::Keep {
        change(planner, set, replicas, deadline);
    }
    replicas.is_some()
}

/// Removes the pods once the delay is over. True when they change.
fn take_down(planner: &mut Planner<'_>, set: &ReplicaSetView) -> bool {
    if set.replicas == 0 {
        return false;
    }
    let delay = planner.observed.spec.scale_down_delay;
    if delay > SignedDuration::ZERO {
        let Some(deadline) = set.deadline else {
            let deadline = next_second(after(planner.now, delay));
            planner
                .plan
                .note(format!("{} is scaled down at {deadline}", set.name));
            planner.plan.wake_at(deadline);
            change(
                planner,
                set,
                None,
                DeadlineChange::Set(whole_second(deadline)),
            );
            return false;
        };
        if deadline > planner.now {
            planner
                .plan
                .note(format!("{} is scaled down at {deadline}", set.name));
            planner.plan.wake_at(deadline);
            return false;
        }
    }
    change(planner, set, Some(0), removed(set));
    true
}

fn removed(set: &ReplicaSetView) -> DeadlineChange {
    match set.deadline {
        Some(_) => DeadlineChange::Remove,
        None => DeadlineChange::Keep,
    }
}

/// The manifest has no template any more for these.
pub(super) fn take_down_strays(planner: &mut Planner<'_>) {
    for set in &planner.observed.strays {
        if set.replicas > 0 {
            planner
                .plan
                .note(format!("{} belongs to no template any more", set.name));
            change(planner, set, Some(0), removed(set));
        }
    }
}

fn change(
    planner: &mut Planner<'_>,
    set: &ReplicaSetView,
    replicas: Option<i32>,
    deadline: DeadlineChange,
) {
    planner.plan.act(Action::Change(SetChange {
        name: set.name.clone(),
        uid: set.uid.clone(),
        from: set.replicas,
        replicas,
        deadline,
    }));
}

/// The Service lives as long as the pods.
fn service(
    planner: &mut Planner<'_>,
    template: &CheckedTemplate,
    set: Option<&ReplicaSetView>,
    is_over: bool,
    status: &mut TemplateStatus,
) {
    let Some(name) = &template.service else {
        return;
    };
    let view = planner.observed.services.get(name);
    let is_ours =
        view.is_some_and(|view| view.owner.as_deref() == Some(planner.observed.root.uid()));
    let needed = !is_over || set.is_some_and(|set| set.replicas > 0 || set.current > 0);
    let name = name.clone();
    if is_ours && needed {
        status.service_name = name;
        status.pod_template_hash.clone_from(&template.hash);
        return;
    }
    status.service_name.clear();
    status.pod_template_hash.clear();
    if is_ours {
        planner.plan.act(Action::DeleteService { name });
    } else if view.is_some() && !is_over {
        // Pods that no one reaches are not the experiment that was asked for.
        status.status = TemplatePhase::Error;
        status.message = format!(
            "Failed to create Service {name} for template '{}': a Service with this name exists and does not belong to the Experiment",
            template.name
        );
    } else if view.is_none() && !is_over && set.is_some() {
        planner.plan.act(Action::CreateService {
            template: template.name.clone(),
            name,
        });
    }
}

/// Phase of the template, by its pods and the time.
fn judge(planner: &mut Planner<'_>, wanted: i32, status: &mut TemplateStatus) {
    if planner.is_ending {
        status.status = TemplatePhase::Successful;
        return;
    }
    if wanted == status.available_replicas {
        status.status = match planner.end() {
            Some(end) if planner.now > end => TemplatePhase::Successful,
            Some(end) => {
                // The end itself still belongs to the duration.
                planner
                    .plan
                    .wake_at(after(end, SignedDuration::from_millis(1)));
                TemplatePhase::Running
            }
            None => TemplatePhase::Running,
        };
        return;
    }
    let seconds = planner.observed.spec.deadline_seconds;
    let since = status
        .last_transition_time
        .as_ref()
        .map_or(planner.now, |time| time.0);
    let deadline: Timestamp = after(since, SignedDuration::from_secs(i64::from(seconds)));
    if planner.now > deadline {
        status.status = TemplatePhase::Failed;
        status.message = format!(
            "Template '{}' exceeded its progressDeadlineSeconds ({seconds})",
            status.name
        );
    } else {
        status.status = TemplatePhase::Progressing;
        planner
            .plan
            .wake_at(after(deadline, SignedDuration::from_secs(1)));
    }
}

fn tell(planner: &mut Planner<'_>, before: &TemplateStatus, status: &TemplateStatus) {
    if before.status == status.status {
        return;
    }
    let (name, old, new) = (&status.name, before.status.as_str(), status.status.as_str());
    let mut text = format!("Template '{name}' transitioned from {old} -> {new}");
    if !status.message.is_empty() {
        text = format!("{text}: {}", status.message);
    }
    planner.plan.note(text.clone());
    let reason = format!("Template{new}");
    planner.events.push(match status.status {
        TemplatePhase::Failed | TemplatePhase::Error => EventNote::warning(reason, text),
        _ => EventNote::normal(reason, text),
    });
}
