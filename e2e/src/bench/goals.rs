//! What is to be reached, and what the originals were measured to need.

use super::book::Measurement;

/// What a goal is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Measure {
    /// Seconds to done.
    Seconds,
    /// Resident memory before the load, in MiB.
    IdleMib,
    /// Resident memory at its peak, in MiB.
    PeakMib,
    /// The 99th percentile of the delay, in milliseconds.
    P99Millis,
    /// Writes to the API server per object, Events included.
    Writes,
    /// CPU of the engine beside the bare requests of the load, in percent of one core.
    CpuPercent,
    /// CPU of the engine, in seconds.
    CpuSeconds,
    /// CPU of the engine per object, in milliseconds.
    CpuMillis,
    /// The part of its CPU that is not that of programs which it started, in percent.
    OwnPercent,
    /// Renders that took work, in all.
    Renders,
    /// Changes of objects, Events and the engine's lease left out.
    ObjectWrites,
    /// Events accepted by the webhook in a second; more is better.
    AcceptedPerSecond,
    /// Events, or sets of them, that arrived at the target in a second; more is better.
    ArrivedPerSecond,
}

impl Measure {
    /// All of them, in the order of the summary.
    pub(super) const ALL: [Self; 13] = [
        Self::Seconds,
        Self::P99Millis,
        Self::PeakMib,
        Self::IdleMib,
        Self::Writes,
        Self::ObjectWrites,
        Self::Renders,
        Self::CpuPercent,
        Self::CpuSeconds,
        Self::CpuMillis,
        Self::OwnPercent,
        Self::AcceptedPerSecond,
        Self::ArrivedPerSecond,
    ];

    /// Whether a goal is the least that counts as reached, and not the most.
    pub(super) fn is_floor(self) -> bool {
        matches!(self, Self::AcceptedPerSecond | Self::ArrivedPerSecond)
    }
}

/// A limit that a case must not exceed, or must reach where more is better.
#[derive(Debug, Clone, Copy)]
pub(super) struct Goal {
    case: &'static str,
    /// Objects of the load for which the limit was set; another load is not judged.
    objects: u64,
    pub(super) measure: Measure,
    pub(super) limit: f64,
}

impl Goal {
    /// Whether a figure is within it.
    pub(super) fn is_reached(self, value: f64) -> bool {
        if self.measure.is_floor() {
            value >= self.limit
        } else {
            value <= self.limit
        }
    }
}

/// The limits; set for a machine of two cores.
const GOALS: [Goal; 47] = [
    goal("gitops", 1000, Measure::Seconds, 60.0),
    goal("gitops", 1000, Measure::PeakMib, 80.0),
    goal("gitops", 1000, Measure::IdleMib, 15.0),
    goal("gitops-restart", 1000, Measure::Seconds, 5.0),
    goal("gitops-restart", 1000, Measure::ObjectWrites, 0.0),
    // Ten times what a thousand need (5.2 s and 2.2 s of CPU), and a fifth more.
    goal("scale", 10_000, Measure::Seconds, 62.0),
    goal("scale", 10_000, Measure::CpuSeconds, 26.4),
    goal("scale", 10_000, Measure::PeakMib, 150.0),
    goal("scale-idle", 10_000, Measure::CpuPercent, 1.0),
    goal("scale-churn", 10_000, Measure::CpuPercent, 1.0),
    goal("scale", 50_000, Measure::PeakMib, 1228.8),
    goal("monorepo-one", 20, Measure::P99Millis, 300.0),
    goal("monorepo-one", 20, Measure::Renders, 20.0),
    goal("monorepo-one", 20, Measure::CpuMillis, 500.0),
    goal("monorepo-none", 20, Measure::Renders, 0.0),
    goal("helm", 200, Measure::OwnPercent, 50.0),
    goal("helm-restart", 200, Measure::Seconds, 5.0),
    goal("helm-restart", 200, Measure::Renders, 0.0),
    goal("kustomize", 200, Measure::OwnPercent, 50.0),
    goal("kustomize-restart", 200, Measure::Seconds, 5.0),
    goal("kustomize-restart", 200, Measure::Renders, 0.0),
    goal("drift", 200, Measure::P99Millis, 100.0),
    goal("large", 10_000, Measure::PeakMib, 200.0),
    goal("waves-10", 1, Measure::Seconds, 5.0),
    goal("waves-10", 1, Measure::IdleMib, 15.0),
    goal("waves-600", 1, Measure::Seconds, 7.0),
    goal("waves-600", 1, Measure::IdleMib, 15.0),
    goal("rollouts-deploy", 500, Measure::Seconds, 30.0),
    goal("rollouts-deploy", 500, Measure::PeakMib, 50.0),
    goal("rollouts-deploy", 500, Measure::IdleMib, 15.0),
    goal("rollouts-update", 500, Measure::Seconds, 45.0),
    goal("rollouts-update", 500, Measure::IdleMib, 15.0),
    goal("rollouts-deploy", 5000, Measure::PeakMib, 120.0),
    goal("routes-update", 500, Measure::Writes, 10.0),
    goal("analyses-steady", 500, Measure::CpuPercent, 2.0),
    goal("events-rate", 900, Measure::P99Millis, 5.0),
    goal("events-rate", 900, Measure::IdleMib, 15.0),
    goal("events-full", 20_000, Measure::IdleMib, 15.0),
    goal(
        "events-trigger",
        20_000,
        Measure::ArrivedPerSecond,
        12_000.0,
    ),
    goal(
        "events-accepted",
        200_000,
        Measure::AcceptedPerSecond,
        25_000.0,
    ),
    goal("events-pairs", 10_000, Measure::ArrivedPerSecond, 5_000.0),
    goal("fleet-small", 250, Measure::PeakMib, 40.0),
    goal("fleet-idle", 250, Measure::CpuPercent, 0.5),
    goal("fleet-created", 1000, Measure::Seconds, 5.0),
    goal("fleet-large", 6000, Measure::Seconds, 60.0),
    goal("fleet-large", 6000, Measure::PeakMib, 400.0),
    goal("events-ordered", 10_000, Measure::ArrivedPerSecond, 677.0),
];

