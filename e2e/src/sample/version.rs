//! How good a version is, given by its tag and the pod's annotations.

use std::time::Duration;

use crate::pods::PodInfo;

const BAD_ERROR_RATE: f64 = 0.5;
const BAD_LATENCY: Duration = Duration::from_millis(150);
const SLOW_LATENCY: Duration = Duration::from_millis(400);

/// What a pod does with a request.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Behaviour {
    /// The part of requests answered with 500, from 0 to 1.
    pub(super) error_rate: f64,
    /// Waited before each answer.
    pub(super) latency: Duration,
}

impl Behaviour {
    pub(super) fn of(pod: &PodInfo) -> Self {
        let (error_rate, latency) = if pod.version.contains("bad") {
            (BAD_ERROR_RATE, BAD_LATENCY)
        } else if pod.version.contains("slow") {
            (0.0, SLOW_LATENCY)
        } else {
            (0.0, Duration::ZERO)
        };
        let rate = number(pod, "bed/error-rate").map(|rate| rate.clamp(0.0, 1.0));
        let wait = pod
            .annotations
            .get("bed/latency")
            .and_then(|value| value.parse().ok())
            .map(Duration::from_millis);
        Self {
            error_rate: rate.unwrap_or(error_rate),
            latency: wait.unwrap_or(latency),
        }
    }
}

fn number(pod: &PodInfo, key: &str) -> Option<f64> {
    pod.annotations.get(key)?.parse().ok()
}
