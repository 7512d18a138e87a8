//! The actions that come with the binary.
#![expect(
    clippy::unnecessary_wraps,
    reason = "edits share one signature, and some of them can fail"
)]

use serde_json::Value;

use super::{
    ActionError, ActionInfo, Call, Change, create,
    row::{
        Effect::{Create, Edit, Set},
        Row,
        Setting::{Absent, Flag, Now, Replicas, ReplicasText, Text},
        State, row, seconds, set,
    },
};

const RESTART: &str = "fa fa-fw fa-redo";
const PAUSE: &str = "fa fa-fw fa-pause";
const PLAY: &str = "fa fa-fw fa-play";
const PLUS: &str = "fa fa-fw fa-plus";
const STOP: &str = "fa fa-fw fa-stop";

/// Kinds of Flux by group; all of them know `spec.suspend`.
const FLUX: &[(&str, &str)] = &[
    ("kustomize.toolkit.fluxcd.io", "Kustomization"),
    ("helm.toolkit.fluxcd.io", "HelmRelease"),
    (
        "source.toolkit.fluxcd.io",
        "GitRepository|Bucket|HelmChart|HelmRepository|OCIRepository",
    ),
    (
        "image.toolkit.fluxcd.io",
        "ImageRepository|ImageUpdateAutomation",
    ),
    ("notification.toolkit.fluxcd.io", "Receiver|Alert|Provider"),
];

const RESTARTED_AT: &[&str] = &[
    "spec",
    "template",
    "metadata",
    "annotations",
    "kubectl.kubernetes.io/restartedAt",
];

const WORKLOADS: &[Row] = &[
    row(
        "apps",
        "Deployment|StatefulSet|DaemonSet",
        "restart",
        Set(&[(RESTARTED_AT, Now)]),
    )
    .shown("", RESTART),
    row(
        "apps",
        "Deployment",
        "pause",
        Set(&[(&["spec", "paused"], Flag(true))]),
    )
    .state(|object| State::when(!is_true(object, "/spec/paused")))
    .shown("", PAUSE),
    row(
        "apps",
        "Deployment",
        "resume",
        Set(&[(&["spec", "paused"], Flag(false))]),
    )
    .state(|object| State::when(is_true(object, "/spec/paused")))
    .shown("", PLAY),
    row(
        "apps",
        "Deployment|StatefulSet",
        "scale",
        Set(&[(&["spec", "replicas"], Replicas)]),
    )
    .param("replicas", |object| number(object, "/spec/replicas")),
    row("batch", "CronJob", "create-job", Create(create::job)).shown("Create Job", PLUS),
    row(
        "batch",
        "CronJob",
        "suspend",
        Set(&[(&["spec", "suspend"], Flag(true))]),
    )
    .state(|object| State::only_when(!is_true(object, "/spec/suspend")))
    .shown("", PAUSE),
    row(
        "batch",
        "CronJob",
        "resume",
        Set(&[(&["spec", "suspend"], Flag(false))]),
    )
    .state(|object| State::only_when(is_true(object, "/spec/suspend")))
    .shown("", PLAY),
    row(
        "batch",
        "Job",
        "suspend",
        Set(&[(&["spec", "suspend"], Flag(true))]),
    )
    .state(|object| State::only_when(!has_ended(object) && !is_true(object, "/spec/suspend")))
    .shown("", PAUSE),
    row(
        "batch",
        "Job",
        "resume",
        Set(&[(&["spec", "suspend"], Flag(false))]),
    )
    .state(|object| State::only_when(!has_ended(object) && is_true(object, "/spec/suspend")))
    .shown("", PLAY),
    row("batch", "Job", "terminate", Edit(terminate_job))
        .state(|object| State::only_when(!has_ended(object) && object["status"].is_object()))
        .shown("", STOP),
];

