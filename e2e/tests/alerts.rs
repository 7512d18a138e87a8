//! Alerts: checked by promtool, and each one tested to fire when it should, and not before.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, ensure};
use e2e::charts;
use e2e::stack::Which;
use e2e::tools::{self, Tool};
use reconcile_core::yaml;
use serde_json::Value;

fn promtool(args: &[&str]) -> Result<()> {
    let binaries = tools::ensure(&[Tool::Promtool])?;
    let output = Command::new(binaries.path(Tool::Promtool)?)
        .args(args)
        .stdin(Stdio::null())
        .output()?;
    ensure!(
        output.status.success(),
        "promtool {}:\n{}{}",
        args.join(" "),
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(())
}

fn rules(which: Which) -> PathBuf {
    charts::path(which.name()).join(format!("rules/{}.yaml", which.name()))
}

fn list<'v>(value: &'v Value, key: &str) -> impl Iterator<Item = &'v Value> {
    value[key].as_array().into_iter().flatten()
}

#[test]
fn promtool_accepts_the_rules() -> Result<()> {
    for which in Which::ALL {
        let path = rules(which);
        let path = path.to_str().context("UTF-8")?;
        promtool(&["check", "rules", "--lint=all", "--lint-fatal", path])?;
    }
    Ok(())
}

#[test]
fn each_alert_fires_when_it_should() -> Result<()> {
    let folder = tempfile::tempdir()?;
    for which in Which::ALL {
        let name = format!("tests/rules/{}.yaml", which.name());
        let tests = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(&name))?;
        let rules = rules(which);
        let known = yaml::value(&std::fs::read_to_string(&rules)?)?;
        let known: BTreeSet<&str> = list(&known, "groups")
            .flat_map(|group| list(group, "rules"))
            .filter_map(|rule| rule["alert"].as_str())
            .collect();
        let cases = yaml::value(&tests)?;
        let tested: BTreeSet<&str> = list(&cases, "tests")
            .flat_map(|case| list(case, "alert_rule_test"))
            .filter(|test| list(test, "exp_alerts").next().is_some())
            .filter_map(|test| test["alertname"].as_str())
            .collect();
        assert_eq!(tested, known, "{name} has a test in which each alert fires");
        let path = folder.path().join("test.yaml");
        let rules = rules.canonicalize()?.display().to_string();
        std::fs::write(&path, tests.replace("RULES", &rules))?;
        promtool(&["test", "rules", path.to_str().context("UTF-8")?])?;
    }
    Ok(())
}
