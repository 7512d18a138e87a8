//! The whole controller against an API server in memory and a real Git repository: what it writes, and
//! what it does when it is stopped or when answers are lost.

mod clusters;
mod deletion;
mod impersonation;
mod manifests;
mod operations;
mod original;
mod prunes;
mod pushes;
mod settings;
mod upstream;

use std::time::Duration;

use reconcile_core::{
    clock::Clock,
    egress::EgressPolicy,
    lease::Timing,
    listen::ListenAddress,
    operator::{Operator, install_tls},
    testkit::{FakeApi, FakeKind, Fault},
};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::Parts;
use crate::{
    app::{Context, Settings},
    render::ToolPaths,
    repo::{DEFAULT_DISK_BUDGET, FileRepositories, GitLimits, HubConfig, Trust, tests::Origin},
};

/// Longest wait for something that must happen.
const PATIENCE: Duration = Duration::from_secs(30);
const NAMESPACE: &str = "argocd";

struct Bed {
    api: FakeApi,
    file_repositories: FileRepositories,
    cluster_egress: EgressPolicy,
    take_over: bool,
    origin: Origin,
    stores: TempDir,
}

impl Bed {
    fn new() -> Self {
        let kind = |kind: &str, plural: &str| {
            FakeKind::new("argoproj.io", "v1alpha1", kind, plural).without_status()
        };
        let api = FakeApi::new()
            .with_kind(kind("Application", "applications"))
            .with_kind(kind("AppProject", "appprojects"));
        Self {
            api,
            file_repositories: FileRepositories::Allow,
            cluster_egress: EgressPolicy::AllowLinkLocal,
            take_over: false,
            origin: Origin::new(),
            stores: tempfile::tempdir().expect("a folder"),
        }
    }

    /// A bed whose repository holds these files, and their commit.
    fn with(files: &[(&str, &str)]) -> (Self, String) {
        let bed = Self::new();
        let commit = bed.push(files);
        (bed, commit)
    }

    /// Commits these files.
    fn push(&self, files: &[(&str, &str)]) -> String {
        for (path, content) in files {
            self.origin.write(path, content);
        }
        self.origin.commit("files")
    }

    /// A running controller; cancel its `shutdown` to stop it.
    async fn controller(&self) -> Operator {
        let operator = Operator::detached(self.api.client(), Clock::system());
        self.start(&operator, ListenAddress::default()).await;
        operator
    }

    /// A replica that never leads, with its webhook server at this address.
    async fn standby(&self, webhook: ListenAddress) -> Operator {
        let (client, clock) = (self.api.client(), Clock::system());
        let candidate = "standby".into();
        let operator = Operator::detached_candidate(client, clock, candidate, Timing::default());
        self.start(&operator, webhook).await;
        operator
    }

    async fn start(&self, operator: &Operator, webhook: ListenAddress) -> Context {
        install_tls();
        let settings = Settings {
            control_plane: NAMESPACE.into(),
            application_namespaces: Vec::new(),
            wave_delay: None,
            repo_grace: Duration::from_secs(180),
            egress: reconcile_core::egress::EgressPolicy::AllowLinkLocal,
            cluster_egress: self.cluster_egress,
            shards: 1,
            take_over: self.take_over,
            metrics_labels: Vec::new(),
        };
        let hub = HubConfig {
            folder: self.stores.path().to_owned(),
            disk_budget: DEFAULT_DISK_BUDGET,
            limits: GitLimits::default(),
            file_repositories: self.file_repositories,
            egress: EgressPolicy::AllowLinkLocal,
            trust: Trust::default(),
            poll: Duration::from_secs(3600),
            jitter: Duration::ZERO,
        };
        let parts = Parts::new(operator, settings, hub, ToolPaths::default(), 4);
        let parts = parts.expect("parts of a controller");
        let context = parts.context.clone();
        let started = parts.start(operator, 4, webhook.into()).await;
        started.expect("a controller");
        context
    }

