//! What the web pages read: the tree and the managed resources of an Application, by the server's own API.

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

use super::components;
use super::{DEPLOYMENT, on_stage};

#[tokio::test(flavor = "multi_thread")]
async fn the_pages_show_trees_down_to_pods_and_states_without_secrets() -> Result<()> {
    let Some(program) = components::PROGRAM.find() else {
        return Ok(());
    };
    let (scene, argocd) = on_stage(program).await?;
    let policy = "{automated: {}, syncOptions: [CreateNamespace=true]}";
    scene
        .follow(
            "page",
            policy,
            &[("app/all.yaml", OBJECTS), ("app/web.yaml", DEPLOYMENT)],
        )
        .await?;
    scene.until_synced("page").await?;

    let tree = argocd.page("applications/page/resource-tree").await?;
    let nodes = tree["nodes"].as_array().context("nodes")?;
    let node = |kind: &str| {
        nodes
            .iter()
            .find(|node| node["kind"] == kind)
            .with_context(|| format!("no {kind} in {tree}"))
    };
    let deployment = node("Deployment")?;
    ensure!(deployment["health"]["status"] == "Healthy", "{deployment}");
    let replica_set = node("ReplicaSet")?;
    ensure!(
        replica_set["parentRefs"][0]["uid"] == deployment["uid"],
        "{replica_set}"
    );
    let pod = node("Pod")?;
    ensure!(pod["parentRefs"][0]["uid"] == replica_set["uid"], "{pod}");
    ensure!(pod["images"] == serde_json::json!(["demo/web:v1"]), "{pod}");
    ensure!(pod["networkingInfo"]["labels"]["app"] == "web", "{pod}");
    let service = node("Service")?;
    ensure!(
        service["networkingInfo"]["targetLabels"]["app"] == "web",
        "{service}"
    );
    ensure!(
        tree["hosts"]
            .as_array()
            .is_some_and(|hosts| !hosts.is_empty()),
        "{tree}"
    );

    let managed = argocd.page("applications/page/managed-resources").await?;
    let items = managed["items"].as_array().context("items")?;
    let secret = items
        .iter()
        .find(|item| item["kind"] == "Secret")
        .context("the Secret")?;
    for state in [
        "targetState",
        "liveState",
        "normalizedLiveState",
        "predictedLiveState",
    ] {
        let text = secret[state].as_str().unwrap_or_default();
        let shown: Value =
            serde_json::from_str(text).with_context(|| format!("{state}: {secret}"))?;
        let password = shown["data"]["password"].as_str().unwrap_or_default();
        ensure!(password.starts_with("++++"), "{state}: {shown}");
    }
    ensure!(!managed.to_string().contains("aHVzaA=="), "{managed}");
    Ok(())
}

const OBJECTS: &str = r"
apiVersion: v1
kind: Secret
metadata: {name: login}
data: {password: aHVzaA==}
---
apiVersion: v1
kind: Service
metadata: {name: web}
spec: {selector: {app: web}, ports: [{port: 80}]}
";
