//! `HorizontalPodAutoscaler`, whose `v1` form keeps its conditions in an annotation.

use std::borrow::Cow;

use kube::api::ObjectMeta;
use serde_json::Value;

use super::{
    Code, Health,
    value::{list, text},
};

const V1_CONDITIONS: &str = "autoscaling.alpha.kubernetes.io/conditions";

/// Type and reason of conditions that mean trouble, whatever their status is.
const BROKEN: &[(&str, &str)] = &[
    ("AbleToScale", "FailedGetScale"),
    ("AbleToScale", "FailedUpdateScale"),
    ("ScalingActive", "FailedGetResourceMetric"),
    ("ScalingActive", "FailedGetObjectMetric"),
    ("ScalingActive", "FailedGetPodsMetric"),
    ("ScalingActive", "FailedGetExternalMetric"),
    ("ScalingActive", "FailedComputeMetricsReplicas"),
    ("ScalingActive", "InvalidSelector"),
];

/// Conditions that show a working autoscaler when they are true.
const WORKING: &[&str] = &["AbleToScale", "ScalingLimited"];

/// A broken condition decides wherever it is in the list; else a working one does. A disabled
/// autoscaler (`ScalingActive` is false, reason `ScalingDisabled`) is able to scale and thus healthy.
pub(super) fn autoscaler(version: &str, metadata: &ObjectMeta, body: &Value) -> Health {
    let conditions = match version {
        "v1" => match annotated_conditions(metadata) {
            Ok(conditions) => Cow::Owned(conditions),
            Err(error) => {
                return Health::new(
                    Code::Unknown,
                    format!("cannot read annotation {V1_CONDITIONS}: {error}"),
                );
            }
        },
        _ => Cow::Borrowed(list(body, &["status", "conditions"])),
    };
    let broken = conditions.iter().find(|condition| {
        BROKEN.contains(&(text(condition, &["type"]), text(condition, &["reason"])))
    });
    if let Some(condition) = broken {
        return Health::new(Code::Degraded, text(condition, &["message"]));
    }
    let working = conditions.iter().find(|condition| {
        WORKING.contains(&text(condition, &["type"])) && text(condition, &["status"]) == "True"
    });
    match working {
        Some(condition) => Health::new(Code::Healthy, text(condition, &["message"])),
        None => Health::new(Code::Progressing, "Waiting to Autoscale"),
    }
}

fn annotated_conditions(metadata: &ObjectMeta) -> serde_json::Result<Vec<Value>> {
    let annotation = metadata
        .annotations
        .as_ref()
        .and_then(|annotations| annotations.get(V1_CONDITIONS));
    annotation.map_or_else(|| Ok(Vec::new()), |text| serde_json::from_str(text))
}
