//! Where and with what a measurement was made.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context as _, Result};
use serde::{Deserialize, Serialize};
use tokio::process::Command;

use crate::tools::{Binaries, Tool};

/// The machine, from `/proc`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Machine {
    /// Logical processors.
    pub cores: usize,
    /// Their model.
    pub cpu: String,
    /// Memory in MiB.
    pub memory_mib: u64,
    /// Kernel release.
    pub kernel: String,
    /// Load average over the minute before; far above zero means that other work shared the machine.
    pub load_average: Option<f64>,
    /// How the scheduler was set to prefer bed, engine and load to other work; empty when it was not.
    #[serde(default)]
    pub preferred: String,
}

/// This machine.
pub(crate) fn facts() -> Result<Machine> {
    let read = |path: &str| std::fs::read_to_string(path).with_context(|| path.to_owned());
    let cpuinfo = read("/proc/cpuinfo")?;
    let meminfo = read("/proc/meminfo")?;
    let value = |text: &str, name: &str| {
        let line = text.lines().find(|line| line.starts_with(name))?;
        Some(line.split_once(':')?.1.trim().to_owned())
    };
    let memory_kib = value(&meminfo, "MemTotal")
        .and_then(|text| text.split_whitespace().next()?.parse::<u64>().ok())
        .context("/proc/meminfo names no MemTotal")?;
    Ok(Machine {
        cores: std::thread::available_parallelism()?.get(),
        cpu: value(&cpuinfo, "model name").unwrap_or_else(|| "unknown".to_owned()),
        memory_mib: memory_kib / 1024,
        kernel: read("/proc/sys/kernel/osrelease")?.trim().to_owned(),
        load_average: read("/proc/loadavg")?
            .split_whitespace()
            .next()
            .and_then(|number| number.parse().ok()),
        preferred: preferred(),
    })
}

/// Real-time policy or a negative nice value of this program, which everything that it starts inherits.
fn preferred() -> String {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    // Counted after the name, which may hold spaces: nice is field 19, the policy field 41.
    let fields: Vec<&str> = stat
        .rsplit_once(')')
        .map(|(_, rest)| rest.split_whitespace().collect())
        .unwrap_or_default();
    let number = |position: usize| {
        fields
            .get(position)
            .and_then(|text| text.parse::<i32>().ok())
    };
    if matches!(number(38), Some(1 | 2)) {
        return "real-time priority".to_owned();
    }
    let group = std::fs::read_to_string("/proc/self/autogroup").ok();
    let group = group.and_then(|text| text.split_whitespace().last()?.parse::<i32>().ok());
    match group.or(number(16)) {
        Some(nice) if nice < 0 => format!("nice {nice}"),
        _ => String::new(),
    }
}

/// `release` or `debug`: how this program was built; by default it takes operators of the same kind.
pub fn profile() -> &'static str {
    if cfg!(debug_assertions) {
        "debug"
    } else {
        "release"
    }
}

/// Date and time in UTC, to the minute.
#[expect(
    clippy::disallowed_methods,
    reason = "the real time is what a page of results tells"
)]
pub(crate) fn date() -> String {
    jiff::Timestamp::now()
        .strftime("%Y-%m-%d %H:%M UTC")
        .to_string()
}

/// The commit of the working tree; a `+` says that it has changes that were not committed.
pub(crate) async fn commit() -> String {
    let git = |args: &'static [&'static str]| async move {
        let dir = Path::new(env!("CARGO_MANIFEST_DIR"));
        let output = Command::new("git")
            .args(args)
            .current_dir(dir)
            .output()
            .await
            .ok()?;
        output
            .status
            .success()
            .then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
    };
    let Some(commit) = git(&["rev-parse", "--short=12", "HEAD"]).await else {
        return "unknown".to_owned();
    };
    let changes = git(&["status", "--porcelain", "--", "../crates", "src"]).await;
    if changes.is_some_and(|changes| !changes.is_empty()) {
        format!("{commit}+")
    } else {
        commit
    }
}

/// Versions of the real parts, as they say themselves.
pub(crate) async fn versions(binaries: &Binaries) -> BTreeMap<String, String> {
    let mut versions = BTreeMap::new();
    for tool in [
        Tool::KubeApiserver,
        Tool::Etcd,
        Tool::Kwok,
        Tool::NatsServer,
    ] {
        if let Ok(path) = binaries.path(tool) {
            versions.insert(tool.name().to_owned(), version(path).await);
        }
    }
    versions.insert("git".to_owned(), version(Path::new("git")).await);
    versions
}

/// The first word of the first line of `--version` that begins with a digit or `v` and a digit.
async fn version(path: &Path) -> String {
    let output = Command::new(path).arg("--version").output().await;
    let text = output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned());
    first_version(&text.unwrap_or_default()).unwrap_or_else(|| "unknown".to_owned())
}

fn first_version(text: &str) -> Option<String> {
    let begins = |word: &&str| {
        let bare = word.strip_prefix('v').unwrap_or(word);
        bare.starts_with(|first: char| first.is_ascii_digit())
    };
    text.lines()
        .next()?
        .split_whitespace()
        .find(begins)
        .map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_found_in_what_programs_print() {
        assert_eq!(
            first_version("etcd Version: 3.6.5\nGit SHA: x").as_deref(),
            Some("3.6.5")
        );
        assert_eq!(
            first_version("Kubernetes v1.36.3").as_deref(),
            Some("v1.36.3")
        );
        assert_eq!(
            first_version("nats-server: v2.12.1").as_deref(),
            Some("v2.12.1")
        );
        assert_eq!(first_version(""), None);
    }

    #[test]
    fn this_machine_has_cores_and_memory() {
        let machine = facts().unwrap();
        assert!(machine.cores > 0 && machine.memory_mib > 0, "{machine:?}");
    }
}
