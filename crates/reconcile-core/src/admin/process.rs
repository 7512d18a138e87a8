//! Metrics of the process itself, read from `/proc` when Prometheus asks.

use prometheus::{
    Gauge, Opts,
    core::{Collector, Desc},
    proto::MetricFamily,
};

/// Kernel ticks per second; Linux has reported 100 to programs on every common platform for decades.
const TICKS_PER_SECOND: f64 = 100.0;
/// Size of a memory page on the platforms that images are built for.
const PAGE_BYTES: f64 = 4096.0;

/// `process_resident_memory_bytes` and `process_cpu_seconds_total`, as client_golang names them.
pub struct ProcessCollector {
    resident: Gauge,
    cpu: Gauge,
}

impl ProcessCollector {
    /// The collector, not yet registered.
    pub fn new() -> Result<Self, prometheus::Error> {
        Ok(Self {
            resident: Gauge::with_opts(Opts::new(
                "process_resident_memory_bytes",
                "Resident memory size in bytes.",
            ))?,
            cpu: Gauge::with_opts(Opts::new(
                "process_cpu_seconds_total",
                "Total user and system CPU time spent in seconds.",
            ))?,
        })
    }
}

impl Collector for ProcessCollector {
    fn desc(&self) -> Vec<&Desc> {
        self.resident
            .desc()
            .into_iter()
            .chain(self.cpu.desc())
            .collect()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        if let Some(pages) = field("/proc/self/statm", 1) {
            self.resident.set(pages * PAGE_BYTES);
        }
        if let (Some(user), Some(system)) = (stat_field(14), stat_field(15)) {
            self.cpu.set((user + system) / TICKS_PER_SECOND);
        }
        self.resident
            .collect()
            .into_iter()
            .chain(self.cpu.collect())
            .collect()
    }
}

fn field(path: &str, index: usize) -> Option<f64> {
    std::fs::read_to_string(path)
        .ok()?
        .split_whitespace()
        .nth(index)?
        .parse()
        .ok()
}

/// Field `number` (counted from 1, as in proc(5)) of `/proc/self/stat`. The second field is the name in
/// parentheses and may hold blanks.
fn stat_field(number: usize) -> Option<f64> {
    let text = std::fs::read_to_string("/proc/self/stat").ok()?;
    let after_name = &text[text.rfind(')')? + 1..];
    after_name.split_whitespace().nth(number - 3)?.parse().ok()
}
