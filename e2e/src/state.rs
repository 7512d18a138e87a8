//! What a running `bed` leaves for other commands to find: a small file per name, gone when the bed is.

use std::collections::BTreeMap;
use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use serde::{Deserialize, Serialize};

use crate::bed::Bed;

/// One process of a bed.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct PartState {
    /// Its name.
    pub name: String,
    /// Its process id when the bed came up.
    pub pid: Option<u32>,
    /// Its log file.
    pub log: PathBuf,
}

/// A running bed as others see it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct State {
    /// The bed's name.
    pub name: String,
    /// The process that owns the bed; ending it ends the bed.
    pub pid: u32,
    /// Whether it runs in a network namespace of its own.
    pub isolated: bool,
    /// Variables for other programs.
    pub env: BTreeMap<String, String>,
    /// Its processes.
    pub parts: Vec<PartState>,
}

impl State {
    /// Describes a running bed.
    pub async fn of(name: &str, bed: &Bed) -> Self {
        let mut parts = Vec::new();
        for part in bed.parts() {
            parts.push(PartState {
                name: part.name().to_owned(),
                pid: part.pid().await,
                log: part.log().to_owned(),
            });
        }
        let mut env = bed.env();
        env.insert("BED_NAME".to_owned(), name.to_owned());
        let isolated = crate::isolated::inside();
        Self {
            name: name.to_owned(),
            pid: std::process::id(),
            isolated,
            env,
            parts,
        }
    }

    /// Reads the bed of this name. None when there is none, or its process has ended.
    pub fn read(name: &str) -> Result<Option<Self>> {
        let path = file(name)?;
        let Ok(text) = std::fs::read(&path) else {
            return Ok(None);
        };
        let state: Self =
            serde_json::from_slice(&text).with_context(|| format!("reading {}", path.display()))?;
        if state.is_alive() {
            return Ok(Some(state));
        }
        // Its process was killed; nobody else removes the file.
        let _gone_already = std::fs::remove_file(&path);
        Ok(None)
    }

    /// Writes the file; it is removed when the returned value is dropped.
    pub fn publish(&self) -> Result<Published> {
        let path = file(&self.name)?;
        let partial = path.with_extension("partial");
        std::fs::write(&partial, serde_json::to_vec_pretty(self)?)?;
        std::fs::rename(&partial, &path)?;
        Ok(Published(path))
    }

    /// Whether the owning process still runs.
    pub fn is_alive(&self) -> bool {
        Path::new("/proc").join(self.pid.to_string()).is_dir()
    }
}

/// The state file of a bed that runs.
#[derive(Debug)]
pub struct Published(PathBuf);

impl Drop for Published {
    fn drop(&mut self) {
        let _gone_already = std::fs::remove_file(&self.0);
    }
}

/// Where the output of a detached bed goes.
pub fn log_file(name: &str) -> Result<PathBuf> {
    Ok(file(name)?.with_extension("log"))
}

fn file(name: &str) -> Result<PathBuf> {
    let runtime = std::env::var_os("XDG_RUNTIME_DIR")
        .map(PathBuf::from)
        .filter(|dir| dir.is_dir());
    let dir = runtime
        .unwrap_or_else(std::env::temp_dir)
        .join(format!("argo-lite-beds-{}", crate::isolated::user()));
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(&dir)
        .context("folder of running beds")?;
    Ok(dir.join(format!("{name}.json")))
}
