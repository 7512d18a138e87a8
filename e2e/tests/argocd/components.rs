//! Argo CD's components: one program that plays all of them, by the name that it finds in its environment.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use e2e::process::{Part, Program};
use serde_json::{Value, json};
use tokio::process::Command;

use crate::scene::{OptionalProgram, PATIENCE, Scene};

/// What clients of the Redis protocol need.
pub const REDIS_PASSWORD: &str = "redis-password-of-this-test";
/// The password of `admin`.
const PASSWORD: &str = "admin-password-of-this-test";
/// Longest run of one command.
const COMMAND: Duration = Duration::from_mins(2);

/// Argo CD.
pub const PROGRAM: OptionalProgram = OptionalProgram {
    name: "argocd",
    variable: "ARGOCD_BIN",
    skip: "SKIP_ARGOCD",
    kept: "argocd/argocd",
};

/// The ports that argo-cd-lite listens on in the place of others.
#[derive(Clone, Copy)]
pub struct Ports {
    pub redis: u16,
    pub repo_server: u16,
}

/// The server, and a command line that is logged in.
pub struct ArgoCd {
    program: PathBuf,
    kubeconfig: PathBuf,
    home: tempfile::TempDir,
    ports: Ports,
    server: Part,
    /// `127.0.0.1:PORT` of the server, without TLS.
    pub address: String,
}

impl ArgoCd {
    /// Starts the server and logs in.
    pub async fn start(scene: &Scene, program: PathBuf, ports: Ports) -> Result<Self> {
        let address = format!("127.0.0.1:{}", scene.bed.free_port()?);
        let kubeconfig = namespaced(scene)?;
        let (host, port) = address.split_once(':').context("a port")?;
        let server = Program::new("argocd-server", &program)
            .env("ARGOCD_BINARY_NAME", "argocd-server")
            .env("ARGOCD_FAKE_IN_CLUSTER", "true")
            .env("KUBECONFIG", &kubeconfig)
            .env("REDIS_PASSWORD", REDIS_PASSWORD)
            .args([
                format!("--kubeconfig={}", kubeconfig.display()),
                format!("--address={host}"),
                format!("--port={port}"),
                "--metrics-address=127.0.0.1".to_owned(),
                format!("--metrics-port={}", scene.bed.free_port()?),
                "--insecure".to_owned(),
                format!("--redis=127.0.0.1:{}", ports.redis),
                format!("--repo-server=127.0.0.1:{}", ports.repo_server),
                "--logformat=text".to_owned(),
            ]);
        let started = Self {
            server: scene.bed.part(server)?,
            home: tempfile::tempdir()?,
            kubeconfig,
            program,
            ports,
            address,
        };
        started.settings(scene).await?;
        started.server.start().await?;
        started.until_served().await?;
        let login = format!("--password={PASSWORD}");
        started
            .run(&[
                "login",
                &started.address,
                "--plaintext",
                "--username=admin",
                &login,
            ])
            .await?;
        Ok(started)
    }

    /// The objects that the server reads its settings from.
    async fn settings(&self, scene: &Scene) -> Result<()> {
        let hash = self
            .run(&["account", "bcrypt", "--password", PASSWORD])
            .await?;
        let secret = json!({
            "admin.password": hash.trim(), "admin.passwordMtime": "2026-01-01T00:00:00Z",
            "server.secretkey": "a-key-that-signs-the-tokens-of-this-test",
        });
        let objects = [
            object(
                "ConfigMap",
                "argocd-cm",
                "data",
                &json!({"timeout.reconciliation": "180s"}),
            ),
            object("ConfigMap", "argocd-rbac-cm", "data", &json!({})),
            object("Secret", "argocd-secret", "stringData", &secret),
        ];
        for object in objects {
            scene.bed.cluster()?.apply_one("argocd", &object).await?;
        }
        let project = json!({
            "apiVersion": "argoproj.io/v1alpha1", "kind": "AppProject", "metadata": {"name": "default"},
            "spec": {
                "sourceRepos": ["*"], "destinations": [{"server": "*", "namespace": "*"}],
                "clusterResourceWhitelist": [{"group": "*", "kind": "*"}],
            },
        });
        scene.bed.cluster()?.apply_one("argocd", &project).await?;
        Ok(())
    }

    async fn until_served(&self) -> Result<()> {
        let url = format!("http://{}/healthz", self.address);
        let served = async {
            while !reqwest::get(&url)
                .await
                .is_ok_and(|answer| answer.status().is_success())
            {
                tokio::time::sleep(Duration::from_millis(200)).await;
            }
        };
        let served = tokio::time::timeout(PATIENCE, served).await;
        served.with_context(|| format!("argocd-server serves nothing:\n{}", self.server.tail()))
    }

