//! Health of objects and of applications.
//!
//! ```text
//!  pending deletion ─► override from argocd-cm (Lua) ─► row of the table or rule in code ─► standard conditions ─► none
//!                                                       (kinds, workload, pod, core ...)   (only when switched on)
//! ```
//!
//! A kind without any rule has no health at all: it neither worsens its application nor holds up a wave.

mod aggregate;
mod autoscaler;
mod checks;
mod code;
mod core;
mod custom;
mod kinds;
mod lua;
mod pod;
mod rule;
mod standard;
mod subject;
mod value;
mod workload;

pub use aggregate::{Member, aggregate};
pub use checks::Checks;
pub use code::{Code, Health};
pub use subject::Subject;

use kube::api::ObjectMeta;

use crate::api::HOOK_FINALIZER;

/// Health of an object that is on its way out; a hook is kept until its result was read.
fn pending_deletion(metadata: &ObjectMeta) -> Option<Health> {
    let going = metadata.deletion_timestamp.is_some() && !has_hook_finalizer(metadata);
    going.then(|| Health::new(Code::Progressing, "Pending deletion"))
}

fn built_in(subject: &Subject<'_>) -> Option<Health> {
    let Subject {
        group,
        version,
        kind,
        metadata,
        body,
    } = *subject;
    let generation = metadata.generation.unwrap_or_default();
    let name = metadata.name.as_deref().unwrap_or_default();
    if !is_known_version(subject) {
        return Some(unsupported(subject));
    }
    Some(match (group, kind) {
        ("apps", "Deployment") => workload::deployment(name, generation, body),
        ("apps", "StatefulSet") => workload::stateful_set(generation, body),
        ("apps", "DaemonSet") => workload::daemon_set(name, generation, body),
        ("apps", "ReplicaSet") => workload::replica_set(generation, body),
        ("", "Pod") => pod::pod(metadata, body),
        ("", "Service") => core::service(body),
        ("", "PersistentVolumeClaim") => core::volume_claim(body),
        ("batch", "Job") => core::job(body),
        ("networking.k8s.io" | "extensions", "Ingress") => core::ingress(body),
        ("autoscaling", "HorizontalPodAutoscaler") => {
            autoscaler::autoscaler(version, metadata, body)
        }
        ("apiregistration.k8s.io", "APIService") => core::api_service(body),
        ("argoproj.io", "Workflow") => custom::workflow(body),
        ("argoproj.io", "Rollout") => custom::rollout(metadata, body),
        _ => return kinds::find(group, kind)?.assess(subject),
    })
}

/// Rules in code read the fields of one version.
fn is_known_version(subject: &Subject<'_>) -> bool {
    match (subject.group, subject.kind) {
        ("apps", "Deployment" | "StatefulSet" | "DaemonSet" | "ReplicaSet")
        | ("", "Pod" | "Service" | "PersistentVolumeClaim")
        | ("batch", "Job") => subject.version == "v1",
        ("autoscaling", "HorizontalPodAutoscaler") => {
            matches!(subject.version, "v1" | "v2" | "v2beta1" | "v2beta2")
        }
        _ => true,
    }
}

fn unsupported(subject: &Subject<'_>) -> Health {
    let Subject {
        group,
        version,
        kind,
        ..
    } = subject;
    let api = match *group {
        "" => (*version).to_owned(),
        group => format!("{group}/{version}"),
    };
    Health::new(
        Code::Unknown,
        format!("unsupported {kind} GVK: {api}, Kind={kind}"),
    )
}

/// True for kinds whose rule compares `observedGeneration`, so that a stale status is never taken for a
/// fresh one.
pub(crate) fn is_generation_aware(group: &str, kind: &str) -> bool {
    matches!(
        (group, kind),
        (
            "apps",
            "Deployment" | "StatefulSet" | "DaemonSet" | "ReplicaSet"
        ) | ("argoproj.io", "Rollout")
    )
}

/// True for kinds that have a rule.
pub(crate) fn has_rule(group: &str, kind: &str) -> bool {
    is_generation_aware(group, kind)
        || matches!(
            (group, kind),
            ("", "Pod" | "Service" | "PersistentVolumeClaim")
                | ("batch", "Job")
                | ("networking.k8s.io" | "extensions", "Ingress")
                | ("autoscaling", "HorizontalPodAutoscaler")
                | ("apiregistration.k8s.io", "APIService")
                | ("argoproj.io", "Workflow")
        )
        || kinds::find(group, kind).is_some()
}

/// Group and kind of every kind in the table. A leading `*.` in the group is any subdomain, `*` any kind.
pub fn table() -> impl Iterator<Item = (&'static str, &'static str)> {
    kinds::all()
}

fn has_hook_finalizer(metadata: &ObjectMeta) -> bool {
    metadata
        .finalizers
        .as_ref()
        .is_some_and(|finalizers| finalizers.iter().any(|name| name == HOOK_FINALIZER))
}

#[cfg(test)]
mod tests;
