//! A whole update as it would happen: the planner of the controller with pods, analyses and people that are
//! played, in time that is only counted.

mod cluster;
mod lengths;

use jiff::{SignedDuration, Timestamp};
use serde::Serialize;
use serde_json::{Value, json};
use thiserror::Error;

use self::cluster::Cluster;
use super::{RolloutError, offline::Snapshot};
use crate::analysis::build::RunType;

/// Time that a pod takes to be ready.
const START_OF_A_POD: SignedDuration = SignedDuration::from_secs(10);
/// Passes of a simulation; an update with hundreds of steps takes a few per step.
const MOST_PASSES: usize = 20_000;
/// Rows of a simulation.
const MOST_ROWS: usize = 5_000;

/// What is different from an update in which all goes well.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Scenario {
    /// The analysis that fails.
    pub(crate) failing: Option<RunType>,
}

/// A moment at which something changed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Row {
    /// Seconds since the update began.
    pub(crate) seconds: i64,
    /// Step that the Rollout is at, from 0; the number of steps when all are done.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) step: Option<i64>,
    /// Share of the new version in percent.
    pub(crate) weight: i64,
    /// Pods of the stable version.
    pub(crate) stable: Pods,
    /// Pods of the new version.
    pub(crate) canary: Pods,
    /// Available pods of all versions.
    pub(crate) available: i32,
    /// The fewest available pods so far.
    pub(crate) available_minimum: i32,
    /// Phase of the Rollout.
    pub(crate) phase: String,
    /// Why.
    pub(crate) reason: String,
}

/// Pods of a version.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Pods {
    /// Wanted ones.
    pub(crate) replicas: i32,
    /// Available ones.
    pub(crate) available: i32,
}

/// There is no forecast.
#[derive(Debug, Error)]
pub(crate) enum ForecastError {
    /// The controller refuses a manifest.
    #[error(transparent)]
    Refused(#[from] RolloutError),
    /// The update changes too often to be shown.
    #[error("the update has more than {MOST_ROWS} changes")]
    TooManyChanges,
    /// The update does not come to an end.
    #[error("the update does not end within {MOST_PASSES} passes")]
    Endless,
}

/// A simulated update.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Forecast {
    /// What changed, in order.
    pub(crate) rows: Vec<Row>,
    /// Phase at the end.
    pub(crate) phase: String,
    /// Message at the end.
    pub(crate) message: String,
}

/// Simulates the update from `old` to `new`, or the first deployment of `new`. Fails when
/// the controller refuses one of them, or when the update is too long.
pub(crate) fn forecast(
    snapshot: &Snapshot,
    old: Option<&Value>,
    new: &Value,
    scenario: Scenario,
) -> Result<Forecast, ForecastError> {
    let start = Timestamp::UNIX_EPOCH;
    let (old, new) = (
        old.map(|old| snapshot.with_template(old)),
        &snapshot.with_template(new),
    );
    let mut cluster = Cluster::new(snapshot, old.as_ref().unwrap_or(new), start);
    let mut recorder = Recorder::default();
    if old.is_some() {
        // The old version is there before the update begins.
        play(&mut cluster, &mut Recorder::muted())?;
        cluster.apply_manifest(new);
        recorder.begin(&cluster);
    }
    cluster.set_scenario(scenario);
    play(&mut cluster, &mut recorder)?;
    let text = |name: &str| {
        let value = cluster.objects.root["status"][name].as_str();
        value.unwrap_or_default().to_owned()
    };
    Ok(Forecast {
        rows: recorder.rows,
        phase: text("phase"),
        message: text("message"),
    })
}

/// Lets the controller and its peers take turns until nothing is left to wait for.
fn play(cluster: &mut Cluster, recorder: &mut Recorder) -> Result<(), ForecastError> {
    for _ in 0..MOST_PASSES {
        let pass = cluster.pass()?;
        recorder.add(cluster, &pass.reasons);
        if pass.changed || cluster.move_pods() {
            continue;
        }
        if let Some(next) = cluster.next_event(pass.wake) {
            cluster.objects.now = next;
            cluster.move_pods();
            if let Some(reason) = cluster.end_runs() {
                recorder.add(cluster, &[reason]);
            }
        } else if cluster.promote() {
            recorder.add(cluster, &["a person promotes (simulated)".to_owned()]);
        } else {
            return Ok(());
        }
        if recorder.rows.len() >= MOST_ROWS {
            return Err(ForecastError::TooManyChanges);
        }
    }
    Err(ForecastError::Endless)
}

/// Collects rows.
#[derive(Default)]
struct Recorder {
    rows: Vec<Row>,
    start: Timestamp,
    minimum: Option<i32>,
    is_muted: bool,
}

impl Recorder {
    fn muted() -> Self {
        Self {
            is_muted: true,
            ..Self::default()
        }
    }

    /// The update begins now.
    fn begin(&mut self, cluster: &Cluster) {
        self.start = cluster.objects.now;
        self.minimum = Some(cluster.available());
    }

    /// Adds a row when something that a person can see changed, or there is a reason to show.
    fn add(&mut self, cluster: &Cluster, reasons: &[String]) {
        if self.is_muted {
            return;
        }
        let available = cluster.available();
        // Before the first deployment is complete there is no promise to keep.
        if self.minimum.is_some() || cluster.is_deployed() {
            let minimum = self.minimum.unwrap_or(available);
            self.minimum = Some(minimum.min(available));
        }
        let row = Row {
            seconds: cluster.objects.now.duration_since(self.start).as_secs(),
            step: cluster.objects.root["status"]["currentStepIndex"].as_i64(),
            weight: cluster.weight(),
            stable: cluster.pods_of("stableRS"),
            canary: cluster.canary_pods(),
            available,
            available_minimum: self.minimum.unwrap_or(available),
            phase: cluster.objects.root["status"]["phase"]
                .as_str()
                .unwrap_or_default()
                .to_owned(),
            reason: reasons.join("; "),
        };
        let is_new = self.rows.last().is_none_or(|last| {
            !row.reason.is_empty()
                || json!([last.step, last.weight, last.stable, last.canary, last.phase])
                    != json!([row.step, row.weight, row.stable, row.canary, row.phase])
        });
        if is_new {
            self.rows.push(row);
        }
    }
}

#[cfg(test)]
mod tests;
