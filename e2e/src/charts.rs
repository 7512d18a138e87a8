//! Rendering and installing the project's charts.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use serde_json::Value;
use tokio::process::Command;

use crate::cluster::{Cluster, documents};
use crate::tools::{self, Tool};

/// Longest run of helm.
const HELM: Duration = Duration::from_mins(1);
/// Kinds that would start the operator as a simulated pod; in the bed the real process runs instead.
const WORKLOADS: [&str; 3] = ["Deployment", "StatefulSet", "DaemonSet"];

/// The project's chart of this name: `charts/NAME`.
pub fn path(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("..")
        .join("charts")
        .join(name)
}

/// Runs helm with these arguments in its own home; what it printed.
pub async fn helm(args: &[&str]) -> Result<String> {
    let binaries = tokio::task::spawn_blocking(|| tools::ensure(&[Tool::Helm])).await??;
    let home = tempfile::tempdir()?;
    let run = Command::new(binaries.path(Tool::Helm)?)
        .args(args)
        .env("HOME", home.path())
        .env("HELM_CACHE_HOME", home.path().join("cache"))
        .env("HELM_CONFIG_HOME", home.path().join("config"))
        .env("HELM_DATA_HOME", home.path().join("data"))
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output();
    let output = tokio::time::timeout(HELM, run)
        .await
        .with_context(|| format!("helm {} took longer than {HELM:?}", args.join(" ")))??;
    if !output.status.success() {
        bail!(
            "helm {}: {}",
            args.join(" "),
            String::from_utf8_lossy(&output.stderr).trim()
        );
    }
    Ok(String::from_utf8(output.stdout)?)
}

/// Renders a chart, CRDs included, its tests apart. `values` are `--set` arguments such as `crds.install=false`.
pub async fn template(
    chart: &Path,
    release: &str,
    namespace: &str,
    values: &[&str],
) -> Result<Vec<Value>> {
    let chart = chart.to_str().context("the chart's path is not UTF-8")?;
    let mut args = vec![
        "template",
        release,
        chart,
        "--namespace",
        namespace,
        "--include-crds",
        "--skip-tests",
    ];
    for value in values {
        args.extend(["--set", value]);
    }
    documents(&helm(&args).await?)
}

/// Renders a chart, its tests included, with a file of values or its defaults.
pub async fn render(
    chart: &Path,
    release: &str,
    namespace: &str,
    values: Option<&Path>,
) -> Result<Vec<Value>> {
    let chart = chart.to_str().context("the chart's path is not UTF-8")?;
    let mut args = vec!["template", release, chart, "--namespace", namespace];
    if let Some(values) = values {
        let values = values.to_str().context("the file's path is not UTF-8")?;
        args.extend(["--values", values]);
    }
    documents(&helm(&args).await?)
}

/// Applies a rendered chart, CRDs first, without its workloads: the operator runs as a real process beside it.
pub async fn install(cluster: &Cluster, namespace: &str, objects: &[Value]) -> Result<()> {
    let is_crd = |object: &&Value| object["kind"] == "CustomResourceDefinition";
    let crds = objects.iter().filter(is_crd);
    let others = objects
        .iter()
        .filter(|object| !is_crd(object))
        .filter(|object| !WORKLOADS.iter().any(|kind| object["kind"] == *kind));
    for object in crds.chain(others) {
        cluster.apply_one(namespace, object).await?;
    }
    Ok(())
}
