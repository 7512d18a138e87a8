//! rollouts on a real control plane; the ReplicaSet controller is Kubernetes' own.

#![allow(
    clippy::too_many_lines,
    reason = "a scenario reads from top to bottom, with its manifests"
)]

mod scene;

use anyhow::{Context as _, Result};
use e2e::Options;
use e2e::stack::Which;
use k8s_openapi::api::apps::v1::ReplicaSet;
use kube::api::ListParams;
use scene::Scene;
use serde_json::{Value, json};

const NS: &str = "default";

async fn scene() -> Result<Scene> {
    let options = Options {
        nats: false,
        prometheus: false,
        git: false,
        sample: false,
        ..Options::default()
    };
    Scene::set(options, &[Which::Rollouts]).await
}

fn rollout(name: &str, replicas: u32, strategy: &str, image: &str) -> String {
    format!(
        r"
apiVersion: argoproj.io/v1alpha1
kind: Rollout
metadata: {{name: {name}}}
spec:
  replicas: {replicas}
  selector: {{matchLabels: {{app: {name}}}}}
  strategy: {strategy}
  template:
    metadata: {{labels: {{app: {name}}}}}
    spec:
      containers:
        - {{name: web, image: '{image}', ports: [{{containerPort: 80}}]}}
"
    )
}

fn healthy(rollout: &Value) -> bool {
    scene::observed(rollout) && rollout["status"]["phase"] == "Healthy"
}

fn runs(image: &'static str) -> impl Fn(&Value) -> bool {
    move |rollout| rollout["spec"]["template"]["spec"]["containers"][0]["image"] == image
}

/// Replicas of the ReplicaSet that runs `image`.
async fn replicas(scene: &Scene, image: &str) -> Result<i32> {
    let api: kube::Api<ReplicaSet> = kube::Api::namespaced(scene.bed.client()?, NS);
    let all = api.list(&ListParams::default()).await?;
    let found = all.items.iter().find(|set| {
        let pod = set
            .spec
            .template
            .as_ref()
            .and_then(|template| template.spec.as_ref());
        pod.is_some_and(|pod| {
            pod.containers
                .iter()
                .any(|container| container.image.as_deref() == Some(image))
        })
    });
    Ok(found.and_then(|set| set.spec.replicas).unwrap_or(0))
}

const PAUSES: &str = "{canary: {maxSurge: 1, maxUnavailable: 0, steps: [{setWeight: 20}, {pause: {}}, {setWeight: 60}, {pause: {duration: 1s}}]}}";