const ARGO: &[Row] = &[
    row(
        "argoproj.io",
        "Rollout",
        "restart",
        Set(&[(&["spec", "restartAt"], Now)]),
    )
    .shown("", RESTART),
    row(
        "argoproj.io",
        "Rollout",
        "pause",
        Set(&[(&["spec", "paused"], Flag(true))]),
    )
    .state(|object| State::when(!is_paused(object) && !is_promoted(object)))
    .shown("", PAUSE),
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
    row(
        "argoproj.io",
        "CronWorkflow",
        "suspend",
        Set(&[(&["spec", "suspend"], Flag(true))]),
    )
    .state(|object| State::only_when(!is_true(object, "/spec/suspend")))
    .shown("", PAUSE),
    row(
        "argoproj.io",
        "CronWorkflow",
        "resume",
        Set(&[(&["spec", "suspend"], Flag(false))]),
    )
    .state(|object| State::only_when(is_true(object, "/spec/suspend")))
    .shown("", PLAY),
    row(
        "argoproj.io",
        "WorkflowTemplate",
        "create-workflow",
        Create(create::workflow_of_template),
    )
    .shown("Create Workflow", PLUS),
];

const CNPG_LOOP: &str = "cnpg.io/reconciliationLoop";
const CNPG_HIBERNATION: &str = "cnpg.io/hibernation";
const KEDA_PAUSED: &str = "autoscaling.keda.sh/paused";
const KEDA_REPLICAS: &str = "autoscaling.keda.sh/paused-replicas";
const CAPI_PAUSED: &str = "cluster.x-k8s.io/paused";

