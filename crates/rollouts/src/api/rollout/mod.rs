//! `Rollout`: the object as users write it and as clients read it.

mod spec;
mod status;

pub use spec::*;
pub use status::*;

use reconcile_core::object::{Kind, Root};

/// Names of the kind `Rollout`.
#[derive(Debug)]
pub struct RolloutKind;

impl Kind for RolloutKind {
    const GROUP: &'static str = "argoproj.io";
    const VERSION: &'static str = "v1alpha1";
    const KIND: &'static str = "Rollout";
    const PLURAL: &'static str = "rollouts";
    type Scope = kube::core::NamespaceResourceScope;
    type Spec = RolloutSpec;
    type Status = RolloutStatus;
}

/// A Rollout as it arrives.
pub type Rollout = Root<RolloutKind>;

/// Label of ReplicaSets and pods: hash of the pod template.
pub const HASH_LABEL: &str = "rollouts-pod-template-hash";
/// Annotation of Rollouts and ReplicaSets: number of the revision.
pub const REVISION: &str = "rollout.argoproj.io/revision";
/// Annotation of ReplicaSets: revisions that they were before, comma separated.
pub const REVISION_HISTORY: &str = "rollout.argoproj.io/revision-history";
/// Annotation of ReplicaSets: `spec.replicas` of the Rollout when they were last scaled.
pub const DESIRED_REPLICAS: &str = "rollout.argoproj.io/desired-replicas";
/// Annotation of Rollouts: generation of the workload that they take their template from.
pub const WORKLOAD_GENERATION: &str = "rollout.argoproj.io/workload-generation";
/// Annotation of ReplicaSets: when to scale down to nothing. Upstream uses the bare key.
pub const SCALE_DOWN_DEADLINE: &str = "scale-down-deadline";
/// Annotation of Services: the Rollout that switches their selector.
pub const MANAGED_BY: &str = "argo-rollouts.argoproj.io/managed-by-rollouts";
/// Label that binds an object to one controller instance.
pub const INSTANCE_ID: &str = "argo-rollouts.argoproj.io/controller-instance-id";

#[cfg(test)]
mod tests;
