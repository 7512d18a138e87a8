//! The project's operators as processes of a bed: built by cargo, started with any flags, killed, measured.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use tokio::process::Command;

use crate::bed::Bed;
use crate::control_plane::answers;
use crate::process::{Part, Program, until_ready};

/// Longest start of an operator, caches synced.
const READY: Duration = Duration::from_mins(1);

/// How cargo builds a binary.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Profile {
    /// What tests use.
    Debug,
    /// What the demo and measurements use.
    Release,
}

/// Builds a binary of the workspace (quick when nothing changed) and returns its path.
pub async fn build(package: &str, profile: Profile) -> Result<PathBuf> {
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command
        .args(["build", "--quiet", "--package", package, "--bin", package])
        .args(["--message-format", "json-render-diagnostics"])
        .current_dir(workspace)
        .kill_on_drop(true);
    if profile == Profile::Release {
        command.arg("--release");
    }
    let output = command.output().await.context("starting cargo")?;
    if !output.status.success() {
        bail!(
            "building {package}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
    }
    let artifacts = String::from_utf8(output.stdout)?;
    artifacts
        .lines()
        .filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok())
        .filter(|message| message["target"]["name"] == package)
        .find_map(|message| message["executable"].as_str().map(PathBuf::from))
        .with_context(|| format!("cargo named no executable of {package}"))
}

/// An operator's process.
#[derive(Debug)]
pub struct Operator {
    /// The process; start, stop, kill and measure it here.
    pub part: Part,
    health: Option<String>,
}

impl Operator {
    /// Prepares an operator without starting it. `health` is the address that answers when it is ready, such as
    /// `http://127.0.0.1:8080/readyz`.
    pub fn new(bed: &Bed, program: Program, health: Option<String>) -> Result<Self> {
        Ok(Self {
            part: bed.part(program)?,
            health,
        })
    }

    /// Starts the process and returns when it is ready.
    pub async fn start(&self) -> Result<()> {
        self.part.start().await?;
        self.until_ready().await
    }

    /// Kills it with SIGKILL, starts it again and returns when it is ready.
    pub async fn kill_and_restart(&self) -> Result<()> {
        self.part.kill().await?;
        self.start().await
    }

    /// Returns when the operator says that it is ready; at once when it has no such address.
    pub async fn until_ready(&self) -> Result<()> {
        match &self.health {
            Some(url) => until_ready(&self.part, READY, || answers(url)).await,
            None => self.part.check().await,
        }
    }
}