const OPERATORS: &[Row] = &[
    row(
        "external-secrets.io",
        "ExternalSecret",
        "refresh",
        Set(&[(&["metadata", "annotations", "force-sync"], Now)]),
    ),
    row(
        "external-secrets.io",
        "PushSecret",
        "push",
        Set(&[(&["metadata", "annotations", "force-sync"], Now)]),
    ),
    row(
        "postgresql.cnpg.io",
        "Cluster",
        "restart",
        Set(&[(
            &[
                "metadata",
                "annotations",
                "kubectl.kubernetes.io/restartedAt",
            ],
            Now,
        )]),
    )
    .shown("Rollout restart Cluster", "fa fa-fw fa-recycle"),
    row(
        "postgresql.cnpg.io",
        "Cluster",
        "reload",
        Set(&[(&["metadata", "annotations", "cnpg.io/reloadedAt"], Now)]),
    )
    .shown("Reload all Configuration", "fa fa-fw fa-rotate-right"),
    row(
        "postgresql.cnpg.io",
        "Cluster",
        "promote",
        Edit(promote_instance),
    )
    .state(|object| State::when(healthy_instances(object).len() > 1))
    .param("instance", |_| "any".to_owned())
    .shown("Promote Replica to Primary", "fa fa-fw fa-angles-up"),
    row(
        "postgresql.cnpg.io",
        "Cluster",
        "suspend",
        Set(&[(&["metadata", "annotations", CNPG_LOOP], Text("disabled"))]),
    )
    .state(|object| State::only_when(annotation(object, CNPG_LOOP) != Some("disabled")))
    .shown("Suspend Reconciliation", PAUSE),
    row(
        "postgresql.cnpg.io",
        "Cluster",
        "resume",
        Set(&[(&["metadata", "annotations", CNPG_LOOP], Absent)]),
    )
    .state(|object| State::only_when(annotation(object, CNPG_LOOP) == Some("disabled")))
    .shown("Resume Reconciliation", PLAY),
    row(
        "postgresql.cnpg.io",
        "Cluster",
        "hibernate",
        Set(&[(&["metadata", "annotations", CNPG_HIBERNATION], Text("on"))]),
    )
    .state(|object| State::only_when(annotation(object, CNPG_HIBERNATION) != Some("on")))
    .shown("Hibernate Cluster", PAUSE),
    row(
        "postgresql.cnpg.io",
        "Cluster",
        "rehydrate",
        Set(&[(&["metadata", "annotations", CNPG_HIBERNATION], Text("off"))]),
    )
    .state(|object| State::only_when(annotation(object, CNPG_HIBERNATION) == Some("on")))
    .shown("Rehydrate Cluster", PLAY),
    row(
        "keda.sh",
        "ScaledObject|ScaledJob",
        "pause",
        Set(&[(&["metadata", "annotations", KEDA_PAUSED], Text("true"))]),
    )
    .state(|object| State::when(!is_keda_paused(object)))
    .shown("", PAUSE),
    row(
        "keda.sh",
        "ScaledObject|ScaledJob",
        "resume",
        Set(&[
            (&["metadata", "annotations", KEDA_PAUSED], Absent),
            (&["metadata", "annotations", KEDA_REPLICAS], Absent),
        ]),
    )
    .state(|object| State::when(is_keda_paused(object)))
    .shown("", PLAY),
    row(
        "keda.sh",
        "ScaledObject",
        "paused-replicas",
        Set(&[(&["metadata", "annotations", KEDA_REPLICAS], ReplicasText)]),
    )
    .state(|object| State::when(annotation(object, KEDA_PAUSED) != Some("true")))
    .param("replicas", |object| {
        annotation(object, KEDA_REPLICAS).unwrap_or("0").to_owned()
    })
    .shown("", PAUSE),
    row(
        "cluster.x-k8s.io",
        "MachineDeployment",
        "restart",
        Set(&[(&["spec", "rolloutAfter"], Now)]),
    )
    .shown("", RESTART),
    row(
        "cluster.x-k8s.io",
        "MachineDeployment|Cluster",
        "pause",
        Set(&[(&["spec", "paused"], Flag(true))]),
    )
    .state(|object| State::when(!is_true(object, "/spec/paused")))
    .shown("", PAUSE),
    row(
        "cluster.x-k8s.io",
        "MachineDeployment|Cluster",
        "resume",
        Set(&[(&["spec", "paused"], Flag(false))]),
    )
    .state(|object| State::when(is_true(object, "/spec/paused")))
    .shown("", PLAY),
    row(
        "controlplane.cluster.x-k8s.io",
        "KubeadmControlPlane",
        "restart",
        Set(&[
            (&["spec", "rolloutAfter"], Now),
            (
                &["metadata", "annotations", "cluster.x-k8s.io/restartedAt"],
                Now,
            ),
        ]),
    )
    .shown("", RESTART),
    row(
        "controlplane.cluster.x-k8s.io",
        "KubeadmControlPlane",
        "pause",
        Set(&[(&["metadata", "annotations", CAPI_PAUSED], Text(""))]),
    )
    .state(|object| State::when(annotation(object, CAPI_PAUSED).is_none()))
    .shown("", PAUSE),
    row(
        "controlplane.cluster.x-k8s.io",
        "KubeadmControlPlane",
        "resume",
        Set(&[(&["metadata", "annotations", CAPI_PAUSED], Absent)]),
    )
    .state(|object| State::when(annotation(object, CAPI_PAUSED).is_some()))
    .shown("", PLAY),
    row(
        "numaflow.numaproj.io",
        "Pipeline|MonoVertex",
        "pause",
        Set(&[(&["spec", "lifecycle", "desiredPhase"], Text("Paused"))]),
    )
    .state(|object| State::when(!wants_pause(object)))
    .shown("", PAUSE),
    row(
        "numaflow.numaproj.io",
        "Pipeline|MonoVertex",
        "unpause-gradual",
        Set(&[
            (&["spec", "lifecycle", "desiredPhase"], Text("Running")),
            (
                &[
                    "metadata",
                    "annotations",
                    "numaflow.numaproj.io/resume-strategy",
                ],
                Text("slow"),
            ),
        ]),
    )
    .state(|object| State::when(wants_pause(object)))
    .shown("Unpause (gradual)", PLAY),
    row(
        "numaflow.numaproj.io",
        "Pipeline|MonoVertex",
        "unpause-fast",
        Set(&[
            (&["spec", "lifecycle", "desiredPhase"], Text("Running")),
            (
                &[
                    "metadata",
                    "annotations",
                    "numaflow.numaproj.io/resume-strategy",
                ],
                Text("fast"),
            ),
        ]),
    )
    .state(|object| State::when(wants_pause(object)))
    .shown("Unpause (fast)", PLAY),
];

/// Rows of Flux, in the group and for the kinds of each.
const fn flux(group: &'static str, kinds: &'static str) -> [Row; 3] {
    [
        row(
            group,
            kinds,
            "suspend",
            Set(&[(&["spec", "suspend"], Flag(true))]),
        )
        .state(|object| State::when(!is_true(object, "/spec/suspend")))
        .shown("", PAUSE),
        row(
            group,
            kinds,
            "resume",
            Set(&[(&["spec", "suspend"], Flag(false))]),
        )
        .state(|object| State::when(is_true(object, "/spec/suspend")))
        .shown("", PLAY),
        row(group, kinds, "reconcile", Edit(request_reconciliation))
            .state(|object| {
                let listens = !matches!(object["kind"].as_str(), Some("Alert" | "Provider"));
                if listens {
                    State::when(!is_true(object, "/spec/suspend"))
                } else {
                    State::Absent
                }
            })
            .shown("", RESTART),
    ]
}

