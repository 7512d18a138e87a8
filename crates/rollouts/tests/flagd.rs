//! The flag definitions that canary steps write, evaluated by flagd's own resolver: the package
//! `openfeature-provider-flagd` of the Python package index, for the Python that `FLAGD_PYTHON` names (that of `make servers` when it names none).

use std::{
    collections::BTreeMap,
    ffi::OsString,
    io::Write as _,
    process::{Command, Stdio},
};

use reconcile_core::testkit::skip_where;
use rollouts::rollout::flags::{FlagChange, FlagKey, FlagStep, Segment, SegmentTest, edited};
use serde_json::{Value, json};

/// Users of a population; the share of a variant is exact within a few percent.
const USERS: usize = 2000;

/// A Python that has the resolver: the one that `FLAGD_PYTHON` names, else that of `make servers`.
fn python() -> Option<OsString> {
    let named = std::env::var_os("FLAGD_PYTHON");
    let python = named.unwrap_or_else(|| {
        let home = std::env::home_dir().unwrap_or_default();
        home.join(".cache/argo-lite-bed/flagd/bin/python").into()
    });
    let check = Command::new(&python)
        .args(["-c", "import openfeature.contrib.provider.flagd"])
        .stderr(Stdio::null())
        .status();
    if check.is_ok_and(|status| status.success()) {
        return Some(python);
    }
    skip_where(
        &["ALLOW_SKIPS", "SKIP_SERVERS"],
        "no flagd resolver: run `make servers`, or set FLAGD_PYTHON to a Python with openfeature-provider-flagd",
    );
    None
}

fn step(change: FlagChange) -> FlagStep {
    FlagStep {
        at: FlagKey::default(),
        variant: "on".to_owned(),
        change,
    }
}

fn staff() -> FlagChange {
    FlagChange::Segments(vec![
        Segment {
            attribute: "group".to_owned(),
            test: SegmentTest::Values(vec![json!("staff")]),
        },
        Segment {
            attribute: "email".to_owned(),
            test: SegmentTest::EndsWith("@example.com".to_owned()),
        },
    ])
}

/// The variants of these users under the definition that the steps leave.
fn variants(
    python: &OsString,
    before: &Value,
    changes: &[FlagChange],
    users: &[Value],
) -> Vec<String> {
    let steps: Vec<FlagStep> = changes.iter().cloned().map(step).collect();
    let definition = edited(before, &steps.iter().collect::<Vec<_>>());
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("flags.json");
    let text = json!({"flags": {"checkout": definition}}).to_string();
    std::fs::write(&file, text).expect("written");
    let mut evaluator = Command::new(python)
        .arg(concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/tests/flagd/evaluate.py"
        ))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("python starts");
    let asked = json!({"file": file, "flag": "checkout", "users": users});
    evaluator
        .stdin
        .take()
        .expect("piped")
        .write_all(asked.to_string().as_bytes())
        .expect("it reads");
    let output = evaluator.wait_with_output().expect("it ends");
    assert!(output.status.success(), "{definition:#}");
    serde_json::from_slice(&output.stdout).expect("a list of variants")
}

fn population() -> Vec<Value> {
    (0..USERS)
        .map(|user| json!({"targetingKey": format!("user-{user}")}))
        .collect()
}

fn counts(variants: &[String]) -> BTreeMap<&str, usize> {
    let mut counts = BTreeMap::new();
    for variant in variants {
        *counts.entry(variant.as_str()).or_default() += 1;
    }
    counts
}

fn definition(targeting: &Value) -> Value {
    json!({
        "state": "ENABLED", "variants": {"on": "on", "off": "off", "beta": "beta"}, "defaultVariant": "off",
        "targeting": targeting,
    })
}

#[test]
fn flagd_gives_the_share_of_the_step_and_no_user_twice_another_variant() {
    let Some(python) = python() else {
        return;
    };
    let (before, users) = (definition(&json!({})), population());
    let mut last: Vec<String> = vec!["off".to_owned(); USERS];
    for percent in [0, 10, 50, 100] {
        let now = variants(&python, &before, &[FlagChange::Percentage(percent)], &users);
        let on = counts(&now).get("on").copied().unwrap_or_default();
        let wanted = USERS * usize::try_from(percent).expect("a share") / 100;
        assert!(
            on.abs_diff(wanted) <= USERS * 3 / 100,
            "{on} of {USERS} at {percent} %"
        );
        // Who has the new variant keeps it while the share grows.
        let lost = last
            .iter()
            .zip(&now)
            .filter(|(old, new)| *old == "on" && *new != "on");
        assert_eq!(lost.count(), 0, "at {percent} %");
        last = now;
    }
}

#[test]
fn flagd_gives_segments_the_variant_whatever_the_share_is() {
    let Some(python) = python() else {
        return;
    };
    let before = definition(&json!({}));
    let users = [
        json!({"targetingKey": "a", "group": "staff"}),
        json!({"targetingKey": "b", "email": "b@example.com"}),
        json!({"targetingKey": "c", "email": "c@example.org", "group": "guests"}),
        json!({"targetingKey": "d"}),
    ];
    let only = variants(&python, &before, &[staff()], &users);
    assert_eq!(only, ["on", "on", "off", "off"]);
    let with_none = variants(
        &python,
        &before,
        &[staff(), FlagChange::Percentage(0)],
        &users,
    );
    assert_eq!(with_none, ["on", "on", "off", "off"]);
    let with_all = variants(
        &python,
        &before,
        &[staff(), FlagChange::Percentage(100)],
        &users,
    );
    assert_eq!(with_all, ["on", "on", "on", "on"]);
}

#[test]
fn flagd_keeps_what_a_flag_says_of_other_users() {
    let Some(python) = python() else {
        return;
    };
    let rule = json!({"if": [{"==": [{"var": "plan"}, "beta"]}, "beta"]});
    let users = [
        json!({"targetingKey": "a", "plan": "beta"}),
        json!({"targetingKey": "b", "group": "staff"}),
        json!({"targetingKey": "c"}),
    ];
    let now = variants(&python, &definition(&rule), &[staff()], &users);
    assert_eq!(now, ["beta", "on", "off"]);
}
