//! argo-cd-lite renders Helm charts and kustomizations with the real programs, on a real control plane.

#![allow(
    clippy::too_many_lines,
    reason = "a scenario reads from top to bottom, with its manifests"
)]

mod scene;

use anyhow::{Context as _, Result};
use e2e::Options;
use e2e::stack::{Setup, Which};
use e2e::tools::{self, Tool};
use scene::{Scene, config_map};

const POLICY: &str =
    "{automated: {prune: true, selfHeal: true}, syncOptions: [CreateNamespace=true]}";
const CHART: &str = "apiVersion: v2\nname: shop\nversion: 1.0.0\n";
const TEMPLATE: &str = r#"
apiVersion: v1
kind: ConfigMap
metadata: {name: "{{ .Release.Name }}-settings"}
data:
  message: "{{ .Values.message }}"
  size: "{{ .Values.size }}"
---
apiVersion: v1
kind: ConfigMap
metadata:
  name: before
  annotations: {helm.sh/hook: pre-install}
data: {version: "{{ .Capabilities.KubeVersion.Version }}"}
"#;

async fn scene(cache: &tempfile::TempDir) -> Result<Scene> {
    let mut scene = Scene::set(Options::git_only(), &[]).await?;
    let programs =
        tokio::task::spawn_blocking(|| tools::ensure(&[Tool::Helm, Tool::Kustomize])).await??;
    let path = |tool| -> Result<String> { Ok(programs.path(tool)?.display().to_string()) };
    let setup = Setup {
        args: vec![
            format!("--cache-dir={}", cache.path().display()),
            format!("--helm-binary={}", path(Tool::Helm)?),
            format!("--kustomize-binary={}", path(Tool::Kustomize)?),
        ],
        ..Setup::default()
    };
    scene.add(Which::ArgoCdLite, &setup).await?;
    Ok(scene)
}

/// Renders that took work since the process started.
async fn work(scene: &Scene) -> Result<u64> {
    let url = scene.operator(Which::ArgoCdLite)?.metrics();
    let text = reqwest::get(url).await?.error_for_status()?.text().await?;
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix("argocd_lite_renders_total{from=\"work\"} "));
    line.map_or(Ok(0), |count| count.parse().context("a number"))
}

