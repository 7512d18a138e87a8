//! Command-line flags that all operators share, in upstream's spelling.

use std::{path::PathBuf, time::Duration};

use clap::{ArgAction, Args};

use crate::{lease::Timing, telemetry::LogFormat};

/// Flags for the connection to the API server.
#[derive(Args, Clone, Debug, Default)]
pub struct KubeArgs {
    /// Path of a kubeconfig; in a pod the service account is used when absent.
    #[arg(long, env = "KUBECONFIG", value_name = "FILE")]
    pub kubeconfig: Option<PathBuf>,
    /// Context of the kubeconfig; its current one when absent.
    #[arg(long, value_name = "NAME")]
    pub context: Option<String>,
}

/// Flags for the log.
#[derive(Args, Clone, Debug)]
pub struct LogArgs {
    /// Lowest level that is logged: trace, debug, info, warn or error.
    #[arg(
        long = "loglevel",
        visible_alias = "log-level",
        env = "LOG_LEVEL",
        default_value = "info"
    )]
    pub level: String,
    /// Form of the log: text or json.
    #[arg(
        long = "logformat",
        visible_alias = "log-format",
        env = "LOG_FORMAT",
        default_value = "text"
    )]
    pub format: LogFormat,
}

/// Flags for leader election.
#[derive(Args, Clone, Debug)]
pub struct LeaderArgs {
    /// Run for the lease before acting; off for a single process that nobody else competes with.
    #[arg(
        long = "leader-elect",
        visible_alias = "leader-election",
        action = ArgAction::Set,
        num_args = 0..=1,
        default_value_t = true,
        default_missing_value = "true"
    )]
    pub enabled: bool,
    /// Namespace of the lease; the operator's own namespace when absent.
    #[arg(long = "leader-election-namespace", value_name = "NAMESPACE")]
    pub namespace: Option<String>,
    /// How long a silent leader keeps the lease.
    #[arg(long = "leader-election-lease-duration", default_value = "15s", value_parser = duration)]
    pub lease_duration: Duration,
    /// How long the leader tries to renew before it gives up.
    #[arg(long = "leader-election-renew-deadline", default_value = "10s", value_parser = duration)]
    pub renew_deadline: Duration,
    /// Pause between tries.
    #[arg(long = "leader-election-retry-period", default_value = "2s", value_parser = duration)]
    pub retry_period: Duration,
}

impl LeaderArgs {
    /// The durations.
    pub fn timing(&self) -> Timing {
        Timing {
            lease_duration: self.lease_duration,
            renew_deadline: self.renew_deadline,
            retry_period: self.retry_period,
        }
    }
}

fn duration(text: &str) -> Result<Duration, String> {
    let duration: jiff::SignedDuration = text.parse().map_err(|error| format!("{error}"))?;
    Duration::try_from(duration).map_err(|_| "a duration must not be negative".to_owned())
}