    /// Runs a command to its end. What it prints; an error with all of it when it fails.
    pub async fn run(&self, arguments: &[&str]) -> Result<String> {
        let (success, output) = self.try_run(arguments).await?;
        ensure!(success, "argocd {}: {output}", arguments.join(" "));
        Ok(output)
    }

    /// Runs a command to its end. Whether it succeeded, and what it prints; the errors only when it did not.
    pub async fn try_run(&self, arguments: &[&str]) -> Result<(bool, String)> {
        let running = Command::new(&self.program)
            .args(arguments)
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("HOME", self.home.path())
            .env("ARGOCD_CONFIG_DIR", self.home.path())
            .env("ARGOCD_BINARY_NAME", "argocd")
            .env("KUBECONFIG", &self.kubeconfig)
            .current_dir(self.home.path())
            .stdin(Stdio::null())
            .kill_on_drop(true)
            .output();
        let output = tokio::time::timeout(COMMAND, running).await;
        let output =
            output.with_context(|| format!("argocd {} does not end", arguments.join(" ")))??;
        let mut text = String::from_utf8_lossy(&output.stdout).into_owned();
        if !output.status.success() {
            text.push_str(&String::from_utf8_lossy(&output.stderr));
        }
        Ok((output.status.success(), text))
    }

    /// Runs a command that prints JSON.
    pub async fn json(&self, arguments: &[&str]) -> Result<Value> {
        let text = self.run(&[arguments, &["-o", "json"]].concat()).await?;
        serde_json::from_str(&text)
            .with_context(|| format!("argocd {}: {text}", arguments.join(" ")))
    }

    /// A folder for files that commands read.
    pub fn home(&self) -> &Path {
        self.home.path()
    }

    /// The answer of the server to a GET of the web pages' own API.
    pub async fn page(&self, path: &str) -> Result<Value> {
        let login = json!({"username": "admin", "password": PASSWORD});
        let http = reqwest::Client::new();
        let base = format!("http://{}/api/v1", self.address);
        let session: Value = http
            .post(format!("{base}/session"))
            .json(&login)
            .send()
            .await?
            .json()
            .await?;
        let token = session["token"].as_str().context("a token")?;
        let answer = http
            .get(format!("{base}/{path}"))
            .bearer_auth(token)
            .send()
            .await?;
        ensure!(
            answer.status().is_success(),
            "{path}: {}",
            answer.text().await?
        );
        Ok(answer.json().await?)
    }

    /// Starts the ApplicationSet controller.
    pub async fn application_sets(&self, scene: &Scene) -> Result<Part> {
        let port = || scene.bed.free_port();
        let program = Program::new("argocd-applicationset-controller", &self.program)
            .env("ARGOCD_BINARY_NAME", "argocd-applicationset-controller")
            .env("NAMESPACE", "argocd")
            .env("ARGOCD_FAKE_IN_CLUSTER", "true")
            .env("KUBECONFIG", &self.kubeconfig)
            .args([
                format!("--kubeconfig={}", self.kubeconfig.display()),
                "--namespace=argocd".to_owned(),
                format!("--argocd-repo-server=127.0.0.1:{}", self.ports.repo_server),
                format!("--metrics-addr=127.0.0.1:{}", port()?),
                format!("--probe-addr=127.0.0.1:{}", port()?),
                format!("--webhook-addr=127.0.0.1:{}", port()?),
                "--logformat=text".to_owned(),
            ]);
        let part = scene.bed.part(program)?;
        part.start().await?;
        Ok(part)
    }
}

/// The bed's kubeconfig with the namespace of Argo CD, which its components read from it.
fn namespaced(scene: &Scene) -> Result<PathBuf> {
    let text = std::fs::read_to_string(scene.bed.cluster()?.kubeconfig())?;
    let mut config: Value = reconcile_core::yaml::value(&text).context("a kubeconfig")?;
    for context in config["contexts"].as_array_mut().into_iter().flatten() {
        context["context"]["namespace"] = "argocd".into();
    }
    let path = scene.bed.dir().join("argocd.kubeconfig");
    std::fs::write(&path, config.to_string())?;
    Ok(path)
}

fn object(kind: &str, name: &str, member: &str, data: &Value) -> Value {
    json!({
        "apiVersion": "v1", "kind": kind,
        "metadata": {"name": name, "labels": {"app.kubernetes.io/part-of": "argocd"}},
        member: data,
    })
}
