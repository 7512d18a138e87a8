//! Metrics of the process itself, read from `/proc` when Prometheus asks.

use std::fs;

use prometheus::{
    Counter, Gauge, Opts,
    core::{Collector, Desc},
    proto::MetricFamily,
};

/// Kernel ticks per second; Linux has reported 100 to programs on every common platform for decades.
const TICKS_PER_SECOND: f64 = 100.0;
/// `/proc/self/status` counts in units of 1024 bytes, whatever the size of a page is.
const STATUS_UNIT: f64 = 1024.0;

/// The metrics that client_golang gives every process, under its names.
pub struct ProcessCollector {
    resident: Gauge,
    virtual_memory: Gauge,
    open_files: Gauge,
    started: Gauge,
    cpu: Counter,
}

impl ProcessCollector {
    /// The collector, not yet registered.
    pub fn new() -> Result<Self, prometheus::Error> {
        let gauge = |name: &str, help: &str| Gauge::with_opts(Opts::new(name, help));
        Ok(Self {
            resident: gauge(
                "process_resident_memory_bytes",
                "Resident memory size in bytes.",
            )?,
            virtual_memory: gauge(
                "process_virtual_memory_bytes",
                "Virtual memory size in bytes.",
            )?,
            open_files: gauge("process_open_fds", "Number of open file descriptors.")?,
            started: gauge(
                "process_start_time_seconds",
                "Start time of the process since unix epoch in seconds.",
            )?,
            cpu: Counter::with_opts(Opts::new(
                "process_cpu_seconds_total",
                "Total user and system CPU time spent in seconds.",
            ))?,
        })
    }

    fn collectors(&self) -> [&dyn Collector; 5] {
        [
            &self.resident,
            &self.virtual_memory,
            &self.open_files,
            &self.started,
            &self.cpu,
        ]
    }

    fn read(&self) {
        let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
        for (name, gauge) in [
            ("VmRSS:", &self.resident),
            ("VmSize:", &self.virtual_memory),
        ] {
            if let Some(value) = line(&status, name) {
                gauge.set(value * STATUS_UNIT);
            }
        }
        if let Ok(files) = fs::read_dir("/proc/self/fd") {
            // The folder itself is open while it is read.
            let count = u32::try_from(files.count().saturating_sub(1)).unwrap_or(u32::MAX);
            self.open_files.set(f64::from(count));
        }
        let stat = fs::read_to_string("/proc/self/stat").unwrap_or_default();
        if let (Some(user), Some(system)) = (stat_field(&stat, 14), stat_field(&stat, 15)) {
            let spent = (user + system) / TICKS_PER_SECOND;
            self.cpu.inc_by((spent - self.cpu.get()).max(0.0));
        }
        let machine = fs::read_to_string("/proc/stat").unwrap_or_default();
        if let (Some(boot), Some(start)) = (line(&machine, "btime"), stat_field(&stat, 22)) {
            self.started.set(boot + start / TICKS_PER_SECOND);
        }
    }
}

impl Collector for ProcessCollector {
    fn desc(&self) -> Vec<&Desc> {
        let all = self.collectors().into_iter();
        all.flat_map(Collector::desc).collect()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        self.read();
        let all = self.collectors().into_iter();
        all.flat_map(Collector::collect).collect()
    }
}

/// The number behind `name` in text of which each line begins with a name.
fn line(text: &str, name: &str) -> Option<f64> {
    let mut words = text
        .lines()
        .map(str::split_whitespace)
        .find_map(|mut words| (words.next() == Some(name)).then_some(words))?;
    words.next()?.parse().ok()
}

/// Field `number` (counted from 1, as in proc(5)) of `/proc/self/stat`. The second field is the name in
/// parentheses and may hold blanks.
fn stat_field(stat: &str, number: usize) -> Option<f64> {
    let after_name = &stat[stat.rfind(')')? + 1..];
    after_name.split_whitespace().nth(number - 3)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_process_says_what_it_needs() {
        let collector = ProcessCollector::new().expect("metrics");
        let families = collector.collect();
        let names: Vec<_> = families.iter().map(MetricFamily::name).collect();
        assert!(names.contains(&"process_open_fds"), "{names:?}");
        // A test needs at least a megabyte and less than all of it, and began after the turn of the century.
        let resident = collector.resident.get();
        assert!((1e6..1e11).contains(&resident), "{resident}");
        assert!(collector.virtual_memory.get() >= resident);
        assert!(collector.open_files.get() >= 3.0);
        assert!(collector.started.get() > 1e9, "{}", collector.started.get());
    }

    #[test]
    fn a_name_with_blanks_and_brackets_does_not_shift_the_fields() {
        let stat = "7 (a ) b) S 1 7 7 0 -1 4194560 100 0 0 0 12 34 0 0";
        assert_eq!(stat_field(stat, 14), Some(12.0));
        assert_eq!(stat_field(stat, 15), Some(34.0));
    }
}
