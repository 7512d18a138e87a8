//! The rules.

use super::source::Source;
use crate::kinds::OPERATORS;

/// File names that do not describe the content.
const EMPTY_NAMES: [&str; 5] = [
    "utils.rs",
    "util.rs",
    "helpers.rs",
    "helper.rs",
    "common.rs",
];

/// What a planner must not name: everything that acts, waits, or differs from run to run.
const IMPURE: [(&str, &str); 12] = [
    ("kube::Client", "a client"),
    ("kube::Api", "a client"),
    ("Client", "a client"),
    ("tokio", "the runtime"),
    ("reqwest", "the network"),
    ("async_nats", "the network"),
    ("await", "waiting"),
    ("Clock", "a clock"),
    ("Timestamp::now", "a clock"),
    ("Instant", "a clock"),
    ("std::env", "the environment"),
    ("rand", "chance"),
];

/// Kinds that only their own operator may name.
const KINDS: [&str; 11] = [
    "Application",
    "AppProject",
    "ApplicationSet",
    "EventSource",
    "EventBus",
    "Sensor",
    "Rollout",
    "AnalysisRun",
    "AnalysisTemplate",
    "ClusterAnalysisTemplate",
    "Experiment",
];

/// Most lines of a file.
const LONGEST: usize = 400;

/// Crates that are no part of any operator.
const TOOLS: [&str; 2] = ["crates/fuzz/", "crates/xtask/"];

/// The one file that may use the bare watcher of kube.
const WATCHES: &str = "crates/reconcile-core/src/watch/stream.rs";

/// Complaints about one file.
pub(super) fn file(source: &Source<'_>) -> Vec<String> {
    let mut found = Vec::new();
    let path = source.path;
    let lines = source.text.lines().count();
    if lines > LONGEST {
        found.push(format!("{path}: {lines} lines, more than {LONGEST}"));
    }
    if EMPTY_NAMES.contains(&source.file_name()) {
        found.push(format!("{path}: name the file after what is in it"));
    }
    if !source.is_test() && !source.text.starts_with("//!") {
        found.push(format!("{path}: no module documentation at the top"));
    }
    if source.is_plan() {
        for (word, what) in IMPURE {
            for line in source.lines_with(word) {
                found.push(format!(
                    "{path}:{line}: a planner must not name {what} ({word})"
                ));
            }
        }
    }
    if source.is_program() && !TOOLS.iter().any(|tool| path.starts_with(tool)) {
        found.extend(environment(source));
        if path != WATCHES {
            for line in source.lines_that_call("watcher") {
                found.push(format!(
                    "{path}:{line}: use reconcile_core::watch::Watch, which guards, backs off and prunes (watcher)"
                ));
            }
        }
    }
    if path.starts_with("crates/reconcile-core/src/") && !source.is_test() {
        for kind in KINDS {
            for line in source.lines_with(kind) {
                found.push(format!(
                    "{path}:{line}: the core must not name a kind ({kind})"
                ));
            }
        }
    }
    found
}

/// The environment is read by the parser of arguments, the time by the clock.
fn environment(source: &Source<'_>) -> Vec<String> {
    let mut found = Vec::new();
    let path = source.path;
    let may_read = matches!(source.file_name(), "args.rs" | "main.rs");
    for word in ["env::var", "env::var_os", "env::vars"] {
        for line in source.lines_with(word).filter(|_| !may_read) {
            found.push(format!(
                "{path}:{line}: only args.rs reads the environment ({word})"
            ));
        }
    }
    // A Lua script blocks its thread, so only real time can end it.
    let real_time = path == "crates/expressions/src/lua/machine.rs";
    for word in ["std::time::Instant", "SystemTime::now"] {
        for line in source.lines_with(word).filter(|_| !real_time) {
            found.push(format!(
                "{path}:{line}: use the clock or tokio's Instant, which tests can stop ({word})"
            ));
        }
    }
    found
}

/// Complaints about the dependencies of one crate.
pub(super) fn manifest(path: &str, crate_name: &str, text: &str) -> Vec<String> {
    let depends = |name: &str| {
        text.lines().any(|line| {
            line.strip_prefix(name)
                .is_some_and(|rest| rest.trim_start().starts_with(['.', '=']))
        })
    };
    OPERATORS
        .iter()
        .filter(|other| **other != crate_name && depends(other))
        .map(|other| format!("{path}: must not depend on the operator {other}"))
        .collect()
}
