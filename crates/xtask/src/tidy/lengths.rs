//! Files that are longer than the limit.

/// Most lines of a file.
const LONGEST: usize = 400;

/// Files that were longer when the limit came, and the lines that each may have. Only ever lower these; a file that is
/// short enough has to leave the list.
pub(super) const LEFT: &[(&str, usize)] = &[
    ("crates/argo-cd-lite/src/app/tests/decisions.rs", 700),
    ("crates/argo-cd-lite/src/controller/tests/mod.rs", 700),
    ("crates/argo-cd-lite/src/diff/tests.rs", 600),
    ("crates/argo-cd-lite/src/health/tests/kinds.rs", 700),
    ("crates/argo-cd-lite/src/health/tests/mod.rs", 500),
    ("crates/argo-cd-lite/src/render/tests/tools.rs", 500),
    ("crates/argo-cd-lite/src/repo/git.rs", 500),
    ("crates/argo-cd-lite/src/repo/tests.rs", 800),
    ("crates/argo-cd-lite/src/repo/tree/mod.rs", 500),
    ("crates/argo-cd-lite/src/sync/plan/tests/steps.rs", 600),
    ("crates/events/tests/bus.rs", 500),
    ("crates/events/tests/changes.rs", 500),
    ("crates/events/tests/sources.rs", 700),
    ("crates/reconcile-core/benches/watch_memory.rs", 500),
    ("crates/reconcile-core/src/client/tests.rs", 500),
    ("crates/reconcile-core/tests/driver.rs", 700),
    ("e2e/tests/events.rs", 600),
    ("e2e/tests/faults.rs", 600),
    ("e2e/tests/gitops.rs", 600),
    ("e2e/tests/malformed.rs", 500),
];

/// The complaint about a file of so many lines.
pub(super) fn complaint(path: &str, lines: usize, left: &[(&str, usize)]) -> Option<String> {
    let exception = left.iter().find(|(name, _)| *name == path);
    match exception {
        Some(_) if lines <= LONGEST => Some(format!(
            "{path}: {lines} lines; take it from the list of longer files in crates/xtask/src/tidy/lengths.rs"
        )),
        Some((_, most)) if lines <= *most => None,
        Some((_, most)) => Some(format!(
            "{path}: {lines} lines, more than its limit of {most}"
        )),
        None if lines > LONGEST => Some(format!("{path}: {lines} lines, more than {LONGEST}")),
        None => None,
    }
}

/// Complaints about exceptions for files that do not exist.
pub(super) fn stale(left: &[(&str, usize)], exists: impl Fn(&str) -> bool) -> Vec<String> {
    left.iter()
        .filter(|(path, _)| !exists(path))
        .map(|(path, _)| {
            format!("crates/xtask/src/tidy/lengths.rs: there is no file {path}; remove the line")
        })
        .collect()
}
