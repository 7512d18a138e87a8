//! How long updates took, by how they ended.

use prometheus::{HistogramOpts, HistogramVec, Registry};
use reconcile_core::{object::ObjectKey, watch::Change};

use crate::api::rollout::{Rollout, RolloutDuration};

/// Upper bounds of the buckets in seconds, from ten seconds to a day.
const SECONDS: &[f64] = &[
    10.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1800.0, 3600.0, 7200.0, 21_600.0, 43_200.0, 86_400.0,
];

/// Histograms that are fed when an update ends. Cloning shares them.
#[derive(Clone)]
pub(super) struct DurationMetrics {
    whole: HistogramVec,
    progression: HistogramVec,
    manual_pause: HistogramVec,
}

impl DurationMetrics {
    /// Registers the histograms.
    pub(super) fn register(registry: &Registry) -> Result<Self, prometheus::Error> {
        let histogram = |name: &str, help: &str| {
            let options = HistogramOpts::new(name, help).buckets(SECONDS.to_vec());
            let made = HistogramVec::new(options, &["namespace", "name", "status"])?;
            registry.register(Box::new(made.clone()))?;
            Ok::<_, prometheus::Error>(made)
        };
        Ok(Self {
            whole: histogram(
                "rollout_duration_seconds",
                "Seconds from the begin to the end of an update.",
            )?,
            progression: histogram(
                "rollout_progression_duration_seconds",
                "Seconds that an update took without the time that it waited for people.",
            )?,
            manual_pause: histogram(
                "rollout_manual_pause_duration_seconds",
                "Seconds that an update waited for people.",
            )?,
        })
    }

    /// Counts an update that ended with this change, and drops the numbers of a Rollout that is gone.
    pub(super) fn observe(&self, change: &Change<Rollout>) {
        let Some(new) = &change.new else {
            return self.forget(&change.key);
        };
        // What was over before the process began was counted by another one.
        let Some(old) = &change.old else {
            return;
        };
        let (old, Some(new)) = (duration_of(old), duration_of(new)) else {
            return;
        };
        let (Some(begin), Some(end)) = (&new.rollout_started_at, &new.finished_at) else {
            return;
        };
        if old.is_some_and(|old| old.finished_at.as_ref() == Some(end)) {
            return;
        }
        let labels = [
            change.key.namespace.as_str(),
            change.key.name.as_str(),
            new.completion_status.as_str(),
        ];
        let whole = end.0.duration_since(begin.0).as_secs_f64().max(0.0);
        let waited = SignedSeconds(new.total_manual_pause_duration_seconds).as_f64();
        self.whole.with_label_values(&labels).observe(whole);
        self.manual_pause.with_label_values(&labels).observe(waited);
        let progression = (whole - waited).max(0.0);
        self.progression
            .with_label_values(&labels)
            .observe(progression);
    }

    fn forget(&self, key: &ObjectKey) {
        for status in super::plan::COMPLETION_STATUSES {
            let labels = [key.namespace.as_str(), key.name.as_str(), status];
            for histogram in [&self.whole, &self.progression, &self.manual_pause] {
                // Most ends never came; gone is what is wanted.
                drop(histogram.remove_label_values(&labels));
            }
        }
    }
}

/// Seconds as the status has them.
struct SignedSeconds(i64);

impl SignedSeconds {
    fn as_f64(&self) -> f64 {
        jiff::SignedDuration::from_secs(self.0.max(0)).as_secs_f64()
    }
}

fn duration_of(root: &Rollout) -> Option<RolloutDuration> {
    let status = root.status.as_ref()?.get();
    if !status.contains("\"duration\"") {
        return None;
    }
    root.parse_status().ok()?.duration
}