    fn application(&self, policy: &Value) {
        self.api.put(&json!({
            "apiVersion": "argoproj.io/v1alpha1", "kind": "Application",
            "metadata": {"name": "app", "namespace": NAMESPACE},
            "spec": {
                "project": "default",
                "source": {"repoURL": self.origin.url(), "path": "app", "targetRevision": "main"},
                "destination": {"name": "in-cluster", "namespace": "ns"},
                "syncPolicy": policy,
            },
        }));
    }

    /// Puts the project `default`: any repository and namespace, and what `spec` says instead or beside.
    fn project(&self, spec: &Value) {
        let mut project = json!({
            "apiVersion": "argoproj.io/v1alpha1", "kind": "AppProject",
            "metadata": {"name": "default", "namespace": NAMESPACE},
            "spec": {"sourceRepos": ["*"], "destinations": [{"server": "*", "namespace": "*"}]},
        });
        for (field, value) in spec.as_object().into_iter().flatten() {
            project["spec"][field] = value.clone();
        }
        self.api.put(&project);
    }

    fn app(&self) -> Value {
        self.api
            .get("applications", NAMESPACE, "app")
            .unwrap_or_default()
    }

    fn refresh(&self) {
        self.api.edit("applications", NAMESPACE, "app", |app| {
            app["metadata"]["annotations"] = json!({"argocd.argoproj.io/refresh": "normal"});
        });
    }

