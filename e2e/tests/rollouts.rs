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
use scene::{Scene, healthy};
use serde_json::{Value, json};

const NS: &str = "default";

async fn scene() -> Result<Scene> {
    Scene::set(Options::cluster_only(), &[Which::Rollouts]).await
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
async fn a_canary_pauses_until_it_is_promoted_and_then_continues() -> Result<()> {
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

/// A pod template with most of what the API server fills in defaults for or writes in another form.
const RICH: &str = r"
      serviceAccountName: default
      hostNetwork: false
      topologySpreadConstraints:
        - {maxSkew: 1, topologyKey: zone, whenUnsatisfiable: ScheduleAnyway, labelSelector: {matchLabels: {app: taken}}}
      initContainers:
        - {name: first, image: 'web@sha256:0000000000000000000000000000000000000000000000000000000000000000', restartPolicy: Always}
      containers:
        - name: web
          image: web
          ports: [{containerPort: 80, hostPort: 0}]
          env:
            - {name: EMPTY, value: ''}
            - {name: POD, valueFrom: {fieldRef: {fieldPath: metadata.name}}}
            - {name: MEMORY, valueFrom: {resourceFieldRef: {resource: limits.memory, divisor: 1024Ki}}}
            - {name: KEY, valueFrom: {secretKeyRef: {name: s, key: k, optional: false}}}
          resources: {limits: {cpu: '0.5', memory: 1024Mi}}
          readinessProbe: {httpGet: {port: 80}, initialDelaySeconds: 0}
          livenessProbe: {grpc: {port: 90}}
          startupProbe: {exec: {command: ['true']}}
          lifecycle: {preStop: {httpGet: {port: 80}}, postStart: {exec: {command: ['true']}}}
          securityContext: {runAsNonRoot: true, capabilities: {drop: [ALL]}}
          volumeMounts: [{name: empty, mountPath: /e, readOnly: false}]
          stdin: false
      volumes:
        - {name: empty, emptyDir: {sizeLimit: 1024Mi}}
        - {name: none}
        - {name: secret, secret: {secretName: s}}
        - {name: config, configMap: {name: c, items: [{key: k, path: p}]}}
        - {name: host, hostPath: {path: /tmp}}
        - {name: down, downwardAPI: {items: [{path: p, fieldRef: {fieldPath: metadata.labels}}]}}
        - {name: all, projected: {sources: [{serviceAccountToken: {path: t}}, {configMap: {name: c}}, {downwardAPI: {items: [{path: q, fieldRef: {fieldPath: metadata.name}}]}}]}}
        - {name: claim, persistentVolumeClaim: {claimName: c}}
        - {name: own, ephemeral: {volumeClaimTemplate: {spec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 1024Mi}}}}}}
        - {name: iscsi, iscsi: {targetPortal: '10.0.0.1', iqn: 'iqn.2001-04.com.example:a', lun: 0}}
        - {name: nfs, nfs: {server: nas, path: /p}}
        - {name: csi, csi: {driver: d.example.com}}
";

#[tokio::test(flavor = "multi_thread")]
async fn a_set_of_another_controller_is_taken_over_whatever_the_server_filled_in() -> Result<()> {
    let scene = scene().await?;
    let labels = "{app: taken, rollouts-pod-template-hash: foreign}";
    scene
        .apply(NS, &format!("apiVersion: apps/v1\nkind: ReplicaSet\nmetadata: {{name: taken-foreign, labels: {labels}}}\nspec:\n  replicas: 0\n  selector: {{matchLabels: {labels}}}\n  template:\n    metadata: {{labels: {labels}}}\n    spec:{RICH}"))
        .await?;
    scene
        .apply(NS, &format!("apiVersion: argoproj.io/v1alpha1\nkind: Rollout\nmetadata: {{name: taken}}\nspec:\n  replicas: 0\n  selector: {{matchLabels: {{app: taken}}}}\n  strategy: {{canary: {{}}}}\n  template:\n    metadata: {{labels: {{app: taken}}}}\n    spec:{RICH}"))
        .await?;
    let done = scene
        .until("Rollout", NS, "taken", "Healthy", healthy)
        .await?;
    assert_eq!(done["status"]["stableRS"], "foreign", "{done:#}");
    let sets = scene.api("apps/v1", "ReplicaSet", NS).await?;
    let all = sets.list(&ListParams::default()).await?.items;
    let ours: Vec<_> = all
        .iter()
        .filter(|set| {
            set.metadata
                .name
                .as_deref()
                .is_some_and(|name| name.starts_with("taken"))
        })
        .collect();
    assert_eq!(ours.len(), 1, "no second deployment: {ours:#?}");
    let owner = ours[0].metadata.owner_references.iter().flatten().next();
    assert_eq!(owner.map(|owner| owner.kind.as_str()), Some("Rollout"));
    Ok(())
}
