//! rollouts beside others: a second controller that handles the Rollouts of another instance, and what a vertical pod
//! autoscaler does to pods.

mod scene;

use std::time::Duration;

use anyhow::{Context as _, Result};
use e2e::Options;
use e2e::stack::{Setup, Which};
use k8s_openapi::api::core::v1::Pod;
use kube::Api;
use kube::api::{EvictParams, ListParams};
use scene::{ARGO, PATIENCE, Scene, healthy};
use serde_json::{Value, json};

const NS: &str = "default";
/// Pause between two looks at the pods.
const LOOK_AGAIN: Duration = Duration::from_millis(50);

/// A Rollout of one instance, or of none.
fn rollout(name: &str, instance: Option<&str>, image: &str) -> String {
    let label = instance.map_or_else(String::new, |id| {
        format!(", labels: {{argo-rollouts.argoproj.io/controller-instance-id: {id}}}")
    });
    format!(
        r"
apiVersion: argoproj.io/v1alpha1
kind: Rollout
metadata: {{name: {name}{label}}}
spec:
  replicas: 2
  selector: {{matchLabels: {{app: {name}}}}}
  strategy: {{canary: {{}}}}
  template:
    metadata: {{labels: {{app: {name}}}}}
    spec: {{containers: [{{name: web, image: '{image}'}}]}}
"
    )
}

async fn status(scene: &Scene, name: &str) -> Result<Value> {
    let api = scene.api(ARGO, "Rollout", NS).await?;
    Ok(api.get(name).await?.data["status"].clone())
}

#[tokio::test(flavor = "multi_thread")]
async fn each_controller_handles_the_rollouts_of_its_instance() -> Result<()> {
    let mut scene = Scene::set(Options::cluster_only(), &[]).await?;
    for (replica, id) in [(0, "blue"), (1, "green")] {
        let setup = Setup {
            args: vec![format!("--instance-id={id}")],
            replica: Some(replica),
            installed: replica > 0,
            ..Setup::default()
        };
        scene.add(Which::Rollouts, &setup).await?;
    }
    let instances = [
        ("one", Some("blue")),
        ("two", Some("green")),
        ("other", Some("red")),
        ("none", None),
    ];
    for (name, instance) in instances {
        scene.apply(NS, &rollout(name, instance, "web:1")).await?;
    }
    for name in ["one", "two"] {
        scene.until("Rollout", NS, name, "Healthy", healthy).await?;
    }

    // Without the controller of its instance a Rollout stands still; the other one does not take it.
    scene.operators[0].operator.part.stop().await?;
    for (name, instance) in instances {
        scene.apply(NS, &rollout(name, instance, "web:2")).await?;
    }
    let first = status(&scene, "one").await?["stableRS"].clone();
    scene
        .until("Rollout", NS, "two", "updated", healthy)
        .await?;
    let one = status(&scene, "one").await?;
    assert_eq!(one["observedGeneration"], "1", "{one:#}");
    for name in ["other", "none"] {
        assert_eq!(status(&scene, name).await?, Value::Null, "{name}");
    }

    // It is continued where it stood.
    scene.operators[0].operator.start().await?;
    scene
        .until("Rollout", NS, "one", "updated", healthy)
        .await?;
    assert_ne!(status(&scene, "one").await?["stableRS"], first);
    Ok(())
}

/// What the admission of a vertical pod autoscaler does: other requests than the template says.
const RECOMMENDATION: &str = r#"
apiVersion: admissionregistration.k8s.io/v1
kind: MutatingAdmissionPolicy
metadata: {name: recommendation}
spec:
  matchConstraints:
    resourceRules:
      - {apiGroups: [""], apiVersions: [v1], operations: [CREATE], resources: [pods]}
  failurePolicy: Fail
  reinvocationPolicy: Never
  mutations:
    - patchType: JSONPatch
      jsonPatch:
        expression: >-
          [JSONPatch{op: "add", path: "/spec/containers/0/resources", value: {"requests": {"cpu": "123m"}}}]
---
apiVersion: admissionregistration.k8s.io/v1
kind: MutatingAdmissionPolicyBinding
metadata: {name: recommendation}
spec: {policyName: recommendation}
"#;

/// The names of the pods of `app` that are not going: those with the recommended request, and the others.
async fn pods(scene: &Scene, app: &str) -> Result<(Vec<String>, Vec<String>)> {
    let api: Api<Pod> = Api::namespaced(scene.bed.client()?, NS);
    let list = api
        .list(&ListParams::default().labels(&format!("app={app}")))
        .await?;
    let staying = list
        .items
        .into_iter()
        .filter(|pod| pod.metadata.deletion_timestamp.is_none());
    let (recommended, others): (Vec<Pod>, Vec<Pod>) = staying.partition(|pod| {
        let spec = serde_json::to_value(&pod.spec).unwrap_or_default();
        spec["containers"][0]["resources"]["requests"]["cpu"] == "123m"
    });
    let names = |pods: Vec<Pod>| {
        pods.into_iter()
            .filter_map(|pod| pod.metadata.name)
            .collect()
    };
    Ok((names(recommended), names(others)))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_vertical_pod_autoscaler_changes_pods_and_no_version() -> Result<()> {
    let scene = Scene::set(Options::cluster_only(), &[Which::Rollouts]).await?;
    scene.apply(NS, &rollout("web", None, "web:1")).await?;
    let first = scene
        .until("Rollout", NS, "web", "Healthy", healthy)
        .await?;
    // By these it finds the pods of its target.
    let scale = scene
        .bed
        .client()?
        .request::<Value>(
            http::Request::get(format!("/apis/{ARGO}/namespaces/{NS}/rollouts/web/scale"))
                .body(Vec::new())?,
        )
        .await?;
    assert_eq!(scale["spec"]["replicas"], 2);
    assert_eq!(scale["status"]["selector"], "app=web");

    // It evicts pods that lack what it recommends, until all have it.
    scene.apply("", RECOMMENDATION).await?;
    let api: Api<Pod> = Api::namespaced(scene.bed.client()?, NS);
    let replaced = async {
        loop {
            let (recommended, others) = pods(&scene, "web").await?;
            if recommended.len() == 2 && others.is_empty() {
                return anyhow::Ok(());
            }
            for name in &others {
                // One that has gone by itself is none any more.
                drop(api.evict(name, &EvictParams::default()).await);
            }
            tokio::time::sleep(LOOK_AGAIN).await;
        }
    };
    let replaced = tokio::time::timeout(PATIENCE, replaced).await;
    replaced.context("pods with the recommendation")??;
    let after = scene
        .until("Rollout", NS, "web", "Healthy", |rollout| {
            healthy(rollout) && rollout["status"]["availableReplicas"] == 2
        })
        .await?;
    for field in ["stableRS", "currentPodHash"] {
        assert_eq!(after["status"][field], first["status"][field], "{field}");
    }
    // A new version still goes out.
    scene
        .patch("Rollout", NS, "web", json!({"spec": {"template": {"spec": {"containers": [{"name": "web", "image": "web:2"}]}}}}))
        .await?;
    scene
        .until("Rollout", NS, "web", "updated", |rollout| {
            healthy(rollout) && rollout["status"]["stableRS"] != first["status"]["stableRS"]
        })
        .await?;
    Ok(())
}
