//! Alerts: checked by promtool, and each one tested to fire when it should, and not before.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, ensure};
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
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join(format!("../charts/{0}/rules/{0}.yaml", which.name()))
}

/// The names of alerts at `path` of each item of a list.
fn alerts<'v>(items: &'v Value, name: &str) -> impl Iterator<Item = String> + use<'v> {
    let name = name.to_owned();
    items
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(move |item| item[&name].as_str().map(str::to_owned))
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
        let groups = known["groups"].as_array().into_iter().flatten();
        let known: BTreeSet<String> = groups
            .flat_map(|group| alerts(&group["rules"], "alert"))
            .collect();
        let tested = yaml::value(&tests)?;
        let cases = tested["tests"].as_array().into_iter().flatten();
        let fires = |case: &&Value| {
            let expected = case["alert_rule_test"].as_array().into_iter().flatten();
            let mut expected = expected.filter_map(|test| test["exp_alerts"].as_array());
            expected.any(|alerts| !alerts.is_empty())
        };
        let tested: BTreeSet<String> = cases
            .filter(fires)
            .flat_map(|case| alerts(&case["alert_rule_test"], "alertname"))
            .collect();
        assert_eq!(tested, known, "{name} has a test in which each alert fires");
        let path = folder.path().join("test.yaml");
        let rules = rules.canonicalize()?.display().to_string();
        std::fs::write(&path, tests.replace("RULES", &rules))?;
        promtool(&["test", "rules", path.to_str().context("UTF-8")?])?;
    }
    Ok(())
}
