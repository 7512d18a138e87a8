//! Experiments on a real control plane, alone and as a step of a canary, judged by a real Prometheus.

#![allow(
    clippy::too_many_lines,
    reason = "a scenario reads from top to bottom, with its manifests"
)]

mod scene;

use anyhow::{Result, ensure};
use e2e::Options;
use e2e::stack::Which;
use k8s_openapi::api::{apps::v1::ReplicaSet, core::v1::Service};
use kube::api::{DynamicObject, ListParams};
use scene::{ARGO, Scene};
use serde_json::{Value, json};

const NS: &str = "default";

/// A template whose metric is the number `value`; anything but 1 fails.
fn analysis_template(prometheus: &str, name: &str, value: u32) -> String {
    format!(
        r"
apiVersion: argoproj.io/v1alpha1
kind: AnalysisTemplate
metadata: {{name: {name}}}
spec:
  args: [{{name: hash}}]
  metrics:
    - name: one
      successCondition: result[0] == 1
      provider: {{prometheus: {{address: {prometheus}, query: vector({value})}}}}
"
    )
}

const ALONE: &str = r"
apiVersion: argoproj.io/v1alpha1
kind: Experiment
metadata: {name: ab}
spec:
  duration: 3s
  scaleDownDelaySeconds: 1
  templates:
    - name: a
      replicas: 2
      service: {}
      selector: {matchLabels: {app: ab, variant: a}}
      template:
        metadata: {labels: {app: ab, variant: a}}
        spec: {containers: [{name: web, image: 'web:a', ports: [{containerPort: 80}]}]}
    - name: b
      service: {name: ab-variant-b}
      selector: {matchLabels: {app: ab, variant: b}}
      template:
        metadata: {labels: {app: ab, variant: b}}
        spec: {containers: [{name: web, image: 'web:b', ports: [{containerPort: 80}]}]}
  analyses:
    - name: compare
      templateName: good
      args: [{name: hash, value: '{{templates.a.podTemplateHash}}'}]
";

fn rollout(image: &str, template: &str) -> String {
    format!(
        r"
apiVersion: argoproj.io/v1alpha1
kind: Rollout
metadata: {{name: shop}}
spec:
  replicas: 2
  selector: {{matchLabels: {{app: shop}}}}
  strategy:
    canary:
      steps:
        - setWeight: 50
        - experiment:
            scaleDownDelaySeconds: 1
            templates:
              - {{name: old, specRef: stable, metadata: {{labels: {{role: old}}}}}}
              - {{name: new, specRef: canary, metadata: {{labels: {{role: new}}}}}}
            analyses:
              - name: compare
                templateName: {template}
                requiredForCompletion: true
                args: [{{name: hash, valueFrom: {{podTemplateHashValue: Latest}}}}]
  template:
    metadata: {{labels: {{app: shop}}}}
    spec: {{containers: [{{name: web, image: '{image}'}}]}}
"
    )
}

fn healthy_on(image: &'static str) -> impl Fn(&Value) -> bool {
    move |rollout| {
        rollout["spec"]["template"]["spec"]["containers"][0]["image"] == image
            && scene::observed(rollout)
            && rollout["status"]["phase"] == "Healthy"
    }
}

/// Waits until no ReplicaSet of any Experiment has pods.
async fn until_taken_down(scene: &Scene, experiment: &str) -> Result<()> {
    let name = format!("{experiment}-");
    let api: kube::Api<ReplicaSet> = kube::Api::namespaced(scene.bed.client()?, NS);
    let sets = api.list(&ListParams::default()).await?;
    let mut found = 0;
    for set in sets.items {
        let set_name = set.metadata.name.unwrap_or_default();
        if set_name.starts_with(&name) {
            found += 1;
            scene
                .until_any(
                    "apps/v1",
                    "ReplicaSet",
                    NS,
                    &set_name,
                    "without pods",
                    |set| set["spec"]["replicas"] == 0,
                )
                .await?;
        }
    }
    ensure!(found == 2, "{found} ReplicaSets of {experiment}");
    Ok(())
}

async fn experiments_of_the_rollout(scene: &Scene) -> Result<Vec<DynamicObject>> {
    let api = scene.api(ARGO, "Experiment", NS).await?;
    let all = api.list(&ListParams::default()).await?.items;
    let is_owned = |one: &DynamicObject| one.metadata.owner_references.is_some();
    Ok(all.into_iter().filter(is_owned).collect())
}

