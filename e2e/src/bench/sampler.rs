//! Memory and CPU of an engine: its processes with all their descendants, read from `/proc`.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::{Result, anyhow};
use serde::{Deserialize, Serialize};

use crate::usage::Usage;

/// Distance of the samples.
const EVERY: Duration = Duration::from_millis(100);
/// Memory counts as settled when it stayed within one percent for this many readings ...
const CALM_READINGS: usize = 6;
/// ... that lie so far apart.
const CALM_EVERY: Duration = Duration::from_millis(500);
/// Longest wait for memory to settle.
const CALM_WITHIN: Duration = Duration::from_secs(20);
/// `USER_HZ` on every Linux architecture Rust supports.
const TICKS_PER_SECOND: f64 = 100.0;

/// Memory in KiB.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Memory {
    /// Resident.
    pub rss_kib: u64,
    /// Proportional share of resident memory.
    pub pss_kib: u64,
}

/// One reading of all processes of an engine.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Reading {
    pub(crate) memory: Memory,
    /// User and system time so far, ended children included.
    pub(crate) cpu_seconds: f64,
    /// The part of it that these processes used themselves, without what they started.
    pub(crate) own_cpu_seconds: f64,
    pub(crate) threads: u64,
}

impl Reading {
    /// Reads these processes and everything they started. An error when one of `pids` is gone.
    pub(crate) fn of(pids: &[u32]) -> Result<Self> {
        let mut sum = Self::default();
        for pid in pids {
            let own = Usage::of(*pid)?;
            sum.own_cpu_seconds += own.cpu_seconds;
            sum.add(*pid, &own);
            for child in descendants(*pid) {
                // A child may end between the listing and the reading.
                if let Ok(usage) = Usage::of(child) {
                    sum.add(child, &usage);
                }
            }
        }
        Ok(sum)
    }

    fn add(&mut self, pid: u32, usage: &Usage) {
        self.memory.rss_kib += usage.rss_kib;
        self.memory.pss_kib += usage.pss_kib;
        self.cpu_seconds += usage.cpu_seconds + ended_children(pid);
        self.threads += usage.threads;
    }
}

/// CPU seconds of children that ended and were waited for: fields 16 and 17 of `/proc/PID/stat`.
fn ended_children(pid: u32) -> f64 {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let Some((_, rest)) = stat.rsplit_once(')') else {
        return 0.0;
    };
    let ticks: u32 = rest
        .split_whitespace()
        .skip(13)
        .take(2)
        .flat_map(str::parse::<u32>)
        .sum();
    f64::from(ticks) / TICKS_PER_SECOND
}

fn descendants(pid: u32) -> Vec<u32> {
    let mut found = Vec::new();
    let mut open = vec![pid];
    while let Some(pid) = open.pop() {
        let Ok(threads) = std::fs::read_dir(format!("/proc/{pid}/task")) else {
            continue;
        };
        for thread in threads.flatten() {
            let children = std::fs::read_to_string(thread.path().join("children"));
            for child in children
                .unwrap_or_default()
                .split_whitespace()
                .flat_map(str::parse)
            {
                found.push(child);
                open.push(child);
            }
        }
    }
    found
}

/// What a sampler saw.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Series {
    /// The largest readings; the resident peak is the kernel's own high-water mark where that is larger.
    pub(crate) peak: Memory,
    /// CPU seconds spent between start and end.
    pub(crate) cpu_seconds: f64,
    /// Those of programs that the engine started.
    pub(crate) program_cpu_seconds: f64,
}

/// Reads an engine every 100 ms in a thread of its own, so that a busy load generator does not delay it.
#[derive(Debug)]
pub(crate) struct Sampler {
    pids: Vec<u32>,
    started: Reading,
    stop: Arc<AtomicBool>,
    thread: JoinHandle<Memory>,
}

impl Sampler {
    /// Begins. The kernel's high-water marks are set back.
    pub(crate) fn start(pids: &[u32]) -> Result<Self> {
        for pid in pids {
            Usage::reset_peak(*pid)?;
        }
        let started = Reading::of(pids)?;
        let stop = Arc::new(AtomicBool::new(false));
        let (until, watched) = (Arc::clone(&stop), pids.to_vec());
        let thread = std::thread::Builder::new()
            .name("sampler".to_owned())
            .spawn(move || {
                let mut peak = Memory::default();
                while !until.load(Ordering::Relaxed) {
                    if let Ok(reading) = Reading::of(&watched) {
                        peak.rss_kib = peak.rss_kib.max(reading.memory.rss_kib);
                        peak.pss_kib = peak.pss_kib.max(reading.memory.pss_kib);
                    }
                    std::thread::sleep(EVERY);
                }
                peak
            })?;
        Ok(Self {
            pids: pids.to_vec(),
            started,
            stop,
            thread,
        })
    }

    /// Ends. An error when the engine is gone.
    pub(crate) fn finish(self) -> Result<Series> {
        self.stop.store(true, Ordering::Relaxed);
        let mut peak = self
            .thread
            .join()
            .map_err(|_| anyhow!("the sampler's thread ended"))?;
        let ended = Reading::of(&self.pids)?;
        let mut high_water = 0;
        for pid in &self.pids {
            high_water += Usage::of(*pid)?.peak_rss_kib;
        }
        peak.rss_kib = peak.rss_kib.max(high_water);
        let cpu_seconds = ended.cpu_seconds - self.started.cpu_seconds;
        let own = ended.own_cpu_seconds - self.started.own_cpu_seconds;
        Ok(Series {
            peak,
            cpu_seconds,
            // Both are read in ticks, one after the other.
            program_cpu_seconds: (cpu_seconds - own).max(0.0),
        })
    }
}

/// Waits until the memory of these processes stays within one percent for three seconds, at most twenty, and gives
/// the last reading.
pub(crate) async fn settled(pids: &[u32]) -> Result<Reading> {
    let began = tokio::time::Instant::now();
    let mut last: Vec<u64> = Vec::new();
    loop {
        let reading = Reading::of(pids)?;
        last.push(reading.memory.rss_kib);
        if last.len() > CALM_READINGS {
            last.remove(0);
        }
        let (low, high) = (last.iter().min().copied(), last.iter().max().copied());
        let calm = matches!((low, high), (Some(low), Some(high)) if (high - low) * 100 <= high);
        if (last.len() == CALM_READINGS && calm) || began.elapsed() > CALM_WITHIN {
            return Ok(reading);
        }
        tokio::time::sleep(CALM_EVERY).await;
    }
}

#[cfg(test)]
mod tests {
    use std::process::{Command, Stdio};

    use super::*;

    #[test]
    fn a_tree_of_processes_is_summed() {
        let mut child = Command::new("sh")
            .args(["-c", "sleep 60 & wait"])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let began = std::time::Instant::now();
        while descendants(child.id()).is_empty() && began.elapsed() < Duration::from_secs(10) {
            std::thread::yield_now();
        }
        let grandchildren = descendants(child.id());
        assert_eq!(grandchildren.len(), 1);
        let alone = Usage::of(child.id()).unwrap();
        let tree = Reading::of(&[child.id()]).unwrap();
        assert!(tree.threads > alone.threads, "{tree:?}");
        for pid in &grandchildren {
            let _ = Command::new("kill").arg(pid.to_string()).status();
        }
        child.wait().unwrap();
        assert!(
            Reading::of(&[child.id()]).is_err(),
            "a process that is gone is an error"
        );
    }
}