#[tokio::test(flavor = "multi_thread")]
async fn a_canary_pauses_until_it_is_promoted_and_then_goes_on() -> Result<()> {
    let scene = scene().await?;
    scene
        .apply(NS, &rollout("canary", 5, PAUSES, "web:v1"))
        .await?;
    let first = scene
        .until("Rollout", NS, "canary", "Healthy", healthy)
        .await?;
    assert_eq!(
        first["status"]["stableRS"],
        first["status"]["currentPodHash"]
    );
    scene
        .apply(NS, &rollout("canary", 5, PAUSES, "web:v2"))
        .await?;
    let paused = scene
        .until("Rollout", NS, "canary", "Paused at 20 %", |ro| {
            ro["status"]["phase"] == "Paused" && ro["status"]["currentStepIndex"] == 1
        })
        .await?;
    assert_eq!(paused["status"]["message"], "CanaryPauseStep");
    assert_eq!(paused["status"]["updatedReplicas"], 1);
    assert_eq!(
        (
            replicas(&scene, "web:v1").await?,
            replicas(&scene, "web:v2").await?
        ),
        (4, 1)
    );
    scene
        .patch_status(
            "Rollout",
            NS,
            "canary",
            json!({"status": {"pauseConditions": null}}),
        )
        .await?;
    let done = scene
        .until("Rollout", NS, "canary", "Healthy on v2", |ro| {
            runs("web:v2")(ro) && healthy(ro) && ro["status"]["updatedReplicas"] == 5
        })
        .await?;
    assert_eq!(done["status"]["currentStepIndex"], 4);
    assert_eq!(replicas(&scene, "web:v1").await?, 0);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_aborted_canary_returns_to_stable_and_a_retry_starts_again() -> Result<()> {
    let scene = scene().await?;
    scene
        .apply(NS, &rollout("abort", 5, PAUSES, "web:v1"))
        .await?;
    scene
        .until("Rollout", NS, "abort", "Healthy", healthy)
        .await?;
    scene
        .apply(NS, &rollout("abort", 5, PAUSES, "web:v2"))
        .await?;
    let paused =
        |ro: &Value| ro["status"]["phase"] == "Paused" && ro["status"]["currentStepIndex"] == 1;
    scene
        .until("Rollout", NS, "abort", "Paused", paused)
        .await?;
    scene
        .patch_status("Rollout", NS, "abort", json!({"status": {"abort": true}}))
        .await?;
    let aborted = scene
        .until(
            "Rollout",
            NS,
            "abort",
            "Degraded and back on stable",
            |ro| {
                ro["status"]["phase"] == "Degraded"
                    && ro["status"]["updatedReplicas"].as_u64().unwrap_or(0) == 0
            },
        )
        .await?;
    assert!(
        aborted["status"]["message"]
            .as_str()
            .is_some_and(|text| text.starts_with("RolloutAborted")),
        "{}",
        aborted["status"]["message"]
    );
    assert!(aborted["status"]["abortedAt"].is_string(), "{aborted:#}");
    scene
        .until_any(
            "argoproj.io/v1alpha1",
            "Rollout",
            NS,
            "abort",
            "five stable pods",
            |ro| ro["status"]["availableReplicas"] == 5,
        )
        .await?;
    assert_eq!(replicas(&scene, "web:v1").await?, 5);
    scene
        .patch_status("Rollout", NS, "abort", json!({"status": {"abort": false}}))
        .await?;
    scene
        .until("Rollout", NS, "abort", "Paused again", paused)
        .await?;
    // Undo: the old template is stable, so its steps are skipped.
    scene
        .apply(NS, &rollout("abort", 5, PAUSES, "web:v1"))
        .await?;
    scene
        .until("Rollout", NS, "abort", "Healthy on v1", |ro| {
            runs("web:v1")(ro) && healthy(ro)
        })
        .await?;
    assert_eq!(replicas(&scene, "web:v2").await?, 0);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_blue_green_release_switches_its_services_when_promoted() -> Result<()> {
    let scene = scene().await?;
    for name in ["active", "preview"] {
        scene
            .apply(NS, &format!("apiVersion: v1\nkind: Service\nmetadata: {{name: {name}}}\nspec: {{selector: {{app: bg}}, ports: [{{port: 80}}]}}\n"))
            .await?;
    }
    let strategy = "{blueGreen: {activeService: active, previewService: preview, autoPromotionEnabled: false, scaleDownDelaySeconds: 1}}";
    scene
        .apply(NS, &rollout("bg", 2, strategy, "web:v1"))
        .await?;
    let first = scene.until("Rollout", NS, "bg", "Healthy", healthy).await?;
    let old = first["status"]["stableRS"]
        .as_str()
        .context("a stable hash")?
        .to_owned();
    scene
        .apply(NS, &rollout("bg", 2, strategy, "web:v2"))
        .await?;
    let paused = scene
        .until("Rollout", NS, "bg", "Paused", |ro| {
            ro["status"]["phase"] == "Paused"
        })
        .await?;
    let new = paused["status"]["currentPodHash"]
        .as_str()
        .context("a current hash")?
        .to_owned();
    assert_ne!(old, new);
    let hash = |service: &Value| service["spec"]["selector"]["rollouts-pod-template-hash"].clone();
    let services = scene.api("v1", "Service", NS).await?;
    assert_eq!(hash(&services.get("active").await?.data), json!(old));
    assert_eq!(hash(&services.get("preview").await?.data), json!(new));
    scene
        .patch_status(
            "Rollout",
            NS,
            "bg",
            json!({"status": {"pauseConditions": null}}),
        )
        .await?;
    scene
        .until("Rollout", NS, "bg", "Healthy on v2", |ro| {
            runs("web:v2")(ro) && healthy(ro) && ro["status"]["stableRS"] == json!(new)
        })
        .await?;
    assert_eq!(hash(&services.get("active").await?.data), json!(new));
    let sets = scene.api("apps/v1", "ReplicaSet", NS).await?;
    e2e::cluster::wait_for(
        &sets,
        &format!("bg-{old}"),
        "scaled to 0",
        scene::PATIENCE,
        |set| set.is_some_and(|set| set.data["spec"]["replicas"] == 0),
    )
    .await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rollout_that_cannot_start_exceeds_its_deadline_and_keeps_the_stable_pods() -> Result<()>
{
    let scene = scene().await?;
    let strategy = "{canary: {maxSurge: 1, maxUnavailable: 0}}";
    scene
        .apply(NS, &rollout("stuck", 3, strategy, "web:v1"))
        .await?;
    scene
        .until("Rollout", NS, "stuck", "Healthy", healthy)
        .await?;
    let bad = rollout("stuck", 3, strategy, "web:does-not-exist").replace(
        "  replicas: 3",
        "  replicas: 3\n  progressDeadlineSeconds: 3",
    );
    scene.apply(NS, &bad).await?;
    let late = scene
        .until("Rollout", NS, "stuck", "Degraded", |ro| {
            ro["status"]["phase"] == "Degraded"
        })
        .await?;
    assert!(
        late["status"]["message"]
            .as_str()
            .is_some_and(|text| text.starts_with("ProgressDeadlineExceeded")),
        "{}",
        late["status"]["message"]
    );
    assert_eq!(replicas(&scene, "web:v1").await?, 3);
    Ok(())
}
