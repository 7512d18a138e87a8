//! What the controller acts through.

use std::{sync::Arc, time::Duration};

use kube::Client;
use reconcile_core::{
    clock::Clock, egress::EgressPolicy, object::ObjectKey, object::Root, watch::Index,
};

use super::{AppNotes, Problem, validate};
use crate::{
    api::{AppProject, Application},
    clusters::{Discovery, LiveIndex},
    diff::Differ,
    health::Checks,
    metrics::AppMetrics,
    project::{Project, check_windows},
    render::{ClusterFacts, Renders},
    repo::{ChartHub, RepoHub},
    settings::SettingsHandle,
};

/// Settings from the command line.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Namespace of the control plane.
    pub control_plane: String,
    /// Globs of other namespaces whose Applications are looked after.
    pub application_namespaces: Vec<String>,
    /// Pause after each wave; with `None` only where a fresh status looks like a stale one.
    pub wave_delay: Option<Duration>,
    /// How long a repository may fail before a condition reports it.
    pub repo_grace: Duration,
    /// Addresses that are called for charts.
    pub egress: EgressPolicy,
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
    /// Charts of Helm repositories and registries.
    pub charts: ChartHub,
    /// Rendered applications.
    pub renders: Renders,
    /// What charts may ask about the cluster, with the state of discovery it belongs to.
    pub facts: Arc<tokio::sync::Mutex<Option<(u64, ClusterFacts)>>>,
    /// Kinds.
    pub discovery: Discovery,
    /// Live objects.
    pub live: LiveIndex,
    /// Comparisons.
    pub differ: Differ,
    /// Applications.
    pub roots: Index<Root<Application>>,
    /// Projects.
    pub projects: Index<Root<AppProject>>,
    /// Settings from the ConfigMap.
    pub argo: SettingsHandle,
    /// Notes between passes.
    pub notes: AppNotes,
    /// Metrics.
    pub metrics: AppMetrics,
}

impl Context {
    /// How health is found by the settings of now.
    pub fn checks(&self) -> Checks {
        Checks::new(self.argo.current(), self.clock.clone())
    }

    /// The project of this name, with the problems of its spec.
    pub(super) fn project(&self, name: &str) -> Option<(Project, Vec<Problem>)> {
        let root = self
            .projects
            .get(&ObjectKey::new(&*self.settings.control_plane, name))?;
        let mut problems = validate::project_problems(name, &root.spec_value());
        let spec = match root.parse_spec() {
            Ok(spec) => spec,
            Err(error) => {
                problems.push(Problem::invalid_spec(format!("project {name}: {error}")));
                crate::api::AppProjectSpec::default()
            }
        };
        if let Err(error) = check_windows(&spec.sync_windows) {
            problems.push(Problem::invalid_spec(format!("project {name}: {error}")));
        }
        Some((
            Project {
                name: name.to_owned(),
                spec,
            },
            problems,
        ))
    }

    /// What charts may ask about the cluster. Without an answer of the server its version is left out.
    pub(super) async fn cluster_facts(&self) -> ClusterFacts {
        let generation = self.discovery.generation();
        let mut known = self.facts.lock().await;
        if let Some((at, facts)) = known.as_ref()
            && *at == generation
        {
            return facts.clone();
        }
        let kube_version = match self.client.apiserver_version().await {
            Ok(version) => version.git_version,
            Err(error) => {
                tracing::warn!(%error, "cannot read the version of the API server");
                known
                    .as_ref()
                    .map(|(_, facts)| facts.kube_version.clone())
                    .unwrap_or_default()
            }
        };
        let facts = ClusterFacts {
            kube_version,
            api_versions: self.discovery.api_versions(),
        };
        *known = Some((generation, facts.clone()));
        facts
    }

    /// Drops everything that is kept for an application.
    pub fn forget(&self, app: &ObjectKey) {
        self.repos.forget(app);
        self.charts.forget(app);
        let followed = self.live.forget(app);
        self.differ.cache().forget(&followed);
        self.notes.forget(app);
        self.metrics.forget(app);
    }
}
