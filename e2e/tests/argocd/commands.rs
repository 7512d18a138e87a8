//! The command line, against Argo CD's own server.

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};

use super::components::{self, ArgoCd};
use super::scene::{Scene, config_map};
use super::{DEPLOYMENT, on_stage};

const SERVER: &str = "--dest-server=https://kubernetes.default.svc";

/// Names of an array of objects, sorted.
fn names(list: &Value, of: impl Fn(&Value) -> Option<&str>) -> Vec<String> {
    let mut names: Vec<String> = list
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|one| of(one).map(str::to_owned))
        .collect();
    names.sort();
    names
}

#[tokio::test(flavor = "multi_thread")]
async fn applications_are_made_synced_compared_rolled_back_and_deleted() -> Result<()> {
    let Some(program) = components::PROGRAM.find() else {
        return Ok(());
    };
    let (scene, argocd) = on_stage(program).await?;
    let repository = scene.bed.git()?.repository("shop").await?;
    let first = config_map("settings", "one", "");
    let commit = repository
        .commit(&[("app/settings.yaml", &first)], "first")
        .await?;
    let (repo, path) = (format!("--repo={}", repository.url), "--path=app");
    let namespace = "--dest-namespace=default";
    argocd
        .run(&[
            "app",
            "create",
            "shop",
            &repo,
            path,
            "--revision=main",
            SERVER,
            namespace,
        ])
        .await?;
    let listed = argocd.json(&["app", "list"]).await?;
    let name = |app: &Value| app["metadata"]["name"].as_str().map(str::to_owned);
    ensure!(
        listed.as_array().is_some_and(|all| all.len() == 1),
        "{listed}"
    );
    ensure!(name(&listed[0]).as_deref() == Some("shop"), "{listed}");

    argocd.run(&["app", "sync", "shop", "--timeout=90"]).await?;
    argocd
        .run(&["app", "wait", "shop", "--health", "--sync", "--timeout=90"])
        .await?;
    let shop = argocd.json(&["app", "get", "shop", "--refresh"]).await?;
    ensure!(
        shop["status"]["sync"]["revision"] == commit.as_str(),
        "{shop}"
    );
    let manifests = argocd.run(&["app", "manifests", "shop"]).await?;
    ensure!(manifests.contains("value: one"), "{manifests}");
    let live = argocd
        .run(&["app", "manifests", "shop", "--source=live"])
        .await?;
    ensure!(
        live.contains("tracking-id: shop:/ConfigMap:default/settings"),
        "{live}"
    );
    let resources = argocd.run(&["app", "resources", "shop"]).await?;
    ensure!(resources.contains("settings"), "{resources}");

    // A new commit: different until it is synced.
    let second = config_map("settings", "two", "");
    repository
        .commit(&[("app/settings.yaml", &second)], "second")
        .await?;
    let (same, diff) = argocd
        .try_run(&["app", "diff", "shop", "--refresh"])
        .await?;
    ensure!(!same && diff.contains("two"), "{diff}");
    argocd.run(&["app", "sync", "shop", "--timeout=90"]).await?;
    let (same, diff) = argocd
        .try_run(&["app", "diff", "shop", "--refresh"])
        .await?;
    ensure!(same, "{diff}");

    // Back to the first.
    let history = argocd.json(&["app", "get", "shop"]).await?;
    let history = history["status"]["history"].clone();
    ensure!(
        history.as_array().is_some_and(|all| all.len() == 2),
        "{history}"
    );
    let listed = argocd.run(&["app", "history", "shop"]).await?;
    ensure!(listed.contains(&commit[..7]), "{listed}");
    let id = history[0]["id"].as_u64().unwrap_or_default().to_string();
    argocd
        .run(&["app", "rollback", "shop", &id, "--timeout=90"])
        .await?;
    let value = value(&scene, "settings").await?;
    ensure!(value == json!("one"), "{value}");

    argocd
        .run(&[
            "app",
            "set",
            "shop",
            "--sync-policy=automated",
            "--self-heal",
        ])
        .await?;
    let shop = argocd.json(&["app", "get", "shop"]).await?;
    ensure!(
        shop["spec"]["syncPolicy"]["automated"]["selfHeal"] == true,
        "{shop}"
    );
    argocd
        .run(&[
            "app",
            "patch",
            "shop",
            "--type=merge",
            r#"--patch={"spec": {"revisionHistoryLimit": 3}}"#,
        ])
        .await?;
    let shop = argocd.json(&["app", "get", "shop"]).await?;
    ensure!(shop["spec"]["revisionHistoryLimit"] == 3, "{shop}");

    argocd
        .run(&["app", "delete", "shop", "--yes", "--wait"])
        .await?;
    scene
        .until_gone("v1", "ConfigMap", "default", "settings")
        .await?;
    Ok(())
}

/// The value of a ConfigMap of [`config_map`].
async fn value(scene: &Scene, name: &str) -> Result<Value> {
    let api = scene.api("v1", "ConfigMap", "default").await?;
    Ok(api.get(name).await?.data["data"]["value"].clone())
}

