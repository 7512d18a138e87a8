//! What the controller acts through.

use std::{sync::Arc, time::Duration};

use kube::Client;
use reconcile_core::{
    clock::Clock, egress::EgressPolicy, object::ObjectKey, object::Root, shards::Authority,
    watch::Index,
};

use super::{AppNotes, Observed, OriginalController, Problem, validate};
use crate::{
    api::{AppProject, AppProjectSpec, Application},
    clusters::{Cluster, ClusterError, Clusters},
    health::Checks,
    metrics::AppMetrics,
    project::{Project, check_windows},
    render::Renders,
    repo::{ChartHub, RepoHub, Signatures},
    settings::SettingsHandle,
};

/// A project as it was read, once for all passes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KnownProject {
    /// The project; it permits nothing when its spec cannot be read.
    pub project: Arc<Project>,
    /// What is wrong with its spec, or not supported.
    pub problems: Vec<Problem>,
}

impl KnownProject {
    /// Reads the spec of a project.
    pub fn read(root: &Root<AppProject>) -> Self {
        let name = root.key().name;
        let mut problems = Vec::from_iter(validate::project_problem(&name, &root.spec_value()));
        let spec = root.parse_spec().unwrap_or_else(|error| {
            problems.push(Problem::invalid_spec(format!("project {name}: {error}")));
            AppProjectSpec::default()
        });
        if let Err(error) = check_windows(&spec.sync_windows) {
            problems.push(Problem::invalid_spec(format!("project {name}: {error}")));
        }
        Self {
            project: Arc::new(Project { name, spec }),
            problems,
        }
    }

    /// True when its Applications are not synced.
    pub fn blocks(&self) -> bool {
        self.problems.iter().any(|problem| problem.blocks)
    }
}

/// Settings from the command line.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Namespace of the control plane.
    pub control_plane: String,
    /// Globs of other namespaces whose Applications are reconciled.
    pub application_namespaces: Vec<String>,
    /// Pause after each wave; with `None` only where a fresh status looks like a stale one.
    pub wave_delay: Option<Duration>,
    /// How long a repository may fail before a condition reports it.
    pub repo_grace: Duration,
    /// Addresses that are called for charts.
    pub egress: EgressPolicy,
    /// Which addresses a cluster Secret may name.
    pub cluster_egress: EgressPolicy,
    /// Number of shards that processes share; with 1 the leader acts for all Applications.
    pub shards: u32,
    /// Act although an application controller of Argo CD runs.
    pub take_over: bool,
    /// Labels of Applications that metrics show.
    pub metrics_labels: Vec<String>,
}

/// Everything that observe and apply use. Cloning shares it.
#[derive(Clone)]
pub struct Context {
    /// The client of the control plane's cluster, for projects; its writes pass the fence.
    pub client: Client,
    /// For which Applications this process acts.
    pub authority: Authority,
    /// The clock.
    pub clock: Clock,
    /// Settings.
    pub settings: Settings,
    /// Repositories.
    pub repos: RepoHub,
    /// Keys that commits are signed with.
    pub signatures: Signatures,
    /// Charts of Helm repositories and registries.
    pub charts: ChartHub,
    /// Rendered applications.
    pub renders: Renders,
    /// The clusters that Applications use.
    pub clusters: Clusters,
    /// Applications.
    pub roots: Index<Root<Application>>,
    /// Projects.
    pub projects: Index<KnownProject>,
    /// Settings from the ConfigMap.
    pub argo: SettingsHandle,
    /// Whether an application controller of Argo CD runs.
    pub original: OriginalController,
    /// Notes between passes.
    pub notes: AppNotes,
    /// Metrics.
    pub metrics: AppMetrics,
}

/// Where a pass works: everything that it uses, and the cluster of its Application.
#[derive(Clone, Copy)]
pub(super) struct Place<'a> {
    pub(super) context: &'a Context,
    pub(super) cluster: &'a Cluster,
    /// The client: the one for reads, or the one that writes for the Application, perhaps as an account of the project.
    pub(super) client: &'a Client,
}

impl Context {
    /// How health is found by the settings of now.
    pub fn checks(&self) -> Checks {
        Checks::new(self.argo.current(), self.clock.clone())
    }

    /// The project of this name.
    pub(crate) fn project(&self, name: &str) -> Option<Arc<KnownProject>> {
        self.projects
            .get(&ObjectKey::new(&*self.settings.control_plane, name))
    }

    /// The cluster that a pass has observed.
    pub(super) fn cluster(&self, observed: &Observed) -> Result<Arc<Cluster>, ClusterError> {
        match &observed.destination {
            Ok(destination) => self.clusters.get(destination),
            Err(_) => Err(ClusterError::Closed(
                observed.spec.destination.server.clone(),
            )),
        }
    }

    /// Drops everything that is kept for an application.
    pub fn forget(&self, app: &ObjectKey) {
        self.repos.forget(app);
        self.charts.forget(app);
        self.clusters.forget(app);
        self.notes.forget(app);
        self.metrics.forget(app);
    }
}
