//! The rules complain where they should, and only there.

use super::{rules, source::Source, words::Words};

fn complaints(path: &str, text: &str) -> Vec<String> {
    rules::file(&Source::new(path, text))
}

#[test]
fn planners_are_pure() {
    let path = "crates/rollouts/src/rollout/plan/progress.rs";
    assert_eq!(
        complaints(
            path,
            "//! Plan.\n// tokio is only in a comment\nlet environment = 1;\n"
        ),
        [""; 0]
    );
    assert_eq!(
        complaints(path, "//! Plan.\nuse tokio::time;\n"),
        [format!(
            "{path}:2: a planner must not name the runtime (tokio)"
        )]
    );
    assert_eq!(
        complaints(
            "crates/events/src/controller/sensor/plan.rs",
            "//! P.\nx.await;\n"
        )
        .len(),
        1
    );
    assert_eq!(
        complaints(
            "crates/rollouts/src/rollout/plan/tests/a.rs",
            "//! T.\nx.await;\n"
        ),
        [""; 0]
    );
    assert_eq!(
        complaints(
            "crates/rollouts/src/analysis/apply.rs",
            "//! A.\nx.await;\n"
        ),
        [""; 0]
    );
}

#[test]
fn files_are_documented_short_and_named() {
    let long = format!("//! Long.\n{}", "let x = 1;\n".repeat(400));
    assert!(complaints("crates/a/src/a.rs", &long)[0].ends_with("401 lines, more than 400"));
    assert!(complaints("crates/a/src/utils.rs", "//! U.\n")[0].contains("name the file"));
    assert!(complaints("crates/a/src/a.rs", "fn a() {}\n")[0].contains("no module documentation"));
}

#[test]
fn environment_and_kinds_stay_in_their_place() {
    let reads = "//! X.\nlet x = std::env::var(\"A\");\n";
    assert_eq!(complaints("crates/a/src/b.rs", reads).len(), 1);
    assert_eq!(complaints("crates/a/src/args.rs", reads), [""; 0]);
    let names = "//! About a Rollout.\nstruct Rollout;\n";
    assert_eq!(complaints("crates/reconcile-core/src/a.rs", names).len(), 1);
    assert_eq!(complaints("crates/rollouts/src/a.rs", names), [""; 0]);
    let tested = "//! X.\n#[cfg(test)]\nmod tests {\n    struct Rollout;\n}\n";
    assert_eq!(
        complaints("crates/reconcile-core/src/a.rs", tested),
        [""; 0]
    );
}

#[test]
fn there_is_one_constructor_of_watches() {
    let bare = "//! W.\nlet stream = watcher(api, config);\n";
    assert_eq!(complaints("crates/events/src/a.rs", bare).len(), 1);
    assert_eq!(complaints("crates/events/src/tests.rs", bare), [""; 0]);
    let constructor = "crates/reconcile-core/src/watch/stream.rs";
    assert_eq!(complaints(constructor, bare), [""; 0]);
}

#[test]
fn operators_stand_alone() {
    let text = "[dependencies]\nreconcile-core.workspace = true\nevents = { workspace = true }\n";
    assert_eq!(
        rules::manifest("x", "rollouts", text),
        ["x: must not depend on the operator events"]
    );
    assert_eq!(rules::manifest("x", "events", text), [""; 0]);
}

#[test]
fn this_repository_is_tidy() {
    let complaints = super::run(&crate::root()).expect("the tree can be read");
    assert!(complaints.is_empty(), "{}", complaints.join("\n"));
}

#[test]
fn words_of_the_private_dialect_are_counted_per_crate() {
    let line = "// The user is told.\n";
    let complaints = |path: &str, text: &str| {
        let mut words = Words::default();
        words.read(path, text);
        words.complaints(&[("crates/events", 24)])
    };
    assert_eq!(
        complaints("crates/expressions/src/lib.rs", line),
        [
            "crates/expressions/src/lib.rs:1: write plain English instead of \"told\": say who reports, logs or notifies"
        ]
    );
    // What is left in a crate is allowed, more is not.
    assert_eq!(complaints("crates/events/src/lib.rs", line), [""; 0]);
    assert_eq!(
        complaints("crates/events/src/lib.rs", &line.repeat(100)).len(),
        100
    );
    assert_eq!(complaints("docs/x.md", "Canewood, mangoes on\n"), [""; 0]);
    assert_eq!(complaints("docs/style.md", line), [""; 0]);
}
