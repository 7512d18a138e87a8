//! What a driver counts about its passes, under the names that upstream uses for each kind.

use prometheus::{HistogramOpts, HistogramVec, IntCounterVec, Opts, Registry};

/// Upper bounds of the buckets for the time of a pass, in seconds.
const SECONDS: &[f64] = &[0.01, 0.15, 0.25, 0.5, 1.0];

/// What the driver counts.
pub(crate) struct PassMetrics {
    /// Seconds per pass.
    pub(crate) seconds: HistogramVec,
    /// Failed passes.
    pub(crate) errors: IntCounterVec,
}

impl PassMetrics {
    /// Registers `PREFIX_reconcile` and `PREFIX_reconcile_error`; `object` is the kind with its article.
    pub(crate) fn register(
        registry: &Registry,
        prefix: &str,
        object: &str,
    ) -> Result<Self, prometheus::Error> {
        let labels = ["namespace", "name"];
        let help = format!("Seconds that a pass over {object} took.");
        let options = HistogramOpts::new(format!("{prefix}_reconcile"), help);
        let seconds = HistogramVec::new(options.buckets(SECONDS.to_vec()), &labels)?;
        let help = format!("Passes over {object} that failed.");
        let options = Opts::new(format!("{prefix}_reconcile_error"), help);
        let errors = IntCounterVec::new(options, &labels)?;
        registry.register(Box::new(seconds.clone()))?;
        registry.register(Box::new(errors.clone()))?;
        Ok(Self { seconds, errors })
    }
}
