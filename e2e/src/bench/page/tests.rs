use std::collections::BTreeMap;

use super::*;
use crate::bench::book::{Latency, Machine, Memory, Requests};

fn measurement(engine: &str, seconds: f64, peak_mib: u64) -> Measurement {
    let memory = |mib| Memory {
        rss_kib: mib * 1024,
        pss_kib: mib * 1024,
    };
    Measurement {
        case: "gitops".to_owned(),
        title: "1000 Applications".to_owned(),
        engine: engine.to_owned(),
        objects: 1000,
        done: 1000,
        seconds,
        idle: memory(10),
        peak: memory(peak_mib),
        after: memory(20),
        cpu_seconds: 12.5,
        program_cpu_seconds: 0.0,
        renders: None,
        bare_cpu_seconds: None,
        bed_cpu_seconds: 30.0,
        parts_cpu_seconds: BTreeMap::new(),
        requests: Some(Requests(BTreeMap::from([(
            "patch configmaps".to_owned(),
            3000,
        )]))),
        apiserver_requests: 4000,
        latency: Some(Latency {
            p50: 1.0,
            p90: 2.0,
            p99: 3.0,
            max: 4.0,
        }),
        stream: None,
    }
}

fn book(measurements: Vec<Measurement>) -> Book {
    let run = Run {
        date: "2026-01-01 00:00 UTC".to_owned(),
        command: "bench".to_owned(),
        commit: "abc".to_owned(),
        profile: "release".to_owned(),
        machine: Machine {
            cores: 2,
            cpu: "x".to_owned(),
            memory_mib: 1,
            kernel: "6".to_owned(),
            load_average: Some(0.5),
            preferred: String::new(),
        },
        versions: BTreeMap::new(),
        measurements,
    };
    Book {
        remark: String::new(),
        runs: BTreeMap::from([("gitops".to_owned(), run)]),
    }
}

#[test]
fn engines_stand_side_by_side_with_goal_and_earlier_figure() {
    let page = render(&book(vec![
        measurement("argo-lite", 30.0, 60),
        measurement("other", 90.0, 400),
    ]));
    assert!(
        page.contains("| | argo-lite | other | goal | original, earlier |"),
        "{page}"
    );
    assert!(
        page.contains("| time to done | 30.0 s | 90.0 s | ≤ 60 s | 177 s |"),
        "{page}"
    );
    assert!(
        page.contains("| requests per object | 3.00 | 3.00 |"),
        "{page}"
    );
    assert!(page.contains("3000 patch configmaps"), "{page}");
}

#[test]
fn the_requests_of_the_load_are_taken_off_the_cpu_that_is_judged() {
    let mut steady = measurement("argo-lite", 60.0, 30);
    "analyses-steady".clone_into(&mut steady.case);
    (steady.objects, steady.done, steady.cpu_seconds) = (500, 500, 1.5);
    let judged = |one: &Measurement| render(&book(vec![one.clone()]));
    let page = judged(&steady);
    assert!(
        page.contains("| analyses-steady | CPU beside the HTTP | 2.5 % of a core | 2 % of a core | **missed** |"),
        "{page}"
    );
    steady.bare_cpu_seconds = Some(0.6);
    let page = judged(&steady);
    for row in [
        "| CPU | 1.50 s (2.5 % of a core) |  |  |",
        "| CPU of a bare client | 0.60 s (1.0 % of a core) |  |  |",
        "| CPU beside the HTTP | 0.90 s (1.5 % of a core) | ≤ 2 % of a core |  |",
        "| analyses-steady | CPU beside the HTTP | 1.5 % of a core | 2 % of a core | reached |",
    ] {
        assert!(page.contains(row), "{row}\n{page}");
    }
}

#[test]
fn writes_are_shown_with_and_without_events() {
    let mut one = measurement("argo-lite", 30.0, 60);
    let requests = [
        ("create events", 2000),
        ("get configmaps", 500),
        ("patch configmaps", 3000),
        ("patch events", 1000),
    ];
    let requests = requests.map(|(what, count)| (what.to_owned(), count));
    one.requests = Some(Requests(BTreeMap::from(requests)));
    let page = render(&book(vec![one]));
    assert!(page.contains("| writes per object | 6.00 |"), "{page}");
    assert!(page.contains("| without Events | 3.00 |"), "{page}");
}

#[test]
fn only_our_own_results_are_judged_and_a_miss_is_said() {
    let page = render(&book(vec![
        measurement("argo-lite", 61.0, 60),
        measurement("other", 90.0, 400),
    ]));
    assert!(
        page.contains("| gitops | time to done | 61.0 s | 60 s | **missed** |"),
        "{page}"
    );
    assert!(
        page.contains("| gitops | peak RSS | 60.0 MiB | 80 MiB | reached |"),
        "{page}"
    );
    assert!(!page.contains("400.0 MiB | 80"), "{page}");
}

#[test]
fn what_is_not_done_or_not_run_is_not_dressed_up() {
    let mut slow = measurement("argo-lite", 300.0, 60);
    slow.done = 812;
    let page = render(&book(vec![slow]));
    assert!(
        page.contains("**not done**: 812 of 1000 after 300 s"),
        "{page}"
    );
    assert!(!page.contains("| reached |\n| gitops | time"), "{page}");
    assert!(!page.contains("## rollouts"), "{page}");
}

#[test]
fn a_load_of_another_size_is_not_judged() {
    let mut small = measurement("argo-lite", 3.0, 60);
    (small.objects, small.done) = (50, 50);
    let page = render(&book(vec![small]));
    assert!(!page.contains("## Goals"), "{page}");
}

#[test]
fn renders_and_the_cpu_of_programs_are_judged() {
    let of_helm = |case: &str, renders: u64| Measurement {
        case: case.to_owned(),
        objects: 200,
        done: 200,
        cpu_seconds: 20.0,
        program_cpu_seconds: 15.0,
        renders: Some(renders),
        ..measurement("argo-lite", 4.0, 60)
    };
    let page = render(&book(vec![
        of_helm("helm", 200),
        of_helm("helm-restart", 1),
    ]));
    for line in [
        "| helm | its own CPU | 25.0 % of all | 50 % of all | reached |",
        "| helm-restart | renders | 1.0  | 0  | **missed** |",
        "| CPU of programs that it started | 15.00 s (the engine: 25.0 %) | the rest ≤ 50 % of all |  |",
        "| CPU per object | 100.0 ms |  |  |",
        "| renders | 1 | ≤ 0  |  |",
    ] {
        assert!(page.contains(line), "{line}\n{page}");
    }
}

#[test]
fn what_an_event_source_adds_is_in_a_table_of_kinds() {
    let mut mqtt = measurement("ours", 1.0, 30);
    mqtt.case = "sources-mqtt".to_owned();
    mqtt.title = "mqtt".to_owned();
    (mqtt.objects, mqtt.done) = (20, 20);
    let mut book = book(vec![mqtt]);
    let run = book.runs.remove("gitops").expect("a run");
    book.runs.insert("sources".to_owned(), run);
    let page = render(&book);
    // 10 MiB more for 20 of them.
    let row = "| `mqtt` | ours | 20 | 10.0 / 10.0 MiB | 20.0 / 20.0 MiB | 512 KiB |";
    assert!(page.contains(row), "{page}");
}