    async fn until(&self, what: &str, reached: impl Fn(&Self) -> bool) {
        let wait = async {
            while !reached(self) {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        let reached = tokio::time::timeout(PATIENCE, wait).await;
        assert!(
            reached.is_ok(),
            "not {what}: {:#}\n{}",
            self.app(),
            self.writes().join("\n")
        );
    }

    async fn until_synced(&self, revision: &str) {
        self.until("synced", |bed| {
            let status = &bed.app()["status"];
            status["sync"]["status"] == "Synced"
                && status["sync"]["revision"] == revision
                && status["operationState"]["phase"] == "Succeeded"
        })
        .await;
    }

    /// Writes apart from Events, which are sent beside the work.
    fn writes(&self) -> Vec<String> {
        self.api
            .writes()
            .into_iter()
            .filter(|line| !line.contains(" events"))
            .collect()
    }

    /// The Job controller: the Job has ended well.
    fn complete(&self, name: &str) {
        self.api.edit("jobs", "ns", name, |job| {
            job["status"] = json!({"conditions": [{"type": "Complete", "status": "True", "message": "done"}]});
        });
    }

    fn writes_of(&self, plural: &str) -> usize {
        self.writes()
            .iter()
            .filter(|line| line.contains(plural))
            .count()
    }
}

fn config_map(name: &str, value: &str) -> String {
    format!(
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: {name}}}\ndata: {{a: \"{value}\"}}\n"
    )
}

const HOOK: &str = "
apiVersion: batch/v1
kind: Job
metadata: {name: pre, annotations: {argocd.argoproj.io/hook: PreSync}}
spec: {template: {spec: {restartPolicy: Never, containers: [{name: c, image: i}]}}}
";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_new_application_takes_two_writes_and_a_known_one_none() {
    let (bed, commit) = Bed::with(&[("app/a.yaml", &config_map("a", "1"))]);
    bed.application(&json!({"automated": {"prune": true, "selfHeal": true}}));
    let operator = bed.controller().await;
    bed.until_synced(&commit).await;
    // The project `default` comes first; then one apply and one patch of the Application.
    assert_eq!(bed.writes().len(), 3, "{:#?}", bed.writes());
    assert_eq!(
        bed.app()["status"]["history"][0]["revision"],
        commit.as_str()
    );
    operator.shutdown.cancel();
    bed.api.clear_requests();
    let operator = bed.controller().await;
    bed.refresh();
    bed.until("refreshed", |bed| {
        bed.app()["metadata"]["annotations"]
            .get("argocd.argoproj.io/refresh")
            .is_none()
    })
    .await;
    let dry_runs = bed
        .api
        .requests()
        .iter()
        .filter(|request| request.query.contains_key("dryRun"))
        .count();
    assert_eq!(
        (bed.writes_of("configmaps"), dry_runs),
        (0, 0),
        "{:#?}",
        bed.writes()
    );
    operator.shutdown.cancel();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn commits_are_followed_drift_is_healed_and_leftovers_are_pruned() {
    let (bed, first) = Bed::with(&[
        ("app/a.yaml", &config_map("a", "1")),
        ("app/b.yaml", &config_map("b", "1")),
    ]);
    bed.application(&json!({"automated": {"prune": true, "selfHeal": true}}));
    let operator = bed.controller().await;
    bed.until_synced(&first).await;
    bed.api.edit("configmaps", "ns", "a", |map| {
        map["data"]["a"] = "by hand".into();
    });
    bed.until("healed", |bed| {
        bed.api
            .get("configmaps", "ns", "a")
            .is_some_and(|map| map["data"]["a"] == "1")
    })
    .await;
    bed.origin.remove("app/b.yaml");
    let second = bed.push(&[("app/a.yaml", &config_map("a", "2"))]);
    bed.refresh();
    bed.until_synced(&second).await;
    assert_eq!(bed.api.get("configmaps", "ns", "b"), None, "pruned");
    assert_eq!(
        bed.api.get("configmaps", "ns", "a").expect("kept")["data"]["a"],
        "2"
    );
    operator.shutdown.cancel();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restart_in_the_middle_continues_and_runs_no_hook_twice() {
    let map = config_map("a", "1");
    let (bed, commit) = Bed::with(&[("app/a.yaml", &map), ("app/hook.yaml", HOOK)]);
    bed.application(&json!({"automated": {}}));
    let operator = bed.controller().await;
    bed.until("running its hook", |bed| {
        bed.api.get("jobs", "ns", "pre").is_some()
    })
    .await;
    let uid = bed.api.get("jobs", "ns", "pre").expect("the hook")["metadata"]["uid"].clone();
    operator.shutdown.cancel();
    drop(operator);
    assert_eq!(
        bed.api.get("configmaps", "ns", "a"),
        None,
        "it waits for the hook"
    );
    let operator = bed.controller().await;
    bed.complete("pre");
    bed.until_synced(&commit).await;
    let job = bed.api.get("jobs", "ns", "pre").expect("the hook");
    assert_eq!(job["metadata"]["uid"], uid, "the same Job");
    let finalizers = job["metadata"]["finalizers"].as_array().map_or(0, Vec::len);
    assert_eq!(finalizers, 0, "released");
    operator.shutdown.cancel();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lost_answer_runs_no_hook_twice() {
    let map = config_map("a", "1");
    let (bed, commit) = Bed::with(&[("app/a.yaml", &map), ("app/hook.yaml", HOOK)]);
    bed.api.fail(Fault::lose_answer("patch", "jobs").times(2));
    bed.application(&json!({"automated": {}}));
    let operator = bed.controller().await;
    bed.until("running its hook", |bed| {
        bed.app()["status"]["operationState"]["syncResult"]["resources"][0]["hookPhase"]
            == "Running"
    })
    .await;
    let uid = bed.api.get("jobs", "ns", "pre").expect("the hook")["metadata"]["uid"].clone();
    bed.complete("pre");
    bed.until_synced(&commit).await;
    assert_eq!(
        bed.api.get("jobs", "ns", "pre").expect("the hook")["metadata"]["uid"],
        uid
    );
    operator.shutdown.cancel();
}

impl Bed {
    /// Waits until the operation has failed and gives its message.
    async fn until_failed(&self) -> String {
        self.until("failed", |bed| {
            let phase = &bed.app()["status"]["operationState"]["phase"];
            phase == "Failed" || phase == "Error"
        })
        .await;
        let message = &self.app()["status"]["operationState"]["message"];
        message.as_str().unwrap_or_default().to_owned()
    }
}
