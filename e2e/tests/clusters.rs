//! argo-cd-lite with two control planes: Applications of one are deployed to the other.

#![allow(
    clippy::too_many_lines,
    reason = "a scenario reads from top to bottom, with its manifests"
)]

mod scene;

use anyhow::{Context as _, Result};
use e2e::cluster::documents;
use e2e::process::Part;
use e2e::stack::{Setup, Which};
use e2e::{Bed, Options};
use rustix::process::{Pid, Signal, kill_process};
use scene::{PATIENCE, Scene, application, config_map, synced_and_healthy};
use serde_json::{Value, json};

const AUTOMATED: &str =
    "{automated: {prune: true, selfHeal: true}, syncOptions: [CreateNamespace=true]}";

/// Another cluster; its name is that of its Application and of the namespace there, too.
struct Remote {
    name: &'static str,
    bed: Bed,
}

impl Remote {
    async fn start(name: &'static str) -> Result<Self> {
        let bed = Bed::up(Options::cluster_only()).await?;
        Ok(Self { name, bed })
    }

    /// An Application that follows the folder `app` of a repository to this cluster.
    fn application(&self, repository: &str) -> Result<Value> {
        let manifest = application(self.name, repository, "app", self.name, AUTOMATED);
        let mut manifest = documents(&manifest)?.pop().context("an Application")?;
        manifest["spec"]["destination"] = json!({"name": self.name, "namespace": self.name});
        Ok(manifest)
    }

    /// A cluster Secret that acts as this service account, which may do everything.
    async fn secret(&self, account: &str) -> Result<Value> {
        let cluster = self.bed.cluster()?;
        cluster
            .apply(
                "kube-system",
                &format!(
                    "
apiVersion: v1
kind: ServiceAccount
metadata: {{name: {account}, namespace: kube-system}}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {{name: {account}}}
roleRef: {{apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: cluster-admin}}
subjects: [{{kind: ServiceAccount, name: {account}, namespace: kube-system}}]
"
                ),
            )
            .await?;
        let kubeconfig = std::fs::read_to_string(cluster.kubeconfig())?;
        let kubeconfig = documents(&kubeconfig)?.pop().context("a kubeconfig")?;
        let authority = &kubeconfig["clusters"][0]["cluster"]["certificate-authority-data"];
        let config = json!({
            "bearerToken": cluster.token("kube-system", account).await?,
            "tlsClientConfig": {"caData": authority},
        });
        Ok(json!({
            "apiVersion": "v1", "kind": "Secret",
            "metadata": {
                "name": self.name, "namespace": "argocd",
                "labels": {"argocd.argoproj.io/secret-type": "cluster"},
            },
            "stringData": {
                "name": self.name,
                "server": self.bed.control_plane()?.server,
                "config": config.to_string(),
            },
        }))
    }

    async fn value(&self, name: &str) -> Result<Option<Value>> {
        let found = self
            .bed
            .cluster()?
            .get("v1", "ConfigMap", self.name, name)
            .await?;
        Ok(found.map(|map| map.data["data"]["value"].clone()))
    }

    async fn until_value(&self, name: &str, value: Option<&str>) -> Result<()> {
        let wanted = value.map(|value| json!(value));
        let wait = async {
            loop {
                // The server may be away for a moment.
                if self.value(name).await.is_ok_and(|found| found == wanted) {
                    return;
                }
                tokio::time::sleep(std::time::Duration::from_millis(100)).await;
            }
        };
        let waited = tokio::time::timeout(PATIENCE, wait).await;
        waited.with_context(|| format!("ConfigMap {name} does not become {value:?}"))
    }
}

/// A bed with an operator that may call clusters on this machine.
async fn scene() -> Result<Scene> {
    let mut scene = Scene::set(Options::git_only(), &[]).await?;
    let setup = Setup {
        args: vec!["--allow-local-clusters".to_owned()],
        ..Setup::default()
    };
    scene.add(Which::ArgoCdLite, &setup).await?;
    Ok(scene)
}