const fn goal(case: &'static str, objects: u64, measure: Measure, limit: f64) -> Goal {
    Goal {
        case,
        objects,
        measure,
        limit,
    }
}

/// The goal of a measurement for one measure. None when there is none, or when the load was of another size.
pub(super) fn of(measurement: &Measurement, measure: Measure) -> Option<Goal> {
    GOALS.into_iter().find(|goal| {
        goal.case == measurement.case
            && goal.objects == measurement.objects
            && goal.measure == measure
    })
}

/// A figure of the originals on a machine of this kind (two cores), measured earlier and not in the run shown.
#[derive(Debug, Clone, Copy)]
pub(super) struct Earlier {
    case: &'static str,
    /// Objects of the load it was measured with.
    objects: u64,
    pub(super) seconds: Option<f64>,
    pub(super) idle: Option<&'static str>,
    pub(super) peak: Option<&'static str>,
    pub(super) cpu_seconds: Option<f64>,
    pub(super) requests: Option<&'static str>,
    pub(super) latency: Option<&'static str>,
    pub(super) stream: Option<&'static str>,
}

const NOTHING: Earlier = Earlier {
    case: "",
    objects: 0,
    seconds: None,
    idle: None,
    peak: None,
    cpu_seconds: None,
    requests: None,
    latency: None,
    stream: None,
};

const EARLIER: [Earlier; 7] = [
    Earlier {
        case: "gitops",
        objects: 1000,
        seconds: Some(177.0),
        peak: Some("560 MiB PSS"),
        cpu_seconds: Some(169.0),
        ..NOTHING
    },
    Earlier {
        case: "waves-10",
        objects: 1,
        seconds: Some(13.0),
        ..NOTHING
    },
    Earlier {
        case: "waves-600",
        objects: 1,
        seconds: Some(269.0),
        ..NOTHING
    },
    Earlier {
        case: "rollouts-deploy",
        objects: 500,
        seconds: Some(62.0),
        idle: Some("72 MB RSS"),
        peak: Some("123 MB RSS"),
        cpu_seconds: Some(10.0),
        requests: Some("about 11"),
        ..NOTHING
    },
    Earlier {
        case: "rollouts-update",
        objects: 500,
        seconds: Some(131.0),
        idle: Some("72 MB RSS"),
        peak: Some("140 MB RSS"),
        cpu_seconds: Some(28.0),
        requests: Some("about 21"),
        ..NOTHING
    },
    Earlier {
        case: "events-rate",
        objects: 900,
        idle: Some("77 + 79 MiB RSS (source, sensor)"),
        latency: Some("2.3 / 4.4 / 9"),
        ..NOTHING
    },
    Earlier {
        case: "events-full",
        objects: 20_000,
        peak: Some("800 MiB RSS (sensor)"),
        stream: Some("237 to 593 calls/s from a backlog, 15 to 44 % of them lost"),
        ..NOTHING
    },
];

/// What the original needed for the same load. None when it was not measured with it.
pub(super) fn earlier(measurement: &Measurement) -> Option<Earlier> {
    EARLIER
        .into_iter()
        .find(|earlier| earlier.case == measurement.case && earlier.objects == measurement.objects)
}
