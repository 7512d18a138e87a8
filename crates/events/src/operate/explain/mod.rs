//! `events explain`: why a Sensor did or did not fire.
//!
//! ```text
//!   Sensor ──► per trigger and dependency: the consumer, the last events, what each filter says of them
//!          ──► per trigger: saved events, what the condition waits for, dead letters
//! ```

mod look;
mod state;

use std::{
    collections::BTreeMap,
    io::Write,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, bail};
use clap::Args;
use jiff::{SignedDuration, Timestamp};
use reconcile_core::{
    manifests,
    object::{Kind, ObjectKey},
};
use serde::Serialize;
use serde_json::Value;

use self::look::Look;
use super::{BusArgs, connection, tail::Output};
use crate::{
    api::Sensor,
    bus::From,
    sensor::{
        CheckedSensor,
        annotations::{FILTER_ERRORS, annotation},
        checked::check,
    },
};

/// Flags of `events explain`.
#[derive(Args, Clone, Debug)]
pub struct ExplainArgs {
    /// The bus.
    #[command(flatten)]
    pub bus: BusArgs,
    /// Name of the Sensor.
    #[arg(value_name = "SENSOR")]
    pub sensor: String,
    /// File with the Sensor; it is read from the cluster when absent.
    #[arg(long = "filename", short = 'f', value_name = "FILE")]
    pub file: Option<PathBuf>,
    /// Look at the events of this time, for example 30m.
    #[arg(long, default_value = "1h", value_name = "DURATION", value_parser = connection::span)]
    pub since: SignedDuration,
    /// Show so many events of each dependency, the last ones.
    #[arg(long, default_value_t = 5, value_name = "COUNT")]
    pub last: usize,
    /// Form: text or json.
    #[arg(long, short = 'o', default_value = "text")]
    pub output: Output,
}

/// What is to be said about a Sensor.
#[derive(Debug, Serialize)]
struct Explanation {
    sensor: String,
    /// What is wrong with the manifest.
    problems: Vec<String>,
    triggers: Vec<TriggerExplanation>,
}

#[derive(Debug, Serialize)]
struct TriggerExplanation {
    name: String,
    condition: String,
    /// For a condition over several dependencies: what is saved, by dependency.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    saved: BTreeMap<String, String>,
    /// Why it does not fire now, or what happens next.
    state: String,
    dependencies: Vec<DependencyExplanation>,
    /// The last dead letters.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    dead_letters: Vec<String>,
}

#[derive(Debug, Serialize)]
struct DependencyExplanation {
    name: String,
    subject: String,
    consumer: String,
    events: Vec<EventExplanation>,
}

#[derive(Debug, Serialize)]
struct EventExplanation {
    message: u64,
    time: String,
    id: String,
    /// What the filters say, and how far the event is.
    verdict: String,
}

/// Writes the explanation. True when the manifest has no problem.
pub async fn run(args: &ExplainArgs, now: Timestamp, out: &mut impl Write) -> anyhow::Result<bool> {
    let (sensor, problems) = sensor(args).await?;
    let browser = args.bus.connect().await?;
    let look = Look {
        browser,
        from: From::Time(now.checked_sub(args.since).unwrap_or(Timestamp::MIN)),
        last: args.last,
        sensor,
    };
    let mut triggers = Vec::with_capacity(look.sensor.triggers.len());
    for trigger in &look.sensor.triggers {
        triggers.push(look.trigger(trigger).await?);
    }
    let explanation = Explanation {
        sensor: look.sensor.key.to_string(),
        problems,
        triggers,
    };
    match args.output {
        Output::Json => writeln!(out, "{}", serde_json::to_string_pretty(&explanation)?)?,
        Output::Text => print(&explanation, out)?,
    }
    Ok(explanation.problems.is_empty())
}

async fn sensor(args: &ExplainArgs) -> anyhow::Result<(CheckedSensor, Vec<String>)> {
    let key = ObjectKey::new(&args.bus.namespace, &args.sensor);
    let object = match &args.file {
        Some(file) => object_of_file(file, &args.sensor)?,
        None => object_of_cluster(args, &key).await?,
    };
    let uid = object["metadata"]["uid"].as_str().unwrap_or_default();
    let (mut sensor, mut problems) = check(&key, uid, &object["spec"])?;
    sensor.heed_filter_errors(annotation(&object, FILTER_ERRORS), &mut problems);
    Ok((sensor, [problems.dependencies, problems.triggers].concat()))
}

fn object_of_file(file: &Path, name: &str) -> anyhow::Result<Value> {
    let mut found = manifests::read_flat(&[file.to_owned()])?;
    found.retain(|manifest| {
        let found = manifest.object.pointer("/metadata/name");
        manifest.object["kind"] == Sensor::KIND && found.and_then(Value::as_str) == Some(name)
    });
    let [manifest] = found.as_mut_slice() else {
        bail!("{}: holds no Sensor {name}", file.display());
    };
    Ok(manifest.object.take())
}

async fn object_of_cluster(args: &ExplainArgs, key: &ObjectKey) -> anyhow::Result<Value> {
    let client = args.bus.client().await;
    let client = client.context("cannot reach the cluster")?;
    let object = connection::read::<Sensor>(&client, &key.namespace, &key.name).await?;
    Ok(serde_json::to_value(object)?)
}

fn print(explanation: &Explanation, out: &mut impl Write) -> anyhow::Result<()> {
    writeln!(out, "Sensor {}", explanation.sensor)?;
    for problem in &explanation.problems {
        writeln!(out, "  problem: {problem}")?;
    }
    for trigger in &explanation.triggers {
        writeln!(
            out,
            "trigger {} (fires when {})",
            trigger.name, trigger.condition
        )?;
        writeln!(out, "  {}", trigger.state)?;
        for (name, saved) in &trigger.saved {
            writeln!(out, "  saved for {name}: {saved}")?;
        }
        for dependency in &trigger.dependencies {
            writeln!(
                out,
                "  dependency {} ({})",
                dependency.name, dependency.subject
            )?;
            writeln!(out, "    {}", dependency.consumer)?;
            for event in &dependency.events {
                let EventExplanation {
                    message,
                    time,
                    id,
                    verdict,
                } = event;
                writeln!(out, "    {time} {message:>8} {id} {verdict}")?;
            }
        }
        for letter in &trigger.dead_letters {
            writeln!(out, "  {letter}")?;
        }
    }
    Ok(())
}
