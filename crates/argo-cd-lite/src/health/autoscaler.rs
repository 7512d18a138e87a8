//! `HorizontalPodAutoscaler`, whose `v1` form keeps its conditions in an annotation.

use kube::api::ObjectMeta;
use serde_json::Value;

use super::{
    Code, Health,
    value::{list, text},
};

const V1_CONDITIONS: &str = "autoscaling.alpha.kubernetes.io/conditions";

const BROKEN: &[(&str, &str)] = &[
    ("AbleToScale", "FailedGetScale"),
    ("AbleToScale", "FailedUpdateScale"),
    ("ScalingActive", "FailedGetResourceMetric"),
    ("ScalingActive", "InvalidSelector"),
];

const WORKING: &[(&str, &str)] = &[
    ("AbleToScale", "SucceededRescale"),
    ("ScalingLimited", "DesiredWithinRange"),
    ("ScalingLimited", "TooFewReplicas"),
    ("ScalingLimited", "TooManyReplicas"),
];

/// The first condition that tells decides.
pub(super) fn autoscaler(metadata: &ObjectMeta, body: &Value) -> Health {
    let annotated: Option<Value> = metadata
        .annotations
        .as_ref()
        .and_then(|annotations| serde_json::from_str(annotations.get(V1_CONDITIONS)?).ok());
    let conditions = match &annotated {
        Some(Value::Array(conditions)) => conditions.as_slice(),
        _ => list(body, &["status", "conditions"]),
    };
    for condition in conditions {
        let state = (text(condition, &["type"]), text(condition, &["reason"]));
        if BROKEN.contains(&state) {
            return Health::new(Code::Degraded, text(condition, &["message"]));
        }
        if WORKING.contains(&state) {
            return Health::new(Code::Healthy, text(condition, &["message"]));
        }
    }
    Health::new(Code::Progressing, "Waiting to Autoscale")
}
