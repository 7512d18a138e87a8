use std::ffi::OsString;

use reconcile_core::args::parse;

use crate::args::{Cli, Command};

fn parsed(arguments: &[&str]) -> (Cli, Vec<String>) {
    let all = std::iter::once("events")
        .chain(arguments.iter().copied())
        .map(OsString::from);
    parse(all, "controller").expect("accepted")
}

#[test]
fn upstream_flags_are_accepted() {
    let (Cli { command }, unknown) = parsed(&[
        "controller",
        "--namespaced",
        "--managed-namespace",
        "a",
        "--leader-election=false",
        "--metrics-port",
        "1",
        "--health-port=2",
        "--log-level",
        "debug",
        "--klog-level",
        "3",
    ]);
    let Command::Controller(args) = command else {
        panic!("another command: {command:?}");
    };
    assert!(args.namespaced && !args.leader.enabled);
    assert_eq!(args.managed_namespace.as_deref(), Some("a"));
    assert_eq!((args.metrics_port, args.health_port), (1, 2));
    assert!(unknown.is_empty());
}

#[test]
fn flags_that_nobody_knows_are_named_and_do_not_stop_the_start() {
    let (_, unknown) = parsed(&[
        "controller",
        "--eventsource-image",
        "x",
        "--fancy=1",
        "--alone",
    ]);
    assert_eq!(unknown, ["--eventsource-image", "--fancy", "--alone"]);
    let other = ["events", "sensor"].map(OsString::from);
    assert!(parse::<Cli>(other, "controller").is_err());
}
