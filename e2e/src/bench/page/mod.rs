//! The Markdown page: one table per case, engines side by side, goals beside the results.

mod cells;
mod sources;

use std::fmt::Write as _;

use super::book::{Book, Measurement, Run, Stream};
use super::goals::{self, Earlier, Measure};
use super::scenario::Scenario;
use crate::usage::mib;

/// Where the engines' results and the goal are in a row.
struct Row {
    name: &'static str,
    cells: Vec<String>,
    goal: String,
    earlier: String,
}

/// The whole page.
pub(super) fn render(book: &Book) -> String {
    let mut page = String::from(INTRODUCTION);
    if !book.remark.is_empty() {
        let _ = writeln!(page, "{}\n", book.remark);
    }
    summary(&mut page, book);
    for scenario in Scenario::ALL {
        if let Some(run) = book.runs.get(scenario.name()) {
            section(&mut page, scenario, run);
        }
    }
    page.push_str(METHOD);
    page
}

const INTRODUCTION: &str = "\
# Benchmarks

Written by `make bench`; do not edit. The same in numbers: [benchmarks.json](benchmarks.json). Only what was measured is
here: a scenario that has not run has no section. *Earlier* is what the original (Argo CD 3.x, Argo Rollouts, Argo Events)
needed on a machine of two cores; it was **measured earlier, not in this run**.

";

const METHOD: &str = "\
## How it is measured

Every scenario and engine gets a fresh control plane: real etcd, kube-apiserver, kube-controller-manager and
kube-scheduler, with kwok for nodes and pods (a pod is ready 250 ms after it was bound), and nats-server or a Git server
where needed. All of it, the load generator and the engine share the machine's cores. Our operators run as their charts
run them: the chart's arguments, the token of its service account and exactly its RBAC.

| figure | meaning |
|---|---|
| time to done | from the first request of the load until a watch has shown the last object in its state |
| idle | connected and ready, before the first object of the load, after memory stayed within 1 % for 3 s |
| peak | resident: the larger of the kernel's high-water mark and the sum over the process tree every 100 ms; PSS: the largest of those samples |
| after | when memory has settled after the load |
| CPU | user and system seconds of the process tree during the load |
| CPU of programs that it started | the part of them that helm or kustomize used; the rest is the engine's own |
| renders | those for which manifests were made; a result that was kept is none |
| CPU of a bare client | of a process that sends the same requests to the measured service at the same rate and reads the answers, and does nothing else |
| CPU beside the HTTP | the difference of both: passes, verdicts and writes |
| CPU of the control plane | the same for API server, etcd, controller manager, scheduler, kwok and nats-server: on few cores this, and not the engine, bounds the time; `bench`, which is not in the sum, makes the load and is its target |
| requests per object | sent by the engine to the API server by its own count, watches left out |
| writes per object | those of them that change something, Events included |
| without Events | the writes that are neither Events nor about the lease; Events are written in the background, and under a load that fills the API server most of them after the measurement or, beyond 4096 that wait, never |
| writes of objects | the same in total, without Events and the lease of the engine |
| all clients per object | requests that the API server counted from everybody (controller manager, scheduler, kwok), without the load's own |
| each object | from the request that made or changed the object to its state; for commits from the webhook to the object in the cluster, for drift from the change by hand until a watch has shown it healed; for events from the webhook request to the arrival at the trigger's target |

Another engine under the same load: `make bench ENGINE='NAME=COMMAND'`. The command gets `KUBECONFIG`, `NATS_URL`,
`GIT_URL`, `NAMESPACE`, `METRICS_PORT` and (events) `WEBHOOK_PORT` in its environment.
";

/// Every goal with what was reached, in one table.
fn summary(page: &mut String, book: &Book) {
    let mut lines = String::new();
    for scenario in Scenario::ALL {
        let Some(run) = book.runs.get(scenario.name()) else {
            continue;
        };
        for measurement in run
            .measurements
            .iter()
            .filter(|found| found.engine == super::engine::OURS)
        {
            for measure in Measure::ALL {
                let Some(goal) = goals::of(measurement, measure) else {
                    continue;
                };
                let (name, value) = figure(measurement, measure);
                let unit = unit(measure);
                let reached = measurement.complete() && goal.is_reached(value);
                let sign = if reached { "reached" } else { "**missed**" };
                let _ = writeln!(
                    lines,
                    "| {} | {name} | {value:.1} {unit} | {} {unit} | {sign} |",
                    measurement.case, goal.limit
                );
            }
        }
    }
    if !lines.is_empty() {
        page.push_str("## Goals\n\n| case | figure | measured | goal | |\n|---|---|---|---|---|\n");
        page.push_str(&lines);
        page.push('\n');
    }
}

