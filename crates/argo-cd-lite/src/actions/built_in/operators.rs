//! External Secrets, KEDA, Cluster API and Numaflow.

use serde_json::Value;

use super::{
    super::row::{
        Effect::Set,
        Row,
        Setting::{Absent, Now, ReplicasText, Text},
        State, row,
    },
    fields::{annotation, is_true},
    icons::{PAUSE, PLAY, RESTART},
    switches::{pause, unpause},
};

const KEDA_PAUSED: &str = "autoscaling.keda.sh/paused";
const KEDA_REPLICAS: &str = "autoscaling.keda.sh/paused-replicas";
const CAPI_PAUSED: &str = "cluster.x-k8s.io/paused";

pub(super) const ROWS: &[Row] = &[
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
    pause("cluster.x-k8s.io", "MachineDeployment|Cluster", |object| {
        State::when(!is_true(object, "/spec/paused"))
    }),
    unpause("cluster.x-k8s.io", "MachineDeployment|Cluster", |object| {
        State::when(is_true(object, "/spec/paused"))
    }),
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

fn is_keda_paused(object: &Value) -> bool {
    annotation(object, KEDA_PAUSED) == Some("true") || annotation(object, KEDA_REPLICAS).is_some()
}

fn wants_pause(object: &Value) -> bool {
    object["spec"]["lifecycle"]["desiredPhase"] == "Paused"
}