/// Applies `look` to each row of a kind until it finds something.
fn rows<T>(group: &str, kind: &str, mut look: impl FnMut(&Row) -> Option<T>) -> Option<T> {
    let fixed = [WORKLOADS, ARGO, OPERATORS].into_iter().flatten();
    let found = fixed
        .filter(|row| row.covers(group, kind))
        .find_map(&mut look);
    found.or_else(|| {
        let (group, kinds) = FLUX.iter().find(|(known, _)| *known == group)?;
        let rows = flux(group, kinds);
        rows.iter()
            .filter(|row| row.covers(group, kind))
            .find_map(look)
    })
}

pub(super) fn list(group: &str, kind: &str, object: &Value) -> Vec<ActionInfo> {
    let mut infos = Vec::new();
    let all: Option<()> = rows(group, kind, |row| {
        infos.extend(row.info(object));
        None
    });
    debug_assert!(all.is_none());
    infos
}

pub(super) fn run(
    group: &str,
    kind: &str,
    name: &str,
    call: &Call<'_>,
) -> Result<Vec<Change>, ActionError> {
    let done = rows(group, kind, |row| (row.name == name).then(|| row.run(call)));
    done.unwrap_or_else(|| Err(ActionError::Disabled(name.to_owned())))
}

fn is_true(object: &Value, pointer: &str) -> bool {
    object.pointer(pointer).and_then(Value::as_bool) == Some(true)
}

fn number(object: &Value, pointer: &str) -> String {
    let number = object.pointer(pointer).and_then(Value::as_i64);
    number.unwrap_or(1).to_string()
}

fn annotation<'a>(object: &'a Value, key: &str) -> Option<&'a str> {
    object["metadata"]["annotations"].get(key)?.as_str()
}

fn conditions(object: &Value) -> &[Value] {
    let conditions = object.pointer("/status/conditions");
    conditions
        .and_then(Value::as_array)
        .map_or(&[], Vec::as_slice)
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

fn request_reconciliation(object: &mut Value, call: &Call<'_>) -> Result<(), ActionError> {
    let path = &["metadata", "annotations", "reconcile.fluxcd.io/requestedAt"];
    let at = call.now.strftime("By Argo CD at: %Y-%m-%dT%H:%M:%S");
    set(object, path, at.to_string().into());
    Ok(())
}

fn is_keda_paused(object: &Value) -> bool {
    annotation(object, KEDA_PAUSED) == Some("true") || annotation(object, KEDA_REPLICAS).is_some()
}

fn wants_pause(object: &Value) -> bool {
    object["spec"]["lifecycle"]["desiredPhase"] == "Paused"
}

fn healthy_instances(object: &Value) -> Vec<&str> {
    let healthy = object.pointer("/status/instancesStatus/healthy");
    let all = healthy.and_then(Value::as_array).into_iter().flatten();
    all.filter_map(Value::as_str).collect()
}

/// The named instance, or the one after the present primary.
fn promote_instance(object: &mut Value, call: &Call<'_>) -> Result<(), ActionError> {
    let healthy = healthy_instances(object);
    let wanted = call.params.get("instance").map_or("any", String::as_str);
    let primary = object["status"]["currentPrimary"].as_str();
    let next = match wanted {
        "any" => {
            let at = healthy.iter().position(|name| Some(*name) == primary);
            let next = at.map_or(0, |at| at + 1);
            healthy.get(next).or(healthy.first()).copied()
        }
        name => healthy.iter().find(|known| **known == name).copied(),
    };
    let Some(next) = next.map(str::to_owned) else {
        return Err(ActionError::Param {
            name: "instance".to_owned(),
            reason: format!(
                "{wanted:?} is no healthy instance; there are {}",
                healthy.join(", ")
            ),
        });
    };
    set(object, &["status", "targetPrimary"], next.into());
    let at = seconds(call);
    set(object, &["status", "targetPrimaryTimestamp"], at.into());
    Ok(())
}