fn figure(measurement: &Measurement, measure: Measure) -> (&'static str, f64) {
    match measure {
        Measure::Seconds => ("time to done", measurement.seconds),
        Measure::IdleMib => ("idle RSS", mib(measurement.idle.rss_kib)),
        Measure::PeakMib => ("peak RSS", mib(measurement.peak.rss_kib)),
        Measure::P99Millis => {
            let p99 = measurement
                .latency
                .map_or(f64::INFINITY, |latency| latency.p99);
            ("p99 of each event", p99)
        }
        Measure::Writes => (
            "writes per object",
            measurement.writes_per_object().unwrap_or(f64::INFINITY),
        ),
        Measure::CpuPercent => ("CPU beside the HTTP", measurement.own_cpu_percent()),
        Measure::CpuSeconds => ("CPU", measurement.cpu_seconds),
        Measure::CpuMillis => ("CPU per object", measurement.cpu_millis_per_object()),
        Measure::OwnPercent => ("its own CPU", measurement.own_percent()),
        Measure::Renders => ("renders", measurement.renders.map_or(f64::INFINITY, count)),
        Measure::ObjectWrites => (
            "writes of objects",
            measurement.object_writes().map_or(f64::INFINITY, count),
        ),
        Measure::AcceptedPerSecond => (
            "accepted",
            stream(measurement, |stream| stream.accepted_per_second),
        ),
        Measure::ArrivedPerSecond => (
            "arrived",
            stream(measurement, |stream| stream.arrived_per_second),
        ),
    }
}

#[expect(clippy::cast_precision_loss, reason = "counts far below 2^52")]
fn count(number: u64) -> f64 {
    number as f64
}

fn stream(measurement: &Measurement, figure: impl Fn(&Stream) -> f64) -> f64 {
    measurement.stream.as_ref().map_or(0.0, figure)
}

fn unit(measure: Measure) -> &'static str {
    match measure {
        Measure::Seconds | Measure::CpuSeconds => "s",
        Measure::IdleMib | Measure::PeakMib => "MiB",
        Measure::P99Millis | Measure::CpuMillis => "ms",
        Measure::Writes | Measure::ObjectWrites | Measure::Renders => "",
        Measure::CpuPercent => "% of a core",
        Measure::OwnPercent => "% of all",
        Measure::AcceptedPerSecond | Measure::ArrivedPerSecond => "/s",
    }
}

fn section(page: &mut String, scenario: Scenario, run: &Run) {
    let _ = writeln!(page, "## {}\n", scenario.name());
    facts(page, run);
    if scenario == Scenario::Sources {
        return sources::table(page, run);
    }
    let mut cases: Vec<&str> = Vec::new();
    for measurement in &run.measurements {
        if !cases.contains(&measurement.case.as_str()) {
            cases.push(&measurement.case);
        }
    }
    for case in cases {
        let found: Vec<&Measurement> = run
            .measurements
            .iter()
            .filter(|measurement| measurement.case == case)
            .collect();
        table(page, case, &found);
    }
}

fn facts(page: &mut String, run: &Run) {
    let machine = &run.machine;
    let load = machine
        .load_average
        .map(|load| format!("; load average before the run {load:.1}"))
        .unwrap_or_default();
    let preferred = if machine.preferred.is_empty() {
        String::new()
    } else {
        format!(", preferred to other work by {}", machine.preferred)
    };
    let versions: Vec<String> = run
        .versions
        .iter()
        .map(|(name, version)| format!("{name} {version}"))
        .collect();
    let _ = writeln!(
        page,
        "- {}, commit `{}`, {} build",
        run.date, run.commit, run.profile
    );
    let _ = writeln!(
        page,
        "- {} cores ({}), {} MiB memory, Linux {}{}{}",
        machine.cores, machine.cpu, machine.memory_mib, machine.kernel, load, preferred
    );
    let _ = writeln!(page, "- {}", versions.join(", "));
    let _ = writeln!(page, "- `{}`\n", run.command);
    if run.profile == "debug" {
        page.push_str("**A debug build: these numbers say nothing about a release.**\n\n");
    }
}

fn table(page: &mut String, case: &str, found: &[&Measurement]) {
    let Some(first) = found.first() else { return };
    let earlier = goals::earlier(first);
    let _ = writeln!(page, "### {}: {}\n", case, first.title);
    let engines: Vec<&str> = found
        .iter()
        .map(|measurement| measurement.engine.as_str())
        .collect();
    let _ = writeln!(
        page,
        "| | {} | goal | original, earlier |",
        engines.join(" | ")
    );
    let _ = writeln!(page, "|---|{}---|---|", "---|".repeat(engines.len()));
    for row in rows(found, earlier) {
        if row.cells.iter().any(|cell| !cell.is_empty()) {
            let _ = writeln!(
                page,
                "| {} | {} | {} | {} |",
                row.name,
                row.cells.join(" | "),
                row.goal,
                row.earlier
            );
        }
    }
    page.push('\n');
    breakdown(page, found);
}

