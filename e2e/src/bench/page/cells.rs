//! The figures of a measurement as text.

use crate::bench::book::{Measurement, Memory};
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

pub(super) fn cpu(one: &Measurement) -> String {
    format!(
        "{:.2} s ({:.1} % of a core)",
        one.cpu_seconds,
        one.cpu_percent()
    )
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
        format!(
            "{:.0}/s accepted, {:.0}/s arrived",
            stream.accepted_per_second, stream.arrived_per_second
        )
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
