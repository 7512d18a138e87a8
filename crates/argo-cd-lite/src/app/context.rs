//! What the controller acts through.

use std::time::Duration;

use kube::Client;
use reconcile_core::{clock::Clock, object::ObjectKey, object::Root, watch::Index};

use super::Memory;
use crate::{
    api::AppProject,
    cluster::{Discovery, LiveIndex},
    diff::Differ,
    metrics::AppMetrics,
    render::RenderCache,
    repo::RepoHub,
};

/// Settings from the command line.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Namespace of the control plane.
    pub control_plane: String,
    /// Globs of other namespaces whose Applications are looked after.
    pub application_namespaces: Vec<String>,
    /// Pause after each wave; `None` means only where a fresh status cannot be told from a stale one.
    pub wave_delay: Option<Duration>,
    /// How long a failing repository goes unmentioned.
    pub repo_grace: Duration,
}

/// Everything that observe and apply use. Cloning shares it.
#[derive(Clone)]
pub struct Context {
    /// The client; its writes pass the fence.
    pub client: Client,
    /// The clock.
    pub clock: Clock,
    /// Settings.
    pub settings: Settings,
    /// Repositories.
    pub repos: RepoHub,
    /// Rendered applications.
    pub rendered: RenderCache,
    /// Kinds.
    pub discovery: Discovery,
    /// Live objects.
    pub live: LiveIndex,
    /// Comparisons.
    pub differ: Differ,
    /// Projects.
    pub projects: Index<Root<AppProject>>,
    /// Notes between passes.
    pub memory: Memory,
    /// Metrics.
    pub metrics: AppMetrics,
}

impl Context {
    /// Drops everything that is kept for an application.
    pub fn forget(&self, app: &ObjectKey) {
        self.repos.forget(app);
        let aims = self.live.forget(app);
        self.differ.verdicts().forget(&aims);
        self.memory.forget(app);
        self.metrics.forget(app);
    }
}