fn rows(found: &[&Measurement], earlier: Option<Earlier>) -> Vec<Row> {
    let each = |cell: &dyn Fn(&Measurement) -> String| each(found, cell);
    let then =
        |text: &dyn Fn(Earlier) -> Option<String>| earlier.and_then(text).unwrap_or_default();
    let goal = |measure| limit(found, measure);
    let mut rows = vec![
        Row {
            goal: goal(Measure::Seconds),
            earlier: then(&|past| past.seconds.map(|seconds| format!("{seconds} s"))),
            ..plain("time to done", each(&cells::time))
        },
        Row {
            goal: goal(Measure::IdleMib),
            earlier: then(&|past| past.idle.map(str::to_owned)),
            ..plain("idle RSS / PSS", each(&|one| cells::memory(one.idle)))
        },
        Row {
            goal: goal(Measure::PeakMib),
            earlier: then(&|past| past.peak.map(str::to_owned)),
            ..plain("peak RSS / PSS", each(&|one| cells::memory(one.peak)))
        },
        plain("after RSS / PSS", each(&|one| cells::memory(one.after))),
    ];
    rows.extend(work_rows(found, earlier));
    rows.extend([
        Row {
            earlier: then(&|past| past.requests.map(str::to_owned)),
            ..plain("requests per object", each(&cells::requests))
        },
        Row {
            goal: goal(Measure::Writes),
            ..plain("writes per object", each(&cells::writes))
        },
        plain("without Events", each(&cells::lasting_writes)),
        Row {
            goal: goal(Measure::ObjectWrites),
            ..plain("writes of objects", each(&cells::object_writes))
        },
        plain(
            "all clients per object",
            each(&|one| format!("{:.2}", one.apiserver_requests_per_object())),
        ),
        Row {
            goal: goal(Measure::P99Millis),
            earlier: then(&|past| past.latency.map(|text| format!("{text} ms"))),
            ..plain("each object p50 / p90 / p99", each(&cells::latency))
        },
        Row {
            goal: [
                goal(Measure::AcceptedPerSecond),
                goal(Measure::ArrivedPerSecond),
            ]
            .concat(),
            earlier: then(&|past| past.stream.map(str::to_owned)),
            ..plain("throughput", each(&cells::throughput))
        },
        plain("lost, doubled", each(&cells::losses)),
    ]);
    rows
}

/// CPU, and what it was spent for.
fn work_rows(found: &[&Measurement], earlier: Option<Earlier>) -> [Row; 7] {
    let each = |cell: &dyn Fn(&Measurement) -> String| each(found, cell);
    let goal = |measure| limit(found, measure);
    let earlier = earlier.and_then(|past| past.cpu_seconds);
    [
        Row {
            goal: goal(Measure::CpuSeconds),
            earlier: earlier.map_or_else(String::new, |seconds| format!("{seconds} s")),
            ..plain("CPU", each(&cells::cpu))
        },
        plain("CPU of a bare client", each(&cells::bare_cpu)),
        Row {
            goal: goal(Measure::CpuPercent),
            ..plain("CPU beside the HTTP", each(&cells::own_cpu))
        },
        Row {
            goal: goal(Measure::OwnPercent),
            ..plain("CPU of programs that it started", each(&cells::programs))
        },
        Row {
            goal: goal(Measure::CpuMillis),
            ..plain("CPU per object", each(&cells::cpu_each))
        },
        Row {
            goal: goal(Measure::Renders),
            ..plain("renders", each(&cells::renders))
        },
        plain("CPU of the control plane", each(&cells::cpu_of_parts)),
    ]
}

fn each(found: &[&Measurement], cell: &dyn Fn(&Measurement) -> String) -> Vec<String> {
    found.iter().map(|one| cell(one)).collect()
}

fn plain(name: &'static str, cells: Vec<String>) -> Row {
    Row {
        name,
        cells,
        goal: String::new(),
        earlier: String::new(),
    }
}

fn limit(found: &[&Measurement], measure: Measure) -> String {
    let goal = found.first().and_then(|one| goals::of(one, measure));
    let what = match measure {
        Measure::P99Millis => "p99 ",
        Measure::OwnPercent => "the rest ",
        Measure::AcceptedPerSecond => "accepted ",
        Measure::ArrivedPerSecond => "arrived ",
        _ => "",
    };
    let sign = if measure.is_floor() { "≥" } else { "≤" };
    goal.map(|goal| format!("{what}{sign} {} {}", goal.limit, unit(measure)))
        .unwrap_or_default()
}

/// Which requests an engine sent, by verb and resource.
fn breakdown(page: &mut String, found: &[&Measurement]) {
    for one in found {
        let Some(requests) = &one.requests else {
            continue;
        };
        if requests.total() == 0 {
            continue;
        }
        let mut sorted: Vec<(&String, &u64)> = requests.0.iter().collect();
        sorted.sort_by(|a, b| b.1.cmp(a.1).then(a.0.cmp(b.0)));
        let list: Vec<String> = sorted
            .iter()
            .map(|(what, count)| format!("{count} {what}"))
            .collect();
        let _ = writeln!(page, "Requests of {}: {}.\n", one.engine, list.join(", "));
    }
}

#[cfg(test)]
mod tests;