#[tokio::test(flavor = "multi_thread")]
async fn projects_repositories_clusters_actions_and_local_files_are_served() -> Result<()> {
    let Some(program) = components::PROGRAM.find() else {
        return Ok(());
    };
    let (scene, argocd) = on_stage(program).await?;
    let repository = scene.bed.git()?.repository("web").await?;
    let deployment = DEPLOYMENT.to_owned();
    repository
        .commit(&[("app/web.yaml", &deployment)], "first")
        .await?;

    let destination = "--dest=https://kubernetes.default.svc,default";
    argocd
        .run(&["proj", "create", "web", destination, "--src=*"])
        .await?;
    let projects = argocd.json(&["proj", "list"]).await?;
    let projects = names(&projects, |one| one["metadata"]["name"].as_str());
    ensure!(projects == ["default", "web"], "{projects:?}");

    argocd.run(&["repo", "add", &repository.url]).await?;
    let repositories = argocd.json(&["repo", "list"]).await?;
    ensure!(
        repositories[0]["connectionState"]["status"] == "Successful",
        "{repositories}"
    );
    let (added, refusal) = argocd
        .try_run(&["repo", "add", &format!("{}-absent", repository.url)])
        .await?;
    ensure!(!added && refusal.contains("not found"), "{refusal}");

    let repo = format!("--repo={}", repository.url);
    argocd
        .run(&[
            "app",
            "create",
            "web",
            "--project=web",
            &repo,
            "--path=app",
            "--revision=main",
            SERVER,
            "--dest-namespace=default",
            "--sync-policy=automated",
        ])
        .await?;
    argocd
        .run(&["app", "wait", "web", "--health", "--sync", "--timeout=120"])
        .await?;
    let clusters = argocd.json(&["cluster", "list"]).await?;
    ensure!(
        clusters[0]["connectionState"]["status"] == "Successful",
        "{clusters}"
    );
    ensure!(clusters[0]["info"]["applicationsCount"] == 1, "{clusters}");

    let tree = argocd.run(&["app", "get", "web", "--output=tree"]).await?;
    ensure!(
        tree.contains("ReplicaSet") && tree.contains("Pod"),
        "{tree}"
    );
    let listed = argocd
        .json(&["app", "actions", "list", "web", "--kind=Deployment"])
        .await?;
    let actions = names(&listed, |one| one["Action"].as_str());
    ensure!(actions.contains(&"restart".to_owned()), "{listed}");
    argocd
        .run(&[
            "app",
            "actions",
            "run",
            "web",
            "restart",
            "--kind=Deployment",
        ])
        .await?;
    let restarted = |object: &Value| {
        let annotations = &object["spec"]["template"]["metadata"]["annotations"];
        annotations["kubectl.kubernetes.io/restartedAt"].is_string()
    };
    scene
        .until_any(
            "apps/v1",
            "Deployment",
            "default",
            "web",
            "restarted",
            restarted,
        )
        .await?;

    // From files of this machine, without a commit.
    argocd
        .run(&["app", "set", "web", "--sync-policy=none"])
        .await?;
    let folder = argocd.home().join("local/app");
    std::fs::create_dir_all(&folder)?;
    std::fs::write(
        folder.join("web.yaml"),
        deployment.replace("replicas: 1", "replicas: 2"),
    )?;
    let local = format!("--local={}", folder.display());
    let root = format!(
        "--local-repo-root={}",
        argocd.home().join("local").display()
    );
    argocd
        .run(&["app", "sync", "web", &local, &root, "--timeout=90"])
        .await?;
    let scaled = |object: &Value| object["spec"]["replicas"] == 2;
    scene
        .until_any("apps/v1", "Deployment", "default", "web", "scaled", scaled)
        .await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operation_is_terminated_and_a_restart_of_the_controller_interrupts_no_client()
-> Result<()> {
    let Some(program) = components::PROGRAM.find() else {
        return Ok(());
    };
    let (scene, argocd) = on_stage(program).await?;
    let repository = scene.bed.git()?.repository("slow").await?;
    let hook = super::scene::job(
        "name: slow",
        "argocd.argoproj.io/hook: PreSync",
        "[sleep, '600']",
    );
    let settings = config_map("settings", "one", "");
    repository
        .commit(
            &[("app/hook.yaml", &hook), ("app/settings.yaml", &settings)],
            "first",
        )
        .await?;
    let repo = format!("--repo={}", repository.url);
    argocd
        .run(&[
            "app",
            "create",
            "slow",
            &repo,
            "--path=app",
            "--revision=main",
            SERVER,
            "--dest-namespace=default",
        ])
        .await?;
    argocd.run(&["app", "sync", "slow", "--async"]).await?;
    scene
        .until_application("slow", "running", |app| {
            app["status"]["operationState"]["phase"] == "Running"
        })
        .await?;
    argocd.run(&["app", "terminate-op", "slow"]).await?;
    scene
        .until_application("slow", "terminated", |app| {
            app["status"]["operationState"]["phase"] == "Failed"
        })
        .await?;

    let operator = scene.operators.first().context("the operator")?;
    operator.operator.kill_and_restart().await?;
    let manifests = until_served(&argocd, &["app", "manifests", "slow"]).await?;
    ensure!(manifests.contains("value: one"), "{manifests}");
    let tree = until_served(&argocd, &["app", "resources", "slow"]).await?;
    ensure!(tree.contains("settings"), "{tree}");
    Ok(())
}

/// Runs a command until it succeeds: clients connect again to a process that has started again.
async fn until_served(argocd: &ArgoCd, arguments: &[&str]) -> Result<String> {
    let served = async {
        loop {
            let (success, output) = argocd.try_run(arguments).await?;
            if success {
                return anyhow::Ok(output);
            }
            tokio::time::sleep(std::time::Duration::from_millis(500)).await;
        }
    };
    tokio::time::timeout(super::scene::PATIENCE, served)
        .await
        .with_context(|| format!("argocd {} does not succeed again", arguments.join(" ")))?
}
