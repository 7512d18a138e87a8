//! Settings of the controllers.

use crate::analysis::AnalysisConfig;

/// What the command line says.
#[derive(Clone, Debug, Default)]
pub struct RolloutConfig {
    /// The one namespace to work in; all of them when absent.
    pub namespace: Option<String>,
    /// `--instance-id`.
    pub instance_id: String,
    /// Passes at the same time; 0 means the default of the driver.
    pub workers: usize,
    /// `--experiment-threads`: passes over Experiments at the same time; 0 means the default of the driver.
    pub experiment_workers: usize,
    /// `--aws-verify-target-group`: the tag of target groups by which they are known.
    pub verify_target_groups: Option<String>,
    /// Settings of the analysis.
    pub analysis: AnalysisConfig,
}
