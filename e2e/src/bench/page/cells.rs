//! The figures of a measurement as text.

use crate::bench::book::{Measurement, Memory};
use crate::bench::goals::{self, Measure};
use crate::usage::mib;

pub(super) fn time(one: &Measurement) -> String {
    if one.complete() {
        format!("{:.1} s", one.seconds)
    } else {
        format!(
            "**not done**: {} of {} after {:.0} s",
            one.done, one.objects, one.seconds
        )
    }
}

pub(super) fn memory(memory: Memory) -> String {
    format!(
        "{:.1} / {:.1} MiB",
        mib(memory.rss_kib),
        mib(memory.pss_kib)
    )
}

pub(super) fn requests(one: &Measurement) -> String {
    one.requests_per_object()
        .map_or_else(|| "not counted".to_owned(), |each| format!("{each:.2}"))
}

pub(super) fn writes(one: &Measurement) -> String {
    one.writes_per_object()
        .map_or_else(String::new, |each| format!("{each:.2}"))
}

pub(super) fn lasting_writes(one: &Measurement) -> String {
    one.object_writes_per_object()
        .map_or_else(String::new, |each| format!("{each:.2}"))
}

pub(super) fn cpu(one: &Measurement) -> String {
    format!(
        "{:.2} s ({:.1} % of a core)",
        one.cpu_seconds,
        one.cpu_percent()
    )
}

pub(super) fn programs(one: &Measurement) -> String {
    if one.program_cpu_seconds <= 0.0 {
        return String::new();
    }
    let (programs, own) = (one.program_cpu_seconds, one.own_percent());
    format!("{programs:.2} s (the engine: {own:.1} %)")
}

/// Only where something depends on it.
pub(super) fn cpu_each(one: &Measurement) -> String {
    if one.program_cpu_seconds <= 0.0 && goals::of(one, Measure::CpuMillis).is_none() {
        return String::new();
    }
    format!("{:.1} ms", one.cpu_millis_per_object())
}

pub(super) fn renders(one: &Measurement) -> String {
    one.renders
        .map_or_else(String::new, |renders| renders.to_string())
}

/// Only where something depends on it.
pub(super) fn object_writes(one: &Measurement) -> String {
    let judged = goals::of(one, Measure::ObjectWrites).is_some();
    let writes = one.object_writes().filter(|_| judged);
    writes.map_or_else(String::new, |writes| writes.to_string())
}

/// Of the requests alone.
pub(super) fn bare_cpu(one: &Measurement) -> String {
    one.bare_cpu_seconds.map_or_else(String::new, |seconds| {
        format!("{seconds:.2} s ({:.1} % of a core)", one.percent(seconds))
    })
}

/// Without that of the requests alone.
pub(super) fn own_cpu(one: &Measurement) -> String {
    one.bare_cpu_seconds.map_or_else(String::new, |bare| {
        format!(
            "{:.2} s ({:.1} % of a core)",
            one.cpu_seconds - bare,
            one.own_cpu_percent()
        )
    })
}

pub(super) fn latency(one: &Measurement) -> String {
    let Some(latency) = one.latency else {
        return String::new();
    };
    if one.objects == 1 {
        // The time to done says it already.
        return String::new();
    }
    format!(
        "{:.1} / {:.1} / {:.1} ms (max {:.1})",
        latency.p50, latency.p90, latency.p99, latency.max
    )
}

pub(super) fn throughput(one: &Measurement) -> String {
    one.stream.as_ref().map_or_else(String::new, |stream| {
        let arrived = if stream.arrived > 0 {
            format!(", {:.0}/s arrived", stream.arrived_per_second)
        } else {
            String::new()
        };
        format!("{:.0}/s accepted{arrived}", stream.accepted_per_second)
    })
}

pub(super) fn losses(one: &Measurement) -> String {
    one.stream.as_ref().map_or_else(String::new, |stream| {
        let refused = stream.sent - stream.accepted;
        let refused = if refused > 0 {
            format!(" ({refused} refused)")
        } else {
            String::new()
        };
        format!("{} lost, {} doubled{refused}", stream.lost, stream.doubled)
    })
}

pub(super) fn cpu_of_parts(one: &Measurement) -> String {
    let mut parts: Vec<(&String, &f64)> = one
        .parts_cpu_seconds
        .iter()
        .filter(|(_, seconds)| **seconds >= 0.1)
        .collect();
    parts.sort_by(|a, b| b.1.total_cmp(a.1));
    let parts: Vec<String> = parts
        .iter()
        .map(|(name, seconds)| format!("{name} {seconds:.1}"))
        .collect();
    let parts = if parts.is_empty() {
        String::new()
    } else {
        format!(" ({})", parts.join(", "))
    };
    format!("{:.1} s{parts}", one.bed_cpu_seconds)
}
