//! Health of objects and of applications.
//!
//! Built-in rules exist for the workload and core kinds, `Workflow` and `Rollout`. Any other kind has no health at all: it
//! neither worsens its application nor holds up a wave.

mod aggregate;
mod autoscaler;
mod code;
mod core;
mod custom;
mod pod;
mod value;
mod workload;

pub use aggregate::{Member, aggregate};
pub use code::{Code, Health};

use kube::api::ObjectMeta;
use serde_json::Value;

use crate::api::HOOK_FINALIZER;

/// Health of a live object, `None` for kinds without a rule. `body` holds everything but metadata.
pub fn assess(
    group: &str,
    version: &str,
    kind: &str,
    metadata: &ObjectMeta,
    body: &Value,
) -> Option<Health> {
    if metadata.deletion_timestamp.is_some() && !has_hook_finalizer(metadata) {
        return Some(Health::new(Code::Progressing, "Pending deletion"));
    }
    let generation = metadata.generation.unwrap_or_default();
    let name = metadata.name.as_deref().unwrap_or_default();
    Some(match (group, version, kind) {
        ("apps", "v1", "Deployment") => workload::deployment(name, generation, body),
        ("apps", "v1", "StatefulSet") => workload::stateful_set(generation, body),
        ("apps", "v1", "DaemonSet") => workload::daemon_set(name, generation, body),
        ("apps", "v1", "ReplicaSet") => workload::replica_set(generation, body),
        ("", _, "Pod") => pod::pod(metadata, body),
        ("", _, "Service") => core::service(body),
        ("", _, "PersistentVolumeClaim") => core::volume_claim(body),
        ("batch", _, "Job") => core::job(body),
        ("networking.k8s.io" | "extensions", _, "Ingress") => core::ingress(body),
        ("autoscaling", _, "HorizontalPodAutoscaler") => autoscaler::autoscaler(metadata, body),
        ("apiregistration.k8s.io", _, "APIService") => core::api_service(body),
        ("argoproj.io", _, "Workflow") => custom::workflow(body),
        ("argoproj.io", _, "Rollout") => custom::rollout(metadata, body),
        _ => return None,
    })
}

/// True for kinds whose rule compares `observedGeneration`, so that a stale status is never taken for a
/// fresh one.
pub fn is_generation_aware(group: &str, kind: &str) -> bool {
    matches!(
        (group, kind),
        (
            "apps",
            "Deployment" | "StatefulSet" | "DaemonSet" | "ReplicaSet"
        ) | ("argoproj.io", "Rollout")
    )
}

/// True for kinds that have a rule.
pub fn has_rule(group: &str, kind: &str) -> bool {
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
}

fn has_hook_finalizer(metadata: &ObjectMeta) -> bool {
    metadata
        .finalizers
        .as_ref()
        .is_some_and(|finalizers| finalizers.iter().any(|name| name == HOOK_FINALIZER))
}

#[cfg(test)]
mod tests;
