//! The three operators on a bed, each with exactly the rights and the arguments that its chart gives it.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use serde_json::Value;

use crate::bed::Bed;
use crate::charts;
use crate::operator::Operator;
use crate::process::Program;

/// One of the project's operators.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Which {
    /// GitOps.
    ArgoCdLite,
    /// Event sources, sensors, triggers.
    Events,
    /// Progressive delivery.
    Rollouts,
}

impl Which {
    /// All of them, in the order in which they are started.
    pub const ALL: [Self; 3] = [Self::Rollouts, Self::Events, Self::ArgoCdLite];

    /// Name of the crate, the binary and the chart.
    pub fn name(self) -> &'static str {
        match self {
            Self::ArgoCdLite => "argo-cd-lite",
            Self::Events => "events",
            Self::Rollouts => "rollouts",
        }
    }

    /// The namespace that users of the originals install it in.
    pub fn namespace(self) -> &'static str {
        match self {
            Self::ArgoCdLite => "argocd",
            Self::Events => "argo-events",
            Self::Rollouts => "argo-rollouts",
        }
    }

    /// The flags that name a port; the first one serves probes and metrics.
    fn port_flags(self) -> &'static [&'static str] {
        match self {
            Self::ArgoCdLite => &["--metrics-port", "--port"],
            Self::Events => &["--metrics-port", "--health-port"],
            Self::Rollouts => &["--metricsPort", "--healthzPort"],
        }
    }
}

/// How to start an operator.
#[derive(Debug, Clone, Default)]
pub struct Setup {
    /// Arguments after those of the chart.
    pub args: Vec<String>,
    /// Environment of the process.
    pub env: Vec<(String, String)>,
    /// `--set` values for the chart.
    pub values: Vec<String>,
    /// Distinguishes replicas of one operator on one bed, in log names.
    pub replica: Option<u32>,
    /// Leave the chart's objects as they are, because an earlier replica installed them.
    pub installed: bool,
}

/// An operator on a bed.
#[derive(Debug)]
pub struct Deployed {
    /// The process.
    pub operator: Operator,
    /// Which one it is.
    pub which: Which,
    /// `http://127.0.0.1:PORT` of its ports, in the order of the flags: metrics first.
    pub addresses: Vec<String>,
}

impl Deployed {
    /// Address of `/metrics`.
    pub fn metrics(&self) -> String {
        format!("{}/metrics", self.addresses[0])
    }

    /// Resident memory in KiB; `None` when it does not run.
    pub async fn resident_kib(&self) -> Option<u64> {
        Some(self.operator.part.usage().await?.rss_kib)
    }
}

/// Arguments for a short lease, so that a story with kills need not wait long for a successor. Long enough for the
/// pauses of a busy machine.
pub fn quick_lease() -> Vec<String> {
    [
        "--leader-election-lease-duration=8s",
        "--leader-election-renew-deadline=6s",
        "--leader-election-retry-period=1s",
    ]
    .map(str::to_owned)
    .to_vec()
}

/// Arguments for a long lease, for stories in which the API server stops: a leader that cannot renew within its
/// deadline ends by design, and a busy machine may need long to start the API server again.
pub fn patient_lease() -> Vec<String> {
    [
        "--leader-election-lease-duration=120s",
        "--leader-election-renew-deadline=100s",
    ]
    .map(str::to_owned)
    .to_vec()
}

/// The binary of an operator below cargo's target folder.
pub fn binary(which: Which, profile: &str) -> Result<PathBuf> {
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let target = std::env::var_os("CARGO_TARGET_DIR")
        .map_or_else(|| workspace.join("target"), PathBuf::from);
    let path = target.join(profile).join(which.name());
    if !path.exists() {
        bail!(
            "{} is not built: cargo build -p {} first",
            path.display(),
            which.name()
        );
    }
    Ok(path)
}

/// Installs the chart (CRDs, rights, services) and starts the binary with the chart's arguments and the token of
/// its service account. Ready when this returns.
pub async fn deploy(bed: &Bed, which: Which, binary: &Path, setup: &Setup) -> Result<Deployed> {
    let deployed = prepare(bed, which, binary, setup).await?;
    deployed.operator.start().await?;
    Ok(deployed)
}

/// As [`deploy`], without starting the process.
pub async fn prepare(bed: &Bed, which: Which, binary: &Path, setup: &Setup) -> Result<Deployed> {
    let cluster = bed.cluster()?;
    let namespace = which.namespace();
    let values: Vec<&str> = setup.values.iter().map(String::as_str).collect();
    let objects = charts::template(
        &charts::path(which.name()),
        which.name(),
        namespace,
        &values,
    )
    .await?;
    if !setup.installed {
        cluster.apply_namespace(namespace).await?;
        charts::install(cluster, namespace, &objects).await?;
    }
    let (account, chart_args) = workload(&objects)?;
    let kubeconfig = cluster
        .service_account_kubeconfig(namespace, &account)
        .await?;
    let mut args = without_ports(chart_args, which.port_flags());
    let mut addresses = Vec::new();
    for flag in which.port_flags() {
        let port = bed.free_port()?;
        args.push(format!("{flag}={port}"));
        addresses.push(format!("http://127.0.0.1:{port}"));
    }
    args.extend(setup.args.iter().cloned());
    let log = match setup.replica {
        Some(replica) => format!("{}-{replica}", which.name()),
        None => which.name().to_owned(),
    };
    let mut program = Program::new(log, binary)
        .clean_env()
        .args(args)
        .env("KUBECONFIG", kubeconfig.as_os_str());
    for (key, value) in &setup.env {
        program = program.env(key, value);
    }
    let health = format!("{}/readyz", addresses[0]);
    let operator = Operator::new(bed, program, Some(health))?;
    Ok(Deployed {
        operator,
        which,
        addresses,
    })
}

/// Service account and arguments of the chart's Deployment.
fn workload(objects: &[Value]) -> Result<(String, Vec<String>)> {
    let deployment = objects
        .iter()
        .find(|object| object["kind"] == "Deployment")
        .context("the chart has no Deployment")?;
    let pod = &deployment["spec"]["template"]["spec"];
    let account = pod["serviceAccountName"]
        .as_str()
        .context("the Deployment names no service account")?;
    let args = pod["containers"][0]["args"]
        .as_array()
        .context("the container has no arguments")?;
    let args = args
        .iter()
        .filter_map(Value::as_str)
        .map(str::to_owned)
        .collect();
    Ok((account.to_owned(), args))
}

/// The arguments without those that name a port: parallel beds need ports of their own.
fn without_ports(args: Vec<String>, flags: &[&str]) -> Vec<String> {
    let mut kept = Vec::new();
    let mut skip = false;
    for arg in args {
        let named = arg.split('=').next().unwrap_or_default();
        if std::mem::take(&mut skip) {
            continue;
        }
        if flags.contains(&named) {
            skip = !arg.contains('=');
            continue;
        }
        kept.push(arg);
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::without_ports;

    #[test]
    fn port_flags_are_left_out_in_both_spellings() {
        let args = [
            "controller",
            "--port=1",
            "--metrics-port",
            "2",
            "--loglevel",
            "info",
        ];
        let kept = without_ports(
            args.map(str::to_owned).to_vec(),
            &["--port", "--metrics-port"],
        );
        assert_eq!(kept, ["controller", "--loglevel", "info"]);
    }
}
