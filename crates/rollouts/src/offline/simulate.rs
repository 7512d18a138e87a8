//! `rollouts simulate`: the whole update as it would happen.

use std::{io::Write, path::PathBuf};

use anyhow::{Context, bail};
use clap::{Args, ValueEnum};
use reconcile_core::object::Kind;
use serde_json::Value;

use super::{files, placed};
use crate::{
    analysis::build::RunType,
    api::rollout::RolloutKind,
    rollout::{
        forecast::{Forecast, Pods, Scenario, forecast},
        offline::Snapshot,
    },
};

/// Flags of `rollouts simulate`.
#[derive(Args, Clone, Debug)]
pub struct SimulateArgs {
    /// Files and directories with the Rollout that is wanted and its templates; `-` reads standard input.
    #[arg(long = "filename", short = 'f', required = true, value_name = "FILE")]
    pub files: Vec<PathBuf>,
    /// File with the Rollout that is there; without it the first deployment is simulated.
    #[arg(long, value_name = "FILE")]
    pub from: Option<PathBuf>,
    /// The analysis that fails: the index of a canary step, `background`, `pre` or `post`.
    #[arg(long, value_name = "STEP")]
    pub fail_analysis: Option<String>,
    /// Form of the answer.
    #[arg(long, short = 'o', default_value = "text", value_enum)]
    pub output: Output,
}

/// Form of the answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Output {
    /// A table.
    Text,
    /// JSON.
    Json,
}

/// Simulates the update and writes it to `out`. An error says why it cannot be simulated.
pub fn run(args: &SimulateArgs, out: &mut impl Write) -> anyhow::Result<()> {
    let mut snapshot = Snapshot::default();
    let new = rollout(&args.files, &mut snapshot)?;
    let old = match &args.from {
        Some(file) => Some(rollout(std::slice::from_ref(file), &mut snapshot)?),
        None => None,
    };
    for object in [Some(&new), old.as_ref()].into_iter().flatten() {
        snapshot.assume_all(object)?;
    }
    let failing = args.fail_analysis.as_deref().map(run_type).transpose()?;
    let scenario = Scenario { failing };
    let forecast = forecast(&snapshot, old.as_ref(), &new, scenario)
        .map_err(|reason| anyhow::anyhow!("refused: {reason}"))?;
    match args.output {
        Output::Text => out.write_all(table(&forecast).as_bytes())?,
        Output::Json => {
            serde_json::to_writer_pretty(&mut *out, &forecast)?;
            writeln!(out)?;
        }
    }
    Ok(())
}

/// The one Rollout of the files; everything else goes into `snapshot`.
fn rollout(paths: &[PathBuf], snapshot: &mut Snapshot) -> anyhow::Result<Value> {
    let mut found = None;
    for manifest in files::read(paths)? {
        let object = placed(manifest.object);
        if object["kind"] != RolloutKind::KIND {
            snapshot
                .add(&object)
                .with_context(|| manifest.file.clone())?;
        } else if found.replace(object).is_some() {
            bail!("{}: there is more than one Rollout", manifest.file);
        }
    }
    found.context("there is no Rollout in the files")
}

fn run_type(text: &str) -> anyhow::Result<RunType> {
    Ok(match text {
        "background" => RunType::Background,
        "pre" => RunType::PrePromotion,
        "post" => RunType::PostPromotion,
        index => RunType::Step(index.parse().with_context(|| {
            format!("--fail-analysis {index}: use the index of a step, background, pre or post")
        })?),
    })
}

fn table(forecast: &Forecast) -> String {
    let mut rows = vec![
        [
            "TIME",
            "STEP",
            "WEIGHT",
            "STABLE",
            "CANARY",
            "AVAILABLE",
            "MINIMUM",
            "PHASE",
            "REASON",
        ]
        .map(str::to_owned),
    ];
    let pods = |pods: Pods| format!("{}/{}", pods.available, pods.replicas);
    rows.extend(forecast.rows.iter().map(|row| {
        [
            time(row.seconds),
            row.step
                .map_or_else(|| "-".to_owned(), |step| step.to_string()),
            format!("{}%", row.weight),
            pods(row.stable),
            pods(row.canary),
            row.available.to_string(),
            row.available_minimum.to_string(),
            row.phase.clone(),
            row.reason.clone(),
        ]
    }));
    let mut widths = [0; 9];
    for row in &rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = cell.chars().count().max(*width);
        }
    }
    let mut text = String::new();
    for row in &rows {
        let cells = row
            .iter()
            .zip(widths)
            .map(|(cell, width)| format!("{cell:<width$}"));
        text.push_str(cells.collect::<Vec<_>>().join("  ").trim_end());
        text.push('\n');
    }
    let Forecast { phase, message, .. } = forecast;
    let end = if message.is_empty() {
        phase.clone()
    } else {
        format!("{phase}: {message}")
    };
    format!("{text}\n{end}\n")
}

fn time(seconds: i64) -> String {
    let (minutes, seconds) = (seconds / 60, seconds % 60);
    match (minutes / 60, minutes % 60) {
        (0, 0) => format!("{seconds}s"),
        (0, minutes) => format!("{minutes}m{seconds:02}s"),
        (hours, minutes) => format!("{hours}h{minutes:02}m{seconds:02}s"),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn an_update_is_printed_as_a_table_and_as_json() {
        let home = tempfile::tempdir().expect("a directory");
        let write = |name: &str, image: &str| {
            let path = home.path().join(name);
            let text = format!(
                "{{apiVersion: argoproj.io/v1alpha1, kind: Rollout, metadata: {{name: web}}, spec: {{replicas: 2, \
                 selector: {{matchLabels: {{a: b}}}}, template: {{metadata: {{labels: {{a: b}}}}, spec: {{containers: \
                 [{{name: c, image: {image}}}]}}}}, strategy: {{canary: {{steps: [{{setWeight: 50}}, {{pause: {{duration: 1h}}}}]}}}}}}}}"
            );
            fs::write(&path, text).expect("a file");
            path
        };
        let mut args = SimulateArgs {
            files: vec![write("new.yaml", "v2")],
            from: Some(write("old.yaml", "v1")),
            fail_analysis: None,
            output: Output::Text,
        };
        let reported = |args: &SimulateArgs| {
            let mut out = Vec::new();
            run(args, &mut out).expect("a simulation");
            String::from_utf8(out).expect("text")
        };
        let text = reported(&args);
        assert!(text.starts_with("TIME "), "{text}");
        assert!(text.contains(" 50% ") && text.contains("1h00m"), "{text}");
        assert!(text.ends_with("\n\nHealthy\n"), "{text}");
        args.output = Output::Json;
        let json: Value = serde_json::from_str(&reported(&args)).expect("JSON");
        assert_eq!(json["phase"], "Healthy");
        assert_eq!(json["rows"][0]["weight"], 50);
        args.fail_analysis = Some("sometimes".to_owned());
        let error = run(&args, &mut Vec::new())
            .expect_err("no step")
            .to_string();
        assert!(error.starts_with("--fail-analysis sometimes: "), "{error}");
    }
}
