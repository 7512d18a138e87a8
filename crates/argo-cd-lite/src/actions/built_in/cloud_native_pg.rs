//! Postgres clusters of CloudNativePG.

use serde_json::Value;

use super::{
    super::{
        ActionError, Call,
        row::{
            Effect::{Edit, Set},
            Row,
            Setting::{Absent, Now, Text},
            State, row, seconds, set,
        },
    },
    fields::annotation,
    icons::{PAUSE, PLAY},
};

const LOOP: &str = "cnpg.io/reconciliationLoop";
const HIBERNATION: &str = "cnpg.io/hibernation";

pub(super) const ROWS: &[Row] = &[
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
        Set(&[(&["metadata", "annotations", LOOP], Text("disabled"))]),
    )
    .state(|object| State::only_when(annotation(object, LOOP) != Some("disabled")))
    .shown("Suspend Reconciliation", PAUSE),
    row(
        "postgresql.cnpg.io",
        "Cluster",
        "resume",
        Set(&[(&["metadata", "annotations", LOOP], Absent)]),
    )
    .state(|object| State::only_when(annotation(object, LOOP) == Some("disabled")))
    .shown("Resume Reconciliation", PLAY),
    row(
        "postgresql.cnpg.io",
        "Cluster",
        "hibernate",
        Set(&[(&["metadata", "annotations", HIBERNATION], Text("on"))]),
    )
    .state(|object| State::only_when(annotation(object, HIBERNATION) != Some("on")))
    .shown("Hibernate Cluster", PAUSE),
    row(
        "postgresql.cnpg.io",
        "Cluster",
        "rehydrate",
        Set(&[(&["metadata", "annotations", HIBERNATION], Text("off"))]),
    )
    .state(|object| State::only_when(annotation(object, HIBERNATION) == Some("on")))
    .shown("Rehydrate Cluster", PLAY),
];

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