#[tokio::test(flavor = "multi_thread")]
async fn experiments_run_alone_and_decide_about_a_canary() -> Result<()> {
    let options = Options {
        nats: false,
        git: false,
        sample: false,
        ..Options::default()
    };
    let scene = Scene::set(options, &[Which::Rollouts]).await?;
    let prometheus = scene.bed.prometheus()?.url.clone();
    for (name, value) in [("good", 1), ("bad", 0)] {
        scene
            .apply(NS, &analysis_template(&prometheus, name, value))
            .await?;
    }
    scene.apply(NS, ALONE).await?;
    let running = |object: &Value| object["status"]["phase"] == "Running";
    let experiment = scene
        .until("Experiment", NS, "ab", "Running", running)
        .await?;
    ensure!(
        experiment["status"]["availableAt"].is_string(),
        "{experiment:#}"
    );
    let services: kube::Api<Service> = kube::Api::namespaced(scene.bed.client()?, NS);
    for name in ["ab-a", "ab-variant-b"] {
        let service = services.get(name).await?;
        let selector = service
            .spec
            .and_then(|spec| spec.selector)
            .unwrap_or_default();
        ensure!(
            selector.contains_key("rollouts-pod-template-hash"),
            "{selector:?}"
        );
    }
    let done = |object: &Value| object["status"]["phase"] == "Successful";
    let experiment = scene
        .until("Experiment", NS, "ab", "Successful", done)
        .await?;
    ensure!(
        experiment["status"]["analysisRuns"][0]["analysisRun"] == "ab-compare",
        "{experiment:#}"
    );
    scene
        .until("AnalysisRun", NS, "ab-compare", "Successful", done)
        .await?;
    until_taken_down(&scene, "ab").await?;
    for name in ["ab-a", "ab-variant-b"] {
        scene.until_gone("v1", "Service", NS, name).await?;
    }

    scene.apply(NS, &rollout("shop:v1", "good")).await?;
    scene
        .until(
            "Rollout",
            NS,
            "shop",
            "Healthy on v1",
            healthy_on("shop:v1"),
        )
        .await?;
    scene.apply(NS, &rollout("shop:v2", "good")).await?;
    scene
        .until(
            "Rollout",
            NS,
            "shop",
            "Healthy on v2",
            healthy_on("shop:v2"),
        )
        .await?;
    let first = experiments_of_the_rollout(&scene).await?;
    ensure!(
        first.len() == 1 && first[0].data["status"]["phase"] == "Successful",
        "{first:#?}"
    );
    until_taken_down(&scene, &first[0].metadata.name.clone().unwrap_or_default()).await?;

    scene.apply(NS, &rollout("shop:v3", "bad")).await?;
    let degraded = |rollout: &Value| {
        rollout["status"]["phase"] == "Degraded" && rollout["status"]["abort"] == true
    };
    let rollout = scene
        .until("Rollout", NS, "shop", "aborted", degraded)
        .await?;
    let message = rollout["status"]["message"].as_str().unwrap_or_default();
    ensure!(
        message.contains("Experiment analysis phase is error/failed"),
        "{message}"
    );
    feature_flag(&scene).await
}

const FLAGS: &str = r#"
apiVersion: v1
kind: ConfigMap
metadata: {name: flags}
data:
  shop.json: |
    {"flags": {"new-checkout": {"state": "ENABLED", "variants": {"on": true, "off": false}, "defaultVariant": "off"}}}
"#;

fn flagged(image: &str) -> String {
    format!(
        r"
apiVersion: argoproj.io/v1alpha1
kind: Rollout
metadata: {{name: flagged}}
spec:
  replicas: 2
  selector: {{matchLabels: {{app: flagged}}}}
  strategy:
    canary:
      steps:
        - plugin:
            name: feature-flag
            config: {{configMap: flags, key: shop.json, flag: new-checkout, variant: 'on', segments: [{{attribute: group, values: [staff]}}]}}
        - plugin:
            name: feature-flag
            config: {{configMap: flags, key: shop.json, flag: new-checkout, variant: 'on', percentage: 25}}
        - pause: {{}}
  template:
    metadata: {{labels: {{app: flagged}}}}
    spec: {{containers: [{{name: web, image: '{image}'}}]}}
"
    )
}

/// The rule of the flag.
fn rule(map: &Value) -> Value {
    let text = map["data"]["shop.json"].as_str().unwrap_or_default();
    let all: Value = serde_json::from_str(text).unwrap_or_default();
    all["flags"]["new-checkout"]["targeting"].clone()
}

/// A flag is edited step by step, and an abort puts it back.
async fn feature_flag(scene: &Scene) -> Result<()> {
    scene.apply(NS, FLAGS).await?;
    scene.apply(NS, &flagged("shop:v1")).await?;
    scene
        .until(
            "Rollout",
            NS,
            "flagged",
            "Healthy on v1",
            healthy_on("shop:v1"),
        )
        .await?;
    scene.apply(NS, &flagged("shop:v2")).await?;
    let paused =
        |rollout: &Value| scene::observed(rollout) && rollout["status"]["currentStepIndex"] == 2;
    scene
        .until("Rollout", NS, "flagged", "at its pause", paused)
        .await?;
    let split = json!({"if": [
        {"in": [{"var": "group"}, ["staff"]]}, "on", {"fractional": [["on", 25], ["off", 75]]}
    ]});
    scene
        .until_any("v1", "ConfigMap", NS, "flags", "edited", |map| {
            rule(map) == split
        })
        .await?;
    scene
        .patch_status("Rollout", NS, "flagged", json!({"status": {"abort": true}}))
        .await?;
    let map = scene
        .until_any("v1", "ConfigMap", NS, "flags", "put back", |map| {
            rule(map).is_null()
        })
        .await?;
    let annotations = map["metadata"]["annotations"].as_object();
    let has_entry =
        annotations.is_some_and(|all| all.contains_key("rollouts.argoproj.io/feature-flags"));
    ensure!(!has_entry, "{map:#}");
    Ok(())
}
