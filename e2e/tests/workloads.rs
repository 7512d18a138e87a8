//! rollouts with other owners of pods: a budget of disruptions that holds back a restart, a Deployment that gives up
//! its pods.

mod scene;

use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::{Context as _, Result};
use e2e::Options;
use e2e::stack::Which;
use jiff::{SignedDuration, Unit};
use k8s_openapi::api::core::v1::Pod;
use kube::Api;
use kube::api::ListParams;
use reconcile_core::clock::Clock;
use scene::{PATIENCE, Scene, healthy};
use serde_json::{Value, json};

const NS: &str = "default";
/// Pause between two looks at the pods.
const LOOK_AGAIN: Duration = Duration::from_millis(50);

async fn scene() -> Result<Scene> {
    Scene::set(Options::cluster_only(), &[Which::Rollouts]).await
}

fn is_ready(pod: &Pod) -> bool {
    let conditions = pod.status.iter().flat_map(|status| &status.conditions);
    let mut conditions = conditions.flatten();
    pod.metadata.deletion_timestamp.is_none()
        && conditions.any(|one| one.type_ == "Ready" && one.status == "True")
}

/// The uids of the ready pods with this label `app`.
async fn ready(scene: &Scene, app: &str) -> Result<BTreeSet<String>> {
    let api: Api<Pod> = Api::namespaced(scene.bed.client()?, NS);
    let selected = ListParams::default().labels(&format!("app={app}"));
    let pods = api.list(&selected).await?.items.into_iter();
    Ok(pods
        .filter(is_ready)
        .filter_map(|pod| pod.metadata.uid)
        .collect())
}

/// The fewest pods that were ready at a time until `done` is.
async fn fewest_ready(
    scene: &Scene,
    app: &str,
    done: impl Future<Output = Result<Value>>,
) -> Result<usize> {
    let mut done = std::pin::pin!(done);
    let mut fewest = usize::MAX;
    loop {
        fewest = fewest.min(ready(scene, app).await?.len());
        tokio::select! {
            found = &mut done => {
                found?;
                return Ok(fewest);
            }
            () = tokio::time::sleep(LOOK_AGAIN) => {}
        }
    }
}

fn budget(least: u32) -> String {
    format!(
        "apiVersion: policy/v1\nkind: PodDisruptionBudget\nmetadata: {{name: old}}\nspec: {{minAvailable: {least}, selector: {{matchLabels: {{app: old}}}}}}\n"
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_waits_for_the_disruption_budget_of_its_pods() -> Result<()> {
    const REFUSED: &str = "the API server refuses the eviction for now";
    let scene = scene().await?;
    scene.apply(NS, &budget(3)).await?;
    scene
        .apply(
            NS,
            r"
apiVersion: argoproj.io/v1alpha1
kind: Rollout
metadata: {name: old}
spec:
  replicas: 3
  selector: {matchLabels: {app: old}}
  strategy: {canary: {}}
  template:
    metadata: {labels: {app: old}}
    spec: {containers: [{name: web, image: 'web:v1'}]}
",
        )
        .await?;
    scene
        .until("Rollout", NS, "old", "Healthy", healthy)
        .await?;
    let before = ready(&scene, "old").await?;
    assert_eq!(before.len(), 3);

    // Pods are created in whole seconds, and must be older than the restart.
    let at = (Clock::system().now() + SignedDuration::from_secs(1)).round(Unit::Second)?;
    let restart = json!({"spec": {"restartAt": at.to_string()}});
    scene.patch("Rollout", NS, "old", restart).await?;
    let refused = async {
        while !scene.logs().contains(REFUSED) {
            tokio::time::sleep(LOOK_AGAIN).await;
        }
    };
    let refused = tokio::time::timeout(PATIENCE, refused).await;
    refused.with_context(|| format!("no eviction was refused:\n{}", scene.logs()))?;
    assert_eq!(
        ready(&scene, "old").await?,
        before,
        "all pods were protected"
    );

    scene.apply(NS, &budget(2)).await?;
    let restarted = scene.until("Rollout", NS, "old", "restarted", |rollout| {
        healthy(rollout) && rollout["status"]["restartedAt"] == at.to_string()
    });
    let fewest = fewest_ready(&scene, "old", restarted).await?;
    assert!(fewest >= 2, "{fewest} pods were ready");
    let after = async {
        loop {
            let now = ready(&scene, "old").await?;
            if now.len() == 3 && now.is_disjoint(&before) {
                return anyhow::Ok(());
            }
            tokio::time::sleep(LOOK_AGAIN).await;
        }
    };
    let after = tokio::time::timeout(PATIENCE, after).await;
    after.context("not every pod was restarted")?
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deployment_gives_up_its_pods_as_those_of_its_rollout_come() -> Result<()> {
    let scene = scene().await?;
    scene
        .apply(
            NS,
            r"
apiVersion: apps/v1
kind: Deployment
metadata: {name: moved}
spec:
  replicas: 4
  selector: {matchLabels: {app: moved}}
  template:
    metadata: {labels: {app: moved}}
    spec: {containers: [{name: web, image: 'web:v1'}]}
",
        )
        .await?;
    scene
        .until_any("apps/v1", "Deployment", NS, "moved", "available", |found| {
            found["status"]["availableReplicas"] == 4
        })
        .await?;
    scene
        .apply(
            NS,
            r"
apiVersion: argoproj.io/v1alpha1
kind: Rollout
metadata: {name: moved}
spec:
  replicas: 4
  workloadRef: {apiVersion: apps/v1, kind: Deployment, name: moved, scaleDown: progressively}
  strategy: {canary: {}}
",
        )
        .await?;
    let given_up = scene.until_any("apps/v1", "Deployment", NS, "moved", "no pods", |found| {
        found["spec"]["replicas"] == 0 && found["status"]["replicas"].as_i64().unwrap_or(0) == 0
    });
    let fewest = fewest_ready(&scene, "moved", given_up).await?;
    assert!(fewest >= 4, "{fewest} pods were ready");
    let rollout = scene
        .until("Rollout", NS, "moved", "Healthy", healthy)
        .await?;
    assert_eq!(rollout["status"]["availableReplicas"], 4, "{rollout:#}");
    Ok(())
}
