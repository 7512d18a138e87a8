//! Tests that could not run.

use std::io::Write as _;

/// Counts the running test as skipped: in the file that `SKIPPED_TESTS` names, which is listed at the end of a run. A
/// test that did nothing must not pass unseen.
///
/// # Panics
/// When the file cannot be written.
pub fn count_skipped(reason: &str) {
    let name = std::thread::current().name().unwrap_or("?").to_owned();
    // Nobody reads it when standard error is gone.
    let _ = writeln!(std::io::stderr(), "skipped: {name}: {reason}");
    if let Some(file) = std::env::var_os("SKIPPED_TESTS") {
        std::fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(file)
            .and_then(|mut file| writeln!(file, "{name}: {reason}"))
            .expect("the skipped test is counted");
    }
}

/// Fails the running test for `reason`, unless one of these environment variables is 1, such as `ALLOW_SKIPS`: then it
/// counts as skipped.
///
/// # Panics
/// Unless skips are allowed.
pub fn skip_where(variables: &[&str], reason: &str) {
    let allowed = variables
        .iter()
        .any(|name| std::env::var_os(name).is_some_and(|text| text == "1"));
    assert!(
        allowed,
        "{reason} ({}=1 skips this test)",
        variables.join("=1 or ")
    );
    count_skipped(reason);
}
