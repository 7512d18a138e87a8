//! Phase and message, in upstream's order of precedence.

use jiff::Timestamp;

use super::conditions::{find, kind, reason};
use crate::api::rollout::RolloutStatus;

pub(crate) const HEALTHY: &str = "Healthy";
/// Something needs attention.
pub(crate) const DEGRADED: &str = "Degraded";
/// On the way.
pub(crate) const PROGRESSING: &str = "Progressing";
/// Waiting for somebody or for time.
pub(crate) const PAUSED: &str = "Paused";

/// What of the spec the phase depends on.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PhaseInputs {
    /// `spec.replicas`.
    pub(crate) replicas: i32,
    /// `spec.paused`.
    pub(crate) paused: bool,
    /// Blue-green instead of canary.
    pub(crate) blue_green: bool,
    /// `spec.restartAt`.
    pub(crate) restart_at: Option<Timestamp>,
    /// A canary with traffic routing: old pods may wait for their scale-down.
    pub(crate) routed: bool,
}

/// Phase and message of a status.
pub(crate) fn phase(wanted: PhaseInputs, status: &RolloutStatus) -> (&'static str, String) {
    if let Some(invalid) = find(status, kind::INVALID_SPEC) {
        return (
            DEGRADED,
            format!("{}: {}", kind::INVALID_SPEC, invalid.message),
        );
    }
    let failed = status.conditions.iter().find(|condition| {
        [reason::ABORTED, reason::TIMED_OUT].contains(&condition.reason.as_str())
    });
    if let Some(failed) = failed {
        return (DEGRADED, format!("{}: {}", failed.reason, failed.message));
    }
    if wanted.paused {
        return (PAUSED, "manually paused".to_owned());
    }
    if let Some(pause) = status.pause_conditions.first() {
        return (PAUSED, pause.reason.as_str().to_owned());
    }
    let restarted = status.restarted_at.as_ref().map(|at| at.0);
    if wanted.restart_at.is_some() && wanted.restart_at != restarted {
        return (PROGRESSING, "rollout is restarting".to_owned());
    }
    match waiting_for(wanted, status) {
        "" => (HEALTHY, String::new()),
        message => (PROGRESSING, message.to_owned()),
    }
}

fn waiting_for(wanted: PhaseInputs, status: &RolloutStatus) -> &'static str {
    let stable = !status.stable_rs.is_empty() && status.stable_rs == status.current_pod_hash;
    if status.updated_replicas < wanted.replicas {
        return "more replicas need to be updated";
    }
    if status.available_replicas < status.updated_replicas {
        return "updated replicas are still becoming available";
    }
    if wanted.blue_green {
        if status.blue_green.active_selector.is_empty()
            || status.blue_green.active_selector != status.current_pod_hash
        {
            return "active service cutover pending";
        }
        if !stable {
            return "waiting for analysis to complete";
        }
        return "";
    }
    if !wanted.routed && status.replicas > status.updated_replicas {
        return "old replicas are pending termination";
    }
    if stable {
        ""
    } else {
        "waiting for all steps to complete"
    }
}
