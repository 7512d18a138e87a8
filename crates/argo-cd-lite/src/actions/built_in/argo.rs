//! Rollouts, Applications and Workflows.
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
            Setting::{Absent, Flag, Now},
            State, row, set,
        },
    },
    fields::is_true,
    icons::{PLAY, PLUS, RESTART, STOP},
    switches::{pause, suspend, unsuspend},
};

pub(super) const ROWS: &[Row] = &[
    row(
        "argoproj.io",
        "Rollout",
        "restart",
        Set(&[(&["spec", "restartAt"], Now)]),
    )
    .shown("", RESTART),
    pause("argoproj.io", "Rollout", |object| {
        State::when(!is_paused(object) && !is_promoted(object))
    }),
    row("argoproj.io", "Rollout", "resume", Edit(resume_rollout))
        .state(|object| State::when(is_paused(object)))
        .shown("", PLAY),
    row(
        "argoproj.io",
        "Rollout",
        "abort",
        Set(&[(&["status", "abort"], Flag(true))]),
    )
    .state(|object| State::when(!is_promoted(object) && !is_true(object, "/status/abort")))
    .shown("", STOP),
    row(
        "argoproj.io",
        "Rollout",
        "retry",
        Set(&[(&["status", "abort"], Absent)]),
    )
    .state(|object| State::when(!is_promoted(object) && is_true(object, "/status/abort")))
    .shown("", RESTART),
    row(
        "argoproj.io",
        "Rollout",
        "promote-full",
        Set(&[(&["status", "promoteFull"], Flag(true))]),
    )
    .state(|object| State::when(!is_promoted(object)))
    .shown("Promote Full", "fa fa-fw fa-forward"),
    row(
        "argoproj.io",
        "Rollout",
        "skip-current-step",
        Edit(skip_step),
    )
    .state(|object| State::when(step(object).is_some()))
    .shown("Skip Current Step", "fa fa-fw fa-step-forward"),
    row(
        "argoproj.io",
        "AnalysisRun",
        "terminate",
        Set(&[(&["spec", "terminate"], Flag(true))]),
    )
    .state(|object| {
        let phase = object.pointer("/status/phase").and_then(Value::as_str);
        State::when(matches!(phase, None | Some("" | "Pending" | "Running")))
    })
    .shown("", STOP),
    row(
        "argoproj.io",
        "Application",
        "toggle-auto-sync",
        Edit(toggle_auto_sync),
    )
    .shown("Toggle Auto Sync", "fa fa-fw fa-sync"),
    row(
        "argoproj.io",
        "CronWorkflow",
        "create-workflow",
        Create(create::workflow_of_schedule),
    )
    .shown("Create Workflow", PLUS),
    suspend("argoproj.io", "CronWorkflow", |object| {
        State::only_when(!is_true(object, "/spec/suspend"))
    }),
    unsuspend("argoproj.io", "CronWorkflow", |object| {
        State::only_when(is_true(object, "/spec/suspend"))
    }),
    row(
        "argoproj.io",
        "WorkflowTemplate",
        "create-workflow",
        Create(create::workflow_of_template),
    )
    .shown("Create Workflow", PLUS),
];

fn has_pause_conditions(object: &Value) -> bool {
    let pauses = object.pointer("/status/pauseConditions");
    pauses
        .and_then(Value::as_array)
        .is_some_and(|all| !all.is_empty())
}

fn is_paused(object: &Value) -> bool {
    has_pause_conditions(object) || is_true(object, "/spec/paused")
}

fn is_promoted(object: &Value) -> bool {
    object["status"]["currentPodHash"] == object["status"]["stableRS"]
}

fn resume_rollout(object: &mut Value, _: &Call<'_>) -> Result<(), ActionError> {
    if has_pause_conditions(object) {
        set(object, &["status", "pauseConditions"], Value::Null);
    }
    if is_true(object, "/spec/paused") {
        set(object, &["spec", "paused"], false.into());
    }
    Ok(())
}

/// The step that a canary is at, when it is not the end.
fn step(object: &Value) -> Option<u64> {
    let steps = object.pointer("/spec/strategy/canary/steps")?.as_array()?;
    let at = object.pointer("/status/currentStepIndex")?.as_u64()?;
    usize::try_from(at)
        .is_ok_and(|at| at < steps.len())
        .then_some(at)
}

fn skip_step(object: &mut Value, _: &Call<'_>) -> Result<(), ActionError> {
    let at = step(object).ok_or(ActionError::Lacking("canary step to skip"))?;
    set(object, &["status", "pauseConditions"], Value::Null);
    set(object, &["status", "currentStepIndex"], (at + 1).into());
    Ok(())
}

/// `automated: {}` is on; `enabled` says otherwise.
fn toggle_auto_sync(object: &mut Value, _: &Call<'_>) -> Result<(), ActionError> {
    let automated = &object["spec"]["syncPolicy"]["automated"];
    let on = automated.is_object() && automated["enabled"].as_bool() != Some(false);
    let path = &["spec", "syncPolicy", "automated", "enabled"];
    set(object, path, (!on).into());
    Ok(())
}
