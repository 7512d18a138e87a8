//! In which order tasks run.

use super::Task;

/// Kinds in the order in which they are applied; others come after all of these.
const KINDS: &[&str] = &[
    "Namespace",
    "NetworkPolicy",
    "ResourceQuota",
    "LimitRange",
    "PodSecurityPolicy",
    "PodDisruptionBudget",
    "ServiceAccount",
    "Secret",
    "SecretList",
    "ConfigMap",
    "StorageClass",
    "PersistentVolume",
    "PersistentVolumeClaim",
    "CustomResourceDefinition",
    "ClusterRole",
    "ClusterRoleList",
    "ClusterRoleBinding",
    "ClusterRoleBindingList",
    "Role",
    "RoleList",
    "RoleBinding",
    "RoleBindingList",
    "Service",
    "DaemonSet",
    "Pod",
    "ReplicationController",
    "ReplicaSet",
    "Deployment",
    "HorizontalPodAutoscaler",
    "StatefulSet",
    "Job",
    "CronJob",
    "IngressClass",
    "Ingress",
    "APIService",
];

/// Position of a kind; kinds without a place come last.
pub fn kind_rank(kind: &str) -> usize {
    KINDS
        .iter()
        .position(|known| *known == kind)
        .unwrap_or(KINDS.len())
}

/// Sorts tasks: phase, wave, prunes first, kind, name.
pub(super) fn sort(tasks: &mut [Task]) {
    tasks.sort_by(|a, b| {
        a.stage()
            .cmp(&b.stage())
            .then_with(|| b.is_delete().cmp(&a.is_delete()))
            .then_with(|| kind_rank(&a.id.kind.kind).cmp(&kind_rank(&b.id.kind.kind)))
            .then_with(|| a.id.kind.cmp(&b.id.kind))
            .then_with(|| a.id.name.cmp(&b.id.name))
            .then_with(|| a.id.namespace.cmp(&b.id.namespace))
    });
}

/// Moves Namespaces ahead of their users and definitions ahead of their objects: they take the earliest
/// phase and wave of those.
pub(super) fn lift(tasks: &mut [Task], defines: impl Fn(usize) -> Option<(String, String)>) {
    for at in 0..tasks.len() {
        let Some(index) = tasks[at].target() else {
            continue;
        };
        let earliest = if tasks[at].id.kind.is("", "Namespace") {
            let name = tasks[at].id.name.clone();
            tasks
                .iter()
                .filter(|task| task.id.namespace == name && !task.is_delete())
                .map(Task::stage)
                .min()
        } else if let Some((group, kind)) = defines(index) {
            tasks
                .iter()
                .filter(|task| task.id.kind.is(&group, &kind) && !task.is_delete())
                .map(Task::stage)
                .min()
        } else {
            None
        };
        if let Some(stage) = earliest
            && stage < tasks[at].stage()
        {
            (tasks[at].phase, tasks[at].wave) = stage;
        }
    }
}

/// Prunes go in the reverse order of waves: the first wave of the prunes swaps with the last one, and so
/// on. With `last` they come after every wave of the sync.
pub(super) fn reverse_prunes(tasks: &mut [Task], prune_last: impl Fn(&Task) -> bool) {
    let mut waves: Vec<i32> = tasks
        .iter()
        .filter(|task| task.is_delete())
        .map(|task| task.wave)
        .collect();
    waves.sort_unstable();
    waves.dedup();
    for task in tasks.iter_mut().filter(|task| task.is_delete()) {
        if let Ok(at) = waves.binary_search(&task.wave) {
            task.wave = waves[waves.len() - 1 - at];
        }
    }
    let highest = tasks
        .iter()
        .filter(|task| task.phase == crate::sync::SyncPhase::Sync && !prune_last(task))
        .map(|task| task.wave)
        .max()
        .unwrap_or_default();
    for task in tasks.iter_mut().filter(|task| task.is_delete()) {
        if prune_last(task) {
            task.wave = highest.saturating_add(1);
        }
    }
}

/// The tasks of one wave, in groups that run one after another: first the deletions, then kind by kind.
pub(super) fn groups(wave: &[&Task]) -> Vec<Vec<Task>> {
    let mut groups: Vec<Vec<Task>> = Vec::new();
    for task in wave {
        let same = groups
            .last()
            .and_then(|group| group.first())
            .is_some_and(|first: &Task| {
                first.is_delete() == task.is_delete()
                    && (task.is_delete() || first.id.kind.kind == task.id.kind.kind)
            });
        if same && let Some(group) = groups.last_mut() {
            group.push((*task).clone());
        } else {
            groups.push(vec![(*task).clone()]);
        }
    }
    groups
}