#[tokio::test(flavor = "multi_thread")]
async fn another_cluster_is_deployed_to_healed_lost_found_and_given_new_credentials() -> Result<()>
{
    let remote = Remote::start("edge").await?;
    let scene = scene().await?;
    let own = scene.bed.cluster()?;
    own.apply_one("argocd", &remote.secret("first").await?)
        .await?;
    let repository = scene.bed.git()?.repository("edge").await?;
    let files = [
        ("app/a.yaml", config_map("a", "1", "")),
        ("app/b.yaml", config_map("b", "1", "")),
    ];
    let files: Vec<(&str, &str)> = files.iter().map(|(path, text)| (*path, &**text)).collect();
    repository.commit(&files, "first").await?;
    own.apply_one("argocd", &remote.application(&repository.url)?)
        .await?;
    scene.until_synced("edge").await?;
    assert_eq!(remote.value("a").await?, Some(json!("1")));
    assert_eq!(
        own.get("v1", "Namespace", "", "edge").await?,
        None,
        "nothing here"
    );

    // Drift.
    let by_hand = documents(&config_map("a", "by hand", ""))?
        .pop()
        .context("a map")?;
    remote.bed.cluster()?.apply_one("edge", &by_hand).await?;
    remote.until_value("a", Some("1")).await?;

    // Away and back.
    remote.bed.control_plane()?.apiserver.kill().await?;
    scene
        .until_application("edge", "a ComparisonError", |app| {
            let conditions = app["status"]["conditions"].to_string();
            conditions.contains("failed to get cluster info")
        })
        .await?;
    repository
        .commit(&[("app/a.yaml", &config_map("a", "2", ""))], "second")
        .await?;
    remote.bed.control_plane()?.restart_apiserver().await?;
    scene.refresh("edge", "normal").await?;
    remote.until_value("a", Some("2")).await?;
    assert_eq!(
        remote.value("b").await?,
        Some(json!("1")),
        "nothing was lost"
    );

    // New credentials; the old ones end.
    own.apply_one("argocd", &remote.secret("second").await?)
        .await?;
    let accounts = remote
        .bed
        .cluster()?
        .api("v1", "ServiceAccount", "kube-system")
        .await?;
    accounts
        .delete("first", &kube::api::DeleteParams::default())
        .await?;
    let commit = repository
        .commit(&[("app/a.yaml", &config_map("a", "3", ""))], "third")
        .await?;
    scene.refresh("edge", "normal").await?;
    scene
        .until_application("edge", "Synced with the new token", |app| {
            synced_and_healthy(app) && app["status"]["sync"]["revision"] == json!(commit)
        })
        .await?;
    assert_eq!(remote.value("a").await?, Some(json!("3")));
    Ok(())
}

/// A process that is stopped: it keeps its connections and answers nothing. It continues when this is dropped.
struct Stopped(Pid);

impl Stopped {
    async fn new(part: &Part) -> Result<Self> {
        let process = i32::try_from(part.pid().await.context("the process runs")?)?;
        let process = Pid::from_raw(process).context("a process")?;
        kill_process(process, Signal::STOP)?;
        Ok(Self(process))
    }
}

impl Drop for Stopped {
    fn drop(&mut self) {
        let _gone = kill_process(self.0, Signal::CONT);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_of_three_clusters_that_hangs_holds_up_no_other() -> Result<()> {
    let (east, west) = tokio::try_join!(Remote::start("east"), Remote::start("west"))?;
    let scene = scene().await?;
    let own = scene.bed.cluster()?;
    let first = [("app/a.yaml", &*config_map("a", "1", ""))];
    let second = [("app/a.yaml", &*config_map("a", "2", ""))];
    let mut repositories = Vec::new();
    for remote in [&east, &west] {
        own.apply_one("argocd", &remote.secret("deployer").await?)
            .await?;
        let repository = scene.bed.git()?.repository(remote.name).await?;
        repository.commit(&first, "first").await?;
        own.apply_one("argocd", &remote.application(&repository.url)?)
            .await?;
        repositories.push(repository);
    }
    let (repository, _) = scene.follow("home", AUTOMATED, &first).await?;
    repositories.push(repository);
    for name in ["east", "west", "home"] {
        scene.until_synced(name).await?;
    }

    let stopped = Stopped::new(&east.bed.control_plane()?.apiserver).await?;
    for repository in &repositories {
        repository.commit(&second, "second").await?;
    }
    // The first moments, in which the cluster counts as connected, are those in which it could hold up the others.
    for name in ["east", "west", "home"] {
        scene.refresh(name, "normal").await?;
    }
    west.until_value("a", Some("2")).await?;
    let changed = |map: &Value| map["data"]["value"] == "2";
    scene
        .until_any("v1", "ConfigMap", "home", "a", "changed", changed)
        .await?;
    for name in ["west", "home"] {
        scene.until_synced(name).await?;
    }
    scene
        .until_application("east", "a ComparisonError", |app| {
            let conditions = app["status"]["conditions"].to_string();
            app["status"]["sync"]["status"] == "Unknown" && conditions.contains("ComparisonError")
        })
        .await?;
    drop(stopped);
    east.until_value("a", Some("2")).await?;
    scene.until_synced("east").await?;
    Ok(())
}
