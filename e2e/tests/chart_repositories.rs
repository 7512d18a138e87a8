//! argo-cd-lite takes charts from a Helm repository that the real `helm` made, on a real control plane.

#![allow(
    clippy::too_many_lines,
    reason = "a scenario reads from top to bottom, with its manifests"
)]

mod scene;

use std::{path::Path, process::Command, sync::Arc};

use anyhow::{Context as _, Result, ensure};
use axum::{
    Router,
    extract::{Request, State},
    response::{IntoResponse, Response},
};
use base64::{Engine, engine::general_purpose::STANDARD};
use e2e::Options;
use e2e::stack::{Setup, Which};
use e2e::tools::{self, Tool};
use http::{StatusCode, header::AUTHORIZATION};
use scene::Scene;

/// A chart with one ConfigMap, which is named like the release and the chart.
const TEMPLATE: &str = r#"
apiVersion: v1
kind: ConfigMap
metadata: {name: "{{ .Release.Name }}-{{ .Chart.Name }}"}
data:
  message: "{{ .Values.message }}"
  chart: "{{ .Chart.Version }}"
"#;

/// A Helm repository in a folder, served to whoever knows the password.
struct Repository {
    folder: tempfile::TempDir,
    helm: std::path::PathBuf,
    url: String,
}

impl Repository {
    async fn start(helm: &Path) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let root: Arc<Path> = folder.path().join("served").into();
        std::fs::create_dir(&root)?;
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
        let url = format!("http://{}", listener.local_addr()?);
        let router = Router::new().fallback(serve).with_state(root);
        tokio::spawn(async move { axum::serve(listener, router).await });
        Ok(Self {
            folder,
            helm: helm.to_owned(),
            url,
        })
    }

    /// Packs a version of a chart and makes the index again.
    fn publish(&self, name: &str, version: &str) -> Result<()> {
        let chart = self.folder.path().join(name);
        std::fs::create_dir_all(chart.join("templates"))?;
        let description = format!("apiVersion: v2\nname: {name}\nversion: {version}\n");
        std::fs::write(chart.join("Chart.yaml"), description)?;
        std::fs::write(chart.join("values.yaml"), "message: default\n")?;
        std::fs::write(chart.join("templates/all.yaml"), TEMPLATE)?;
        let chart = chart.to_string_lossy();
        self.helm(&["package", &chart, "--destination", "served"])?;
        self.helm(&["repo", "index", "served"])
    }

    fn helm(&self, arguments: &[&str]) -> Result<()> {
        let output = Command::new(&self.helm)
            .args(arguments)
            .current_dir(self.folder.path())
            .env("HOME", self.folder.path())
            .output()?;
        let message = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "helm {arguments:?}: {message}");
        Ok(())
    }
}

async fn serve(State(root): State<Arc<Path>>, request: Request) -> Response {
    let login = format!("Basic {}", STANDARD.encode("reader:a-password"));
    let sent = request.headers().get(AUTHORIZATION);
    if sent.is_none_or(|sent| sent.as_bytes() != login.as_bytes()) {
        return StatusCode::UNAUTHORIZED.into_response();
    }
    let name = request.uri().path().trim_start_matches('/');
    match std::fs::read(root.join(name)) {
        Ok(content) => content.into_response(),
        Err(_) => StatusCode::NOT_FOUND.into_response(),
    }
}

async fn scene(cache: &tempfile::TempDir) -> Result<(Scene, Repository)> {
    let mut scene = Scene::set(Options::git_only(), &[]).await?;
    let programs = tokio::task::spawn_blocking(|| tools::ensure(&[Tool::Helm])).await??;
    let helm = programs.path(Tool::Helm)?;
    let setup = Setup {
        args: vec![
            format!("--cache-dir={}", cache.path().display()),
            format!("--helm-binary={}", helm.display()),
        ],
        ..Setup::default()
    };
    scene.add(Which::ArgoCdLite, &setup).await?;
    let repository = Repository::start(helm).await?;
    Ok((scene, repository))
}

