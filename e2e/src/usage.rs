//! Memory and CPU of a process, read from `/proc`.

use anyhow::{Context as _, Result};
use serde::Serialize;

/// A reading of one process.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Usage {
    /// Resident memory in KiB.
    pub rss_kib: u64,
    /// Proportional share of resident memory in KiB (shared pages divided among their users).
    pub pss_kib: u64,
    /// Highest resident memory so far in KiB.
    pub peak_rss_kib: u64,
    /// CPU time used so far, user and system, in seconds.
    pub cpu_seconds: f64,
    /// Threads.
    pub threads: u64,
}

impl Usage {
    /// Reads the process with this id. An error when it is gone.
    pub fn of(pid: u32) -> Result<Self> {
        let status = std::fs::read_to_string(format!("/proc/{pid}/status"))
            .with_context(|| format!("process {pid} is gone"))?;
        let rollup =
            std::fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).unwrap_or_default();
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"))?;
        Ok(Self {
            rss_kib: field(&status, "VmRSS:"),
            pss_kib: field(&rollup, "Pss:"),
            peak_rss_kib: field(&status, "VmHWM:"),
            cpu_seconds: cpu_seconds(&stat),
            threads: field(&status, "Threads:"),
        })
    }

    /// Sets the peak back to the present value, so that a later reading shows the peak of one phase.
    pub fn reset_peak(pid: u32) -> Result<()> {
        std::fs::write(format!("/proc/{pid}/clear_refs"), "5").context("resetting the peak")
    }
}

/// KiB as MiB, for people.
#[expect(clippy::cast_precision_loss, reason = "KiB far below 2^52")]
pub fn mib(kib: u64) -> f64 {
    kib as f64 / 1024.0
}

fn field(text: &str, name: &str) -> u64 {
    text.lines()
        .find_map(|line| line.strip_prefix(name))
        .and_then(|rest| rest.split_whitespace().next())
        .and_then(|number| number.parse().ok())
        .unwrap_or(0)
}

/// Fields 14 and 15 of `/proc/PID/stat`, counted after the name (which may hold spaces).
fn cpu_seconds(stat: &str) -> f64 {
    let Some((_, rest)) = stat.rsplit_once(')') else {
        return 0.0;
    };
    let ticks: u32 = rest
        .split_whitespace()
        .skip(11)
        .take(2)
        .filter_map(|n| n.parse::<u32>().ok())
        .sum();
    // USER_HZ is 100 on every Linux architecture Rust supports.
    f64::from(ticks) / 100.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_this_process() {
        let usage = Usage::of(std::process::id()).expect("this process runs");
        assert!(usage.rss_kib > 100, "{usage:?}");
        assert!(usage.threads >= 1);
    }

    #[test]
    fn cpu_time_is_read_after_a_name_with_spaces() {
        let stat = "42 (a b) c) S 1 2 3 4 5 6 7 8 9 10 150 50 0 0 20 0 1";
        assert!((cpu_seconds(stat) - 2.0).abs() < f64::EPSILON);
    }
}
