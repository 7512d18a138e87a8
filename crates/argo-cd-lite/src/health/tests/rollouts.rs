//! Rollouts of this controller and of older ones.

use super::*;

#[test]
fn rollouts_believe_only_a_status_of_this_generation() {
    let rollout = |status: Value| json!({"metadata": {"generation": 3}, "status": status});
    codes(&[
        (
            "argoproj.io/v1alpha1/Rollout",
            rollout(json!({"observedGeneration": "2", "phase": "Healthy"})),
            Code::Progressing,
        ),
        (
            "argoproj.io/v1alpha1/Rollout",
            rollout(json!({"observedGeneration": "3", "phase": "Healthy"})),
            Code::Healthy,
        ),
        (
            "argoproj.io/v1alpha1/Rollout",
            rollout(json!({"observedGeneration": "3", "phase": "Paused"})),
            Code::Suspended,
        ),
        (
            "argoproj.io/v1alpha1/Rollout",
            rollout(json!({"observedGeneration": "3", "phase": "Degraded"})),
            Code::Degraded,
        ),
        (
            "argoproj.io/v1alpha1/Rollout",
            rollout(json!({"observedGeneration": "3", "phase": "Paused", "controllerPause": true})),
            Code::Progressing,
        ),
        (
            "argoproj.io/v1alpha1/Workflow",
            json!({"status": {"phase": "Error"}}),
            Code::Degraded,
        ),
    ]);
}

#[test]
fn rollouts_of_older_controllers_are_judged_by_their_conditions() {
    const KIND: &str = "argoproj.io/v1alpha1/Rollout";
    let rollout = |status: Value| json!({"metadata": {"generation": 3}, "status": status});
    let condition = |type_: &str, reason: &str| json!({"observedGeneration": "6f9c", "conditions": [{"type": type_, "reason": reason, "message": "m"}]});
    let referring = |observed: &str| {
        json!({
            "metadata": {"generation": 3, "annotations": {"rollout.argoproj.io/workload-generation": "7"}},
            "spec": {"workloadRef": {"kind": "Deployment"}},
            "status": {"observedGeneration": "3", "workloadObservedGeneration": observed, "phase": "Healthy"},
        })
    };
    codes(&[
        (
            KIND,
            json!({"metadata": {"generation": 1}}),
            Code::Progressing,
        ),
        (KIND, rollout(condition("InvalidSpec", "")), Code::Degraded),
        (
            KIND,
            rollout(condition("Progressing", "RolloutAborted")),
            Code::Degraded,
        ),
        (
            KIND,
            rollout(condition("Available", "x")),
            Code::Progressing,
        ),
        (
            KIND,
            rollout(json!({"pauseConditions": [{"reason": "x"}]})),
            Code::Suspended,
        ),
        (KIND, referring("6"), Code::Progressing),
        (KIND, referring("7"), Code::Healthy),
    ]);
}