async fn data(scene: &Scene, namespace: &str, name: &str) -> Result<serde_json::Value> {
    let api = scene.api("v1", "ConfigMap", namespace).await?;
    Ok(api.get(name).await?.data["data"].clone())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_chart_with_values_of_another_source_is_synced_and_rendered_once() -> Result<()> {
    let cache = tempfile::tempdir()?;
    let scene = scene(&cache).await?;
    let charts = scene.bed.git()?.repository("charts").await?;
    let files = [
        ("charts/shop/Chart.yaml", CHART),
        ("charts/shop/values.yaml", "message: default\nsize: 1\n"),
        ("charts/shop/templates/all.yaml", TEMPLATE),
    ];
    let chart_commit = charts.commit(&files, "the chart").await?;
    let config = scene.bed.git()?.repository("config").await?;
    let values = [("prod/values.yaml", "message: from the config\n")];
    let config_commit = config.commit(&values, "the values").await?;
    let manifest = format!(
        r"
apiVersion: argoproj.io/v1alpha1
kind: Application
metadata: {{name: shop, namespace: argocd}}
spec:
  project: default
  sources:
  - repoURL: '{}'
    targetRevision: main
    path: charts/shop
    helm:
      valueFiles: [$config/prod/values.yaml]
      parameters: [{{name: size, value: '3'}}]
  - {{repoURL: '{}', targetRevision: main, ref: config}}
  destination: {{server: 'https://kubernetes.default.svc', namespace: shop}}
  syncPolicy: {POLICY}
",
        charts.url, config.url
    );
    scene.apply("argocd", &manifest).await?;
    let app = scene.until_synced("shop").await?;
    let status = &app["status"];
    assert_eq!(
        status["sync"]["revisions"],
        serde_json::json!([chart_commit, config_commit])
    );
    assert_eq!(status["sourceTypes"][0], "Helm");
    assert_eq!(
        status["history"][0]["revisions"],
        status["sync"]["revisions"]
    );
    let settings = data(&scene, "shop", "shop-settings").await?;
    assert_eq!(settings["message"], "from the config");
    assert_eq!(settings["size"], "3");
    let hook = data(&scene, "shop", "before").await?;
    assert!(
        hook["version"]
            .as_str()
            .is_some_and(|text| text.starts_with("v1.")),
        "{hook}"
    );

    let before = work(&scene).await?;
    assert!(before > 0);
    charts
        .commit(&[("README.md", "text")], "beside the chart")
        .await?;
    config
        .commit(&[("test/values.yaml", "a: b\n")], "for others")
        .await?;
    scene.refresh("shop", "normal").await?;
    let app = scene.until_refreshed("shop").await?;
    assert_ne!(app["status"]["sync"]["revisions"][0], chart_commit.as_str());
    assert_eq!(work(&scene).await?, before, "nothing that it reads changed");

    let operator = &scene.operator(Which::ArgoCdLite)?.operator;
    operator.kill_and_restart().await?;
    scene.refresh("shop", "normal").await?;
    scene.until_refreshed("shop").await?;
    assert_eq!(work(&scene).await?, 0, "the disk has what was rendered");

    config
        .commit(&[("prod/values.yaml", "message: changed\n")], "new values")
        .await?;
    scene.refresh("shop", "normal").await?;
    scene
        .until_any(
            "v1",
            "ConfigMap",
            "shop",
            "shop-settings",
            "changed",
            |map| map["data"]["message"] == "changed",
        )
        .await?;
    assert_eq!(work(&scene).await?, 1);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_overlay_reads_its_base_and_takes_the_options_of_the_source() -> Result<()> {
    let cache = tempfile::tempdir()?;
    let scene = scene(&cache).await?;
    let files = [
        ("base/map.yaml", &*config_map("settings", "base", "")),
        ("base/kustomization.yaml", "resources: [map.yaml]\n"),
        (
            "app/kustomization.yaml",
            "resources: [../base]\nnameSuffix: -prod\n",
        ),
    ];
    let repository = scene.bed.git()?.repository("overlay").await?;
    repository.commit(&files, "first").await?;
    let manifest = format!(
        r#"
apiVersion: argoproj.io/v1alpha1
kind: Application
metadata: {{name: overlay, namespace: argocd}}
spec:
  project: default
  source:
    repoURL: '{}'
    targetRevision: main
    path: app
    kustomize:
      namePrefix: my-
      commonLabels: {{team: $ARGOCD_APP_NAME}}
      labelWithoutSelector: true
      patches:
      - target: {{kind: ConfigMap}}
        patch: '[{{"op": "add", "path": "/data/patched", "value": "yes"}}]'
  destination: {{server: 'https://kubernetes.default.svc', namespace: overlay}}
  syncPolicy: {POLICY}
"#,
        repository.url
    );
    scene.apply("argocd", &manifest).await?;
    let app = scene.until_synced("overlay").await?;
    assert_eq!(app["status"]["sourceType"], "Kustomize");
    let api = scene.api("v1", "ConfigMap", "overlay").await?;
    let map = api.get("my-settings-prod").await?;
    assert_eq!(map.data["data"]["patched"], "yes");
    let labels = map.metadata.labels.unwrap_or_default();
    assert_eq!(labels.get("team").map(String::as_str), Some("overlay"));

    let before = work(&scene).await?;
    repository
        .commit(&[("other/a.yaml", "a: b\n")], "beside it")
        .await?;
    scene.refresh("overlay", "normal").await?;
    scene.until_refreshed("overlay").await?;
    assert_eq!(work(&scene).await?, before, "nothing that it reads changed");
    let base = config_map("settings", "changed", "");
    repository
        .commit(&[("base/map.yaml", &base)], "the base")
        .await?;
    scene.refresh("overlay", "normal").await?;
    scene
        .until_any(
            "v1",
            "ConfigMap",
            "overlay",
            "my-settings-prod",
            "changed",
            |map| map["data"]["value"] == "changed",
        )
        .await?;

    repository
        .commit(
            &[(
                "app/kustomization.yaml",
                "resources: ['https://169.254.169.254/x']\n",
            )],
            "a remote base",
        )
        .await?;
    scene.refresh("overlay", "normal").await?;
    let app = scene
        .until_application("overlay", "an error about the base", |app| {
            app["status"]["conditions"]
                .to_string()
                .contains("is a link-local or instance metadata address")
        })
        .await?;
    assert_eq!(app["status"]["sync"]["status"], "Unknown");
    assert!(
        api.get_opt("my-settings-prod").await?.is_some(),
        "nothing is pruned"
    );
    Ok(())
}
