//! Workloads that come with Kubernetes.
#![expect(
    clippy::unnecessary_wraps,
    reason = "edits share one signature, and some of them can fail"
)]

use serde_json::Value;

use super::{
    super::{
        ActionError, Call, create,
        row::{
            Effect::{Create, Edit, Set},
            Row,
            Setting::{Now, Replicas},
            State, row, seconds, set,
        },
    },
    fields::{conditions, is_true},
    icons::{PLUS, RESTART, STOP},
    switches::{pause, suspend, unpause, unsuspend},
};

const RESTARTED_AT: &[&str] = &[
    "spec",
    "template",
    "metadata",
    "annotations",
    "kubectl.kubernetes.io/restartedAt",
];

pub(super) const ROWS: &[Row] = &[
    row(
        "apps",
        "Deployment|StatefulSet|DaemonSet",
        "restart",
        Set(&[(RESTARTED_AT, Now)]),
    )
    .shown("", RESTART),
    pause("apps", "Deployment", |object| {
        State::when(!is_true(object, "/spec/paused"))
    }),
    unpause("apps", "Deployment", |object| {
        State::when(is_true(object, "/spec/paused"))
    }),
    row(
        "apps",
        "Deployment|StatefulSet",
        "scale",
        Set(&[(&["spec", "replicas"], Replicas)]),
    )
    .param("replicas", |object| number(object, "/spec/replicas")),
    row("batch", "CronJob", "create-job", Create(create::job)).shown("Create Job", PLUS),
    suspend("batch", "CronJob", |object| {
        State::only_when(!is_true(object, "/spec/suspend"))
    }),
    unsuspend("batch", "CronJob", |object| {
        State::only_when(is_true(object, "/spec/suspend"))
    }),
    suspend("batch", "Job", |object| {
        State::only_when(!has_ended(object) && !is_true(object, "/spec/suspend"))
    }),
    unsuspend("batch", "Job", |object| {
        State::only_when(!has_ended(object) && is_true(object, "/spec/suspend"))
    }),
    row("batch", "Job", "terminate", Edit(terminate_job))
        .state(|object| State::only_when(!has_ended(object) && object["status"].is_object()))
        .shown("", STOP),
];

fn number(object: &Value, pointer: &str) -> String {
    let number = object.pointer(pointer).and_then(Value::as_i64);
    number.unwrap_or(1).to_string()
}

fn has_ended(object: &Value) -> bool {
    conditions(object).iter().any(|condition| {
        condition["status"] == "True"
            && matches!(
                condition["type"].as_str(),
                Some("Complete" | "Failed" | "FailureTarget" | "SuccessCriteriaMet")
            )
    })
}

/// The Job controller ends a Job that carries this condition.
fn terminate_job(object: &mut Value, call: &Call<'_>) -> Result<(), ActionError> {
    let mut all = conditions(object).to_vec();
    all.push(serde_json::json!({
        "type": "FailureTarget",
        "status": "True",
        "reason": "ManuallyTerminated",
        "message": "Job was terminated explicitly through Argo CD",
        "lastTransitionTime": seconds(call),
    }));
    set(object, &["status", "conditions"], all.into());
    Ok(())
}