async fn data(scene: &Scene, name: &str) -> Result<serde_json::Value> {
    let api = scene.api("v1", "ConfigMap", "web").await?;
    Ok(api.get(name).await?.data["data"].clone())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_chart_of_a_private_repository_follows_its_constraint() -> Result<()> {
    let cache = tempfile::tempdir()?;
    let (scene, charts) = scene(&cache).await?;
    charts.publish("web", "1.2.0")?;
    charts.publish("web", "2.0.0")?;
    charts.publish("base", "0.1.0")?;
    charts.publish("base", "0.2.0")?;
    let config = scene.bed.git()?.repository("config").await?;
    let values = [("prod/values.yaml", "message: from the config\n")];
    config.commit(&values, "the values").await?;
    // As in docs/argo-cd-lite.md.
    let application = format!(
        r"
apiVersion: argoproj.io/v1alpha1
kind: Application
metadata: {{name: web, namespace: argocd}}
spec:
  project: default
  sources:
  - repoURL: {}
    chart: web
    targetRevision: ^1.2.0
    helm:
      valueFiles: [$config/prod/values.yaml]
  - {{repoURL: '{}', targetRevision: main, ref: config}}
  destination: {{server: 'https://kubernetes.default.svc', namespace: web}}
  syncPolicy: {{automated: {{prune: true}}, syncOptions: [CreateNamespace=true]}}
",
        charts.url, config.url
    );
    scene.apply("argocd", &application).await?;
    let app = scene
        .until_application("web", "without access", |app| {
            let conditions = app["status"]["conditions"].as_array();
            conditions.into_iter().flatten().any(|condition| {
                let message = condition["message"].as_str().unwrap_or_default();
                message.contains("denies access (HTTP 401)")
            })
        })
        .await?;
    assert!(!app.to_string().contains("a-password"));
    let secret = format!(
        r"
apiVersion: v1
kind: Secret
metadata:
  name: stable
  namespace: argocd
  labels: {{argocd.argoproj.io/secret-type: repository}}
stringData:
  url: {}
  type: helm
  username: reader
  password: a-password
",
        charts.url
    );
    scene.apply("argocd", &secret).await?;
    scene.refresh("web", "normal").await?;
    let app = scene.until_synced("web").await?;
    let status = &app["status"];
    assert_eq!(status["sync"]["revisions"][0], "1.2.0");
    assert_eq!(status["sourceTypes"][0], "Helm");
    assert_eq!(status["history"][0]["revisions"][0], "1.2.0");
    let settings = data(&scene, "web-web").await?;
    assert_eq!(settings["message"], "from the config");
    assert_eq!(settings["chart"], "1.2.0");

    charts.publish("web", "1.3.0")?;
    scene.refresh("web", "normal").await?;
    scene
        .until_application("web", "at 1.3.0", |app| {
            app["status"]["sync"]["revisions"][0] == "1.3.0"
                && app["status"]["sync"]["status"] == "Synced"
        })
        .await?;
    assert_eq!(data(&scene, "web-web").await?["chart"], "1.3.0");
    umbrella(&scene, &charts).await
}

/// A chart in Git with a dependency of the repository, by its lock.
async fn umbrella(scene: &Scene, charts: &Repository) -> Result<()> {
    let depends = |version: &str| {
        format!(
            "dependencies:\n- name: base\n  version: {version}\n  repository: {}\n",
            charts.url
        )
    };
    let chart = format!(
        "apiVersion: v2\nname: umbrella\nversion: 1.0.0\n{}",
        depends("0.x")
    );
    let files = [
        ("app/Chart.yaml", chart.as_str()),
        ("app/Chart.lock", &depends("0.1.0")),
        ("app/values.yaml", "base: {message: from the umbrella}\n"),
    ];
    let git = scene.bed.git()?.repository("umbrella").await?;
    git.commit(&files, "the umbrella").await?;
    let policy = "{automated: {}}";
    let manifest = scene::application("umbrella", &git.url, "app", "web", policy);
    scene.apply("argocd", &manifest).await?;
    scene.until_synced("umbrella").await?;
    let settings = data(scene, "umbrella-base")
        .await
        .context("the dependency")?;
    assert_eq!(settings["message"], "from the umbrella");
    assert_eq!(settings["chart"], "0.1.0");
    Ok(())
}
