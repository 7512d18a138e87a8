//! The binaries of the bed. One on `PATH` or in `KUBEBUILDER_ASSETS` is used as it is; the others are built once with
//! Go from the modules in `e2e/tools` and kept in the user's cache folder.

mod build;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail};
use sha2::{Digest as _, Sha256};

/// Kubernetes' version, reported by the API server; the same as in `tools/go.mod`.
pub(crate) const KUBERNETES_VERSION: &str = "v1.36.3";

/// A program the bed runs and does not contain.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Tool {
    /// Kubernetes' store.
    Etcd,
    /// Kubernetes' API server.
    KubeApiserver,
    /// Runs Deployments, Jobs, garbage collection and the like.
    KubeControllerManager,
    /// Assigns pods to nodes.
    KubeScheduler,
    /// Simulates nodes and pods.
    Kwok,
    /// The bus, with `JetStream`.
    NatsServer,
    /// The metrics store.
    Prometheus,
    /// Checks and tests rules of Prometheus.
    Promtool,
    /// Renders charts.
    Helm,
    /// Renders kustomizations.
    Kustomize,
}

impl Tool {
    /// Every tool, the slowest to build first.
    pub const ALL: [Self; 10] = [
        Self::KubeApiserver,
        Self::KubeControllerManager,
        Self::KubeScheduler,
        Self::Etcd,
        Self::Kwok,
        Self::NatsServer,
        Self::Prometheus,
        Self::Promtool,
        Self::Helm,
        Self::Kustomize,
    ];

    /// The binary's name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Etcd => "etcd",
            Self::KubeApiserver => "kube-apiserver",
            Self::KubeControllerManager => "kube-controller-manager",
            Self::KubeScheduler => "kube-scheduler",
            Self::Kwok => "kwok",
            Self::NatsServer => "nats-server",
            Self::Prometheus => "prometheus",
            Self::Promtool => "promtool",
            Self::Helm => "helm",
            Self::Kustomize => "kustomize",
        }
    }

    fn package(self) -> &'static str {
        match self {
            Self::Etcd => "go.etcd.io/etcd/server/v3",
            Self::KubeApiserver => "k8s.io/kubernetes/cmd/kube-apiserver",
            Self::KubeControllerManager => "k8s.io/kubernetes/cmd/kube-controller-manager",
            Self::KubeScheduler => "k8s.io/kubernetes/cmd/kube-scheduler",
            Self::Kwok => "sigs.k8s.io/kwok/cmd/kwok",
            Self::NatsServer => "github.com/nats-io/nats-server/v2",
            Self::Prometheus => "github.com/prometheus/prometheus/cmd/prometheus",
            Self::Promtool => "github.com/prometheus/prometheus/cmd/promtool",
            Self::Helm => "helm.sh/helm/v4/cmd/helm",
            Self::Kustomize => "sigs.k8s.io/kustomize/kustomize/v5",
        }
    }

    /// The folder of the Go module, below `e2e/tools`.
    fn module(self) -> &'static str {
        match self {
            Self::Prometheus | Self::Promtool => "prometheus",
            Self::Helm | Self::Kustomize => "render",
            _ => "",
        }
    }

    /// Build tags: Prometheus without its thirty service discoveries builds in a third of the time.
    fn tags(self) -> &'static str {
        if matches!(self, Self::Prometheus | Self::Promtool) {
            "remove_all_sd"
        } else {
            ""
        }
    }

    fn module_dir(self) -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("tools")
            .join(self.module())
    }

    fn linker_flags(self) -> String {
        let mut flags = "-s -w".to_owned();
        if self.package().starts_with("k8s.io/kubernetes/") {
            for package in [
                "k8s.io/component-base/version",
                "k8s.io/client-go/pkg/version",
            ] {
                flags.push_str(" -X ");
                flags.push_str(package);
                flags.push_str(".gitVersion=");
                flags.push_str(KUBERNETES_VERSION);
            }
            let minor = KUBERNETES_VERSION.split('.').nth(1).unwrap_or_default();
            flags.push_str(" -X k8s.io/component-base/version.gitMajor=1");
            flags.push_str(" -X k8s.io/component-base/version.gitMinor=");
            flags.push_str(minor);
        }
        flags
    }
}

/// Where the binaries are.
#[derive(Debug, Clone, Default)]
pub struct Binaries(BTreeMap<Tool, PathBuf>);

impl Binaries {
    /// The path of a tool that was asked for.
    pub fn path(&self, tool: Tool) -> Result<&Path> {
        self.0
            .get(&tool)
            .map(PathBuf::as_path)
            .with_context(|| format!("{} was not asked for", tool.name()))
    }
}

/// Finds the binaries and builds those that are missing, with progress on the terminal. Blocks for minutes the first
/// time, for milliseconds later.
pub fn ensure(tools: &[Tool]) -> Result<Binaries> {
    let mut found = BTreeMap::new();
    let mut missing = Vec::new();
    for tool in tools {
        match on_path(tool.name()) {
            Some(path) => {
                found.insert(*tool, path);
            }
            None => missing.push(*tool),
        }
    }
    if missing.is_empty() {
        return Ok(Binaries(found));
    }
    let go = go_version(&missing)?;
    let mut to_build = Vec::new();
    for tool in missing {
        let path = cached(tool, &go)?;
        if !path.is_file() {
            to_build.push((tool, path.clone()));
        }
        found.insert(tool, path);
    }
    build::all(&to_build)?;
    Ok(Binaries(found))
}

/// A binary that somebody installed: `KUBEBUILDER_ASSETS` first, then `PATH`.
fn on_path(name: &str) -> Option<PathBuf> {
    let assets = std::env::var_os("KUBEBUILDER_ASSETS").map(PathBuf::from);
    let path = std::env::var_os("PATH").unwrap_or_default();
    assets
        .into_iter()
        .chain(std::env::split_paths(&path))
        .map(|dir| dir.join(name))
        .find(|file| file.is_file())
}

fn go_version(missing: &[Tool]) -> Result<String> {
    let names: Vec<&str> = missing.iter().map(|tool| tool.name()).collect();
    let output = Command::new("go")
        .args(["env", "GOVERSION", "GOOS", "GOARCH"])
        .current_dir(Tool::Etcd.module_dir())
        .output()
        .with_context(|| {
            format!(
                "Go is needed to build {} (install Go 1.26 or put them on PATH)",
                names.join(", ")
            )
        })?;
    if !output.status.success() {
        bail!("go env: {}", String::from_utf8_lossy(&output.stderr));
    }
    Ok(String::from_utf8(output.stdout)?)
}

/// `<cache>/argo-lite-bed/<hash of the module files, the flags and the Go version>/<name>`.
fn cached(tool: Tool, go: &str) -> Result<PathBuf> {
    let cache = std::env::var_os("XDG_CACHE_HOME")
        .map(PathBuf::from)
        .or_else(|| std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".cache")))
        .context("neither XDG_CACHE_HOME nor HOME is set: no place for the built binaries")?;
    let mut hash = Sha256::new();
    hash.update(go);
    hash.update(tool.linker_flags());
    hash.update(tool.tags());
    for file in ["go.mod", "go.sum"] {
        let path = tool.module_dir().join(file);
        hash.update(std::fs::read(&path).with_context(|| format!("reading {}", path.display()))?);
    }
    let key = hex::encode(hash.finalize());
    Ok(cache
        .join("argo-lite-bed")
        .join(&key[..16])
        .join(tool.name()))
}
