//! How the hub reaches repositories, and how often.

use std::{path::PathBuf, time::Duration};

use reconcile_core::egress::EgressPolicy;

use super::super::{FileRepositories, GitLimits, Trust};

/// Space for stores when nothing else is said.
pub const DEFAULT_DISK_BUDGET: u64 = 4 * 1024 * 1024 * 1024;

/// Where stores are and how to reach repositories.
#[derive(Clone, Debug)]
pub struct HubConfig {
    /// Folder of the stores.
    pub folder: PathBuf,
    /// Bytes that all stores may have together.
    pub disk_budget: u64,
    /// Limits of one repository.
    pub limits: GitLimits,
    /// Whether a repository may be a path on the machine of this process.
    pub file_repositories: FileRepositories,
    /// Which addresses of servers may be called.
    pub egress: EgressPolicy,
    /// Which servers are who they say.
    pub trust: Trust,
    /// Time between two polls of a repository.
    pub poll: Duration,
    /// Spread of that time, so that repositories are not polled together.
    pub jitter: Duration,
}

/// How often a repository is polled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PollTimes {
    /// Time between two polls; zero turns the poll off.
    pub poll: Duration,
    /// Spread of that time.
    pub jitter: Duration,
}
