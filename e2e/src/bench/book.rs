//! Results as they are kept in JSON.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context as _, Result};
use serde::{Deserialize, Serialize};

pub use super::latency::Latency;
pub use super::machine::Machine;
pub use super::requests::Requests;
pub use super::sampler::Memory;

/// The latest run of every scenario.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Book {
    /// What the reader should know besides, such as other work on the machine.
    #[serde(default)]
    pub remark: String,
    /// By the scenario's name.
    pub runs: BTreeMap<String, Run>,
}

/// One scenario, run with one or more engines on one machine.
#[derive(Debug, Serialize, Deserialize)]
pub struct Run {
    /// When, in UTC.
    pub date: String,
    /// The command line.
    pub command: String,
    /// Of the project; a `+` marks changes that were not committed.
    pub commit: String,
    /// `release` or `debug`.
    pub profile: String,
    /// Where.
    pub machine: Machine,
    /// The real parts under test.
    pub versions: BTreeMap<String, String>,
    /// What was measured, engine by engine.
    pub measurements: Vec<Measurement>,
}

/// One load on one engine.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Measurement {
    /// Which load, such as `rollouts-update`; goals are found by it.
    pub case: String,
    /// The load in words.
    pub title: String,
    /// On whom.
    pub engine: String,
    /// Objects or events of the load.
    pub objects: u64,
    /// How many of them reached their state before the deadline.
    pub done: u64,
    /// From the first request of the load until the last object was there.
    pub seconds: f64,
    /// Memory before the load, settled, with no object of the load.
    pub idle: Memory,
    /// The largest memory during the load.
    pub peak: Memory,
    /// Memory after the load, settled.
    pub after: Memory,
    /// CPU seconds during the load.
    pub cpu_seconds: f64,
    /// CPU seconds of programs that the engine started, such as helm; a part of `cpu_seconds`.
    #[serde(default)]
    pub program_cpu_seconds: f64,
    /// Renders that took work, by the engine's own count. None when it exports no count.
    #[serde(default)]
    pub renders: Option<u64>,
    /// CPU seconds that a bare client needs for the requests to the measured service that are part of the load. None where
    /// there are none.
    #[serde(default)]
    pub bare_cpu_seconds: Option<f64>,
    /// CPU seconds of the bed's own processes (API server, etcd, controller manager and so on) during the load.
    #[serde(default)]
    pub bed_cpu_seconds: f64,
    /// The same for each of them by name; `bench` is the process that makes the load and is its target.
    #[serde(default)]
    pub parts_cpu_seconds: BTreeMap<String, f64>,
    /// Requests by the engine's own count, without watches. None when it exports no count.
    pub requests: Option<Requests>,
    /// Requests of everybody (controller manager, scheduler and kwok included), without watches and the load's own.
    pub apiserver_requests: u64,
    /// Time per object or event.
    pub latency: Option<Latency>,
    /// For a load of events.
    pub stream: Option<Stream>,
}

impl Measurement {
    /// Whether everything reached its state.
    pub fn complete(&self) -> bool {
        self.done == self.objects
    }

    /// The engine's own requests per object.
    #[expect(clippy::cast_precision_loss, reason = "counts far below 2^52")]
    pub fn requests_per_object(&self) -> Option<f64> {
        let total = self.requests.as_ref()?.total();
        (self.objects > 0).then(|| total as f64 / self.objects as f64)
    }

    /// The engine's own requests per object that change something.
    #[expect(clippy::cast_precision_loss, reason = "counts far below 2^52")]
    pub fn writes_per_object(&self) -> Option<f64> {
        let writes = self.requests.as_ref()?.writes();
        (self.objects > 0).then(|| writes as f64 / self.objects as f64)
    }

    /// Changes of objects by the engine, without Events and its lease.
    pub fn object_writes(&self) -> Option<u64> {
        Some(self.requests.as_ref()?.of_objects().total())
    }

    /// The engine's CPU for each object, in milliseconds.
    #[expect(clippy::cast_precision_loss, reason = "counts far below 2^52")]
    pub fn cpu_millis_per_object(&self) -> f64 {
        self.cpu_seconds * 1000.0 / self.objects.max(1) as f64
    }

    /// The engine's own part of its CPU, in percent; the rest is that of programs that it started.
    pub fn own_percent(&self) -> f64 {
        if self.cpu_seconds > 0.0 {
            100.0 - self.program_cpu_seconds / self.cpu_seconds * 100.0
        } else {
            0.0
        }
    }

    /// As [`Measurement::object_writes`], per object.
    #[expect(clippy::cast_precision_loss, reason = "counts far below 2^52")]
    pub fn object_writes_per_object(&self) -> Option<f64> {
        let writes = self.object_writes()?;
        (self.objects > 0).then(|| writes as f64 / self.objects as f64)
    }

    /// The engine's CPU during the load, in percent of one core.
    pub fn cpu_percent(&self) -> f64 {
        self.percent(self.cpu_seconds)
    }

    /// As [`Measurement::cpu_percent`], without what a bare client needs for the requests that are part of the load.
    pub fn own_cpu_percent(&self) -> f64 {
        self.percent(self.cpu_seconds - self.bare_cpu_seconds.unwrap_or_default())
    }

    /// So many CPU seconds during the load, in percent of one core.
    pub(super) fn percent(&self, cpu_seconds: f64) -> f64 {
        if self.seconds > 0.0 {
            cpu_seconds / self.seconds * 100.0
        } else {
            0.0
        }
    }

    /// Everybody's requests per object.
    #[expect(clippy::cast_precision_loss, reason = "counts far below 2^52")]
    pub fn apiserver_requests_per_object(&self) -> f64 {
        self.apiserver_requests as f64 / self.objects.max(1) as f64
    }
}

/// What became of a stream of events.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Stream {
    /// Requests sent to the webhook.
    pub sent: u64,
    /// Requests it answered with success.
    pub accepted: u64,
    /// Different events that arrived at the trigger's target.
    pub arrived: u64,
    /// Accepted and never arrived.
    pub lost: u64,
    /// Arrived more than once.
    pub doubled: u64,
    /// Accepted per second, from the first request to the last answer.
    pub accepted_per_second: f64,
    /// Arrived per second, from the first request to the last arrival.
    pub arrived_per_second: f64,
}

impl Book {
    /// Reads the book; an empty one when there is no file yet.
    pub fn read(path: &Path) -> Result<Self> {
        match std::fs::read_to_string(path) {
            Ok(text) => serde_json::from_str(&text)
                .with_context(|| format!("{} is not a book of measurements", path.display())),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Self::default()),
            Err(error) => Err(error).with_context(|| format!("reading {}", path.display())),
        }
    }

    /// Writes the book.
    pub fn write(&self, path: &Path) -> Result<()> {
        let mut text = serde_json::to_string_pretty(self)?;
        text.push('\n');
        std::fs::write(path, text).with_context(|| format!("writing {}", path.display()))
    }
}
