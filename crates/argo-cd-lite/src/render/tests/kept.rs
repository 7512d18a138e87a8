//! Renders that are kept, over commits and restarts.

use std::{path::Path, time::Duration};

use prometheus::Registry;
use reconcile_core::egress::EgressPolicy;
use serde_json::{Value, json};

use super::{
    super::renders::RenderFor,
    tools::{Bench, CHART, REPORT, placement, report, request},
    *,
};
use crate::{
    metrics::GitMetrics,
    repo::{
        Credentials, DEFAULT_DISK_BUDGET, FileRepositories, GitLimits, HubConfig, RepoHub, Trust,
        tests::Origin,
    },
};

/// A hub and what renders for it, over folders that a restart keeps.
struct Process {
    hub: RepoHub,
    renders: Renders,
}

impl Process {
    fn start(folder: &Path, paths: ToolPaths) -> Self {
        let metrics = GitMetrics::register(&Registry::new()).expect("metrics");
        let config = HubConfig {
            folder: folder.to_owned(),
            disk_budget: DEFAULT_DISK_BUDGET,
            limits: GitLimits::default(),
            file_repositories: FileRepositories::Allow,
            egress: EgressPolicy::AllowLinkLocal,
            trust: Trust::default(),
            poll: Duration::from_secs(60),
            jitter: Duration::ZERO,
        };
        let clock = reconcile_core::clock::Clock::system();
        Self {
            hub: RepoHub::new(config, Credentials::default(), clock, metrics, drop),
            renders: Renders::new(paths, folder, 1 << 20, &Registry::new()).expect("renders"),
        }
    }

    /// Renders the source at the newest commit; how often programs ran, and the set.
    async fn render(&self, origin: &Origin, source: Value) -> (u64, std::sync::Arc<TargetSet>) {
        let before = self.renders.tools().runs();
        let url = origin.url();
        let now = reconcile_core::clock::Clock::system().now();
        let refs = self.hub.refs(&url, Some(now)).await.expect("refs").refs;
        let at = self
            .hub
            .resolve(&url, &refs, "main", "")
            .await
            .expect("main");
        let commit = self.hub.commit(&url, &at).await.expect("a commit");
        let mut request = request(vec![source], &Files::Commit(commit));
        request.sources[0].revision = at.commit;
        let asked = RenderFor {
            placement: placement(),
            discovery: 1,
            scope: |_: &str, _: &str| Scope::Namespaced,
            hard: false,
        };
        let set = self
            .renders
            .render(&self.hub, request, asked)
            .await
            .expect("a render");
        (self.renders.tools().runs() - before, set)
    }
}

#[tokio::test]
async fn a_commit_outside_of_the_inputs_and_a_restart_run_no_program() {
    reconcile_core::operator::install_tls();
    let bench = Bench::new(REPORT);
    let stores = tempfile::tempdir().expect("a folder");
    let origin = Origin::new();
    origin
        .write("charts/shop/Chart.yaml", CHART)
        .write("envs/prod.yaml", "a: 1\n")
        .commit("1");
    let source = || json!({"path": "charts/shop", "helm": {"valueFiles": ["/envs/prod.yaml"]}});
    let process = Process::start(stores.path(), bench.paths());
    assert_eq!(process.render(&origin, source()).await.0, 1);
    assert_eq!(
        process.render(&origin, source()).await.0,
        0,
        "the same commit"
    );
    origin
        .write("other/a.yaml", "x")
        .write("envs/test.yaml", "x")
        .commit("2");
    assert_eq!(
        process.render(&origin, source()).await.0,
        0,
        "a commit beside it"
    );
    let restarted = Process::start(stores.path(), bench.paths());
    let (runs, set) = restarted.render(&origin, source()).await;
    assert_eq!(runs, 0, "a restart");
    assert_eq!(set.types, [SourceType::Helm]);
    origin.write("envs/prod.yaml", "a: 2\n").commit("3");
    assert_eq!(
        restarted.render(&origin, source()).await.0,
        1,
        "a value file changed"
    );
    let with_revision = json!({"path": "charts/shop", "helm": {
        "parameters": [{"name": "commit", "value": "$ARGOCD_APP_REVISION"}],
    }});
    assert_eq!(restarted.render(&origin, with_revision.clone()).await.0, 1);
    let commit = origin.write("other/a.yaml", "y").commit("4");
    let (runs, set) = restarted.render(&origin, with_revision).await;
    assert_eq!(runs, 1, "the revision is an input");
    assert!(report(&set, "arguments").contains(&commit));
}
