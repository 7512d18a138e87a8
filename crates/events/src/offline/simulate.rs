//! `events simulate`: which triggers of a Sensor fire for these events, in order, and what they would do.

use std::{
    collections::BTreeMap,
    fs,
    io::Write,
    path::{Path, PathBuf},
    str::FromStr,
};

use anyhow::{Context as _, bail};
use clap::Args;
use jiff::Timestamp;
use reconcile_core::{
    manifests,
    object::{Kind, ObjectKey},
};
use serde_json::{Value, json};

use crate::{
    api::Sensor,
    event::CloudEvent,
    sensor::{
        CheckedSensor, CheckedTrigger,
        annotations::{FILTER_ERRORS, annotation},
        checked::check,
        dependency::FilterOutcome,
        parameter::Events,
        state::{Ledger, Step},
    },
    trigger::{Firing, preview},
};

/// Flags of `events simulate`.
#[derive(Args, Clone, Debug)]
pub struct SimulateArgs {
    /// The file with the Sensor; `-` reads standard input.
    #[arg(long = "filename", short = 'f', required = true, value_name = "FILE")]
    pub file: PathBuf,
    /// An event of a dependency, in the order of the flags: a JSON payload, or a whole CloudEvent.
    #[arg(long = "event", required = true, value_name = "DEPENDENCY=FILE")]
    pub events: Vec<EventFile>,
}

/// `DEPENDENCY=FILE`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventFile {
    dependency: String,
    file: PathBuf,
}

impl FromStr for EventFile {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.split_once('=') {
            Some((dependency, file)) if !dependency.is_empty() && !file.is_empty() => Ok(Self {
                dependency: dependency.to_owned(),
                file: file.into(),
            }),
            _ => Err("must be DEPENDENCY=FILE"),
        }
    }
}

/// Writes one JSON object a line to `out`: for each event and each trigger that waits for it. True when no
/// trigger has a problem and no action fails.
pub fn run(args: &SimulateArgs, now: Timestamp, out: &mut impl Write) -> anyhow::Result<bool> {
    let (sensor, mut good) = sensor(&args.file, out)?;
    let mut states: BTreeMap<&str, TriggerState> = BTreeMap::new();
    for (sequence, given) in (1..).zip(&args.events) {
        let mut waits = false;
        for trigger in &sensor.triggers {
            let dependency = trigger
                .dependencies
                .iter()
                .find(|dependency| dependency.name == given.dependency);
            let Some(dependency) = dependency else {
                continue;
            };
            waits = true;
            let event = read_event(&given.file, sequence, |data| {
                let (source, name) = (&dependency.source, &dependency.event);
                CloudEvent::new(sequence.to_string(), source, "simulated", name, now, data)
            })?;
            let state = states.entry(&trigger.name).or_default();
            let mut line = json!({
                "event": sequence,
                "dependency": given.dependency,
                "trigger": trigger.name,
            });
            match dependency.judge(event, now) {
                FilterOutcome::Accepted(event) => {
                    let decided = state.take(trigger, &given.dependency, sequence, *event);
                    good &= describe(
                        &mut line,
                        decided,
                        &Occasion {
                            sensor: &sensor,
                            trigger,
                            now,
                        },
                    );
                }
                FilterOutcome::Discarded(discard) => {
                    line["outcome"] = json!("discarded");
                    line["reason"] = json!(discard.reason);
                }
                FilterOutcome::Failed(reason) => {
                    good = false;
                    line["outcome"] = json!("failed");
                    line["reason"] = json!(reason);
                }
            }
            writeln!(out, "{line}")?;
        }
        if !waits {
            let name = &given.dependency;
            bail!("--event {name}: no trigger that can run waits for a dependency of this name");
        }
    }
    Ok(good)
}

/// The Sensor of the file, and whether it is free of problems, which are written to `out`.
fn sensor(file: &Path, out: &mut impl Write) -> anyhow::Result<(CheckedSensor, bool)> {
    let mut found = manifests::read_flat(&[file.to_owned()])?;
    found.retain(|manifest| manifest.object["kind"] == Sensor::KIND);
    let [manifest] = found.as_slice() else {
        bail!("{}: holds {} Sensors, not one", file.display(), found.len());
    };
    let text = |pointer: &str| {
        let text = manifest.object.pointer(pointer).and_then(Value::as_str);
        text.unwrap_or_default()
    };
    let namespace = Some(text("/metadata/namespace")).filter(|namespace| !namespace.is_empty());
    let key = ObjectKey::new(namespace.unwrap_or("default"), text("/metadata/name"));
    let (mut sensor, mut problems) = check(&key, "", &manifest.object["spec"])?;
    let errors = annotation(&manifest.object, FILTER_ERRORS);
    sensor.heed_filter_errors(errors, &mut problems);
    let problems = [problems.dependencies, problems.triggers].concat();
    for problem in &problems {
        writeln!(out, "{}", json!({ "problem": problem }))?;
    }
    Ok((sensor, problems.is_empty()))
}

fn read_event(
    file: &Path,
    sequence: u64,
    wrap: impl Fn(bytes::Bytes) -> CloudEvent,
) -> anyhow::Result<CloudEvent> {
    let text = fs::read(file).with_context(|| file.display().to_string())?;
    let value: Value = serde_json::from_slice(&text)
        .with_context(|| format!("{}: event {sequence} is not JSON", file.display()))?;
    if value.get("specversion").is_some() {
        return CloudEvent::decode(&text).with_context(|| file.display().to_string());
    }
    Ok(wrap(text.into()))
}

/// What a trigger remembers between events.
#[derive(Default)]
struct TriggerState {
    ledger: Ledger,
    saved: BTreeMap<String, (u64, CloudEvent)>,
}

/// What follows from an accepted event.
enum Decided {
    /// It is saved until these come.
    Waits,
    /// The trigger fires with these events.
    Fires(BTreeMap<String, (u64, CloudEvent)>),
}

impl TriggerState {
    fn take(
        &mut self,
        trigger: &CheckedTrigger,
        dependency: &str,
        sequence: u64,
        event: CloudEvent,
    ) -> Decided {
        let this = (dependency.to_owned(), (sequence, event));
        if trigger.acts_per_event() {
            return Decided::Fires(BTreeMap::from([this]));
        }
        let saved = self.saved.iter();
        let saved = saved.map(|(name, (sequence, _))| (name.clone(), *sequence));
        let step = self
            .ledger
            .step(&trigger.condition, &saved.collect(), dependency, sequence);
        self.saved.extend([this]);
        match step {
            Step::Fire(set) => {
                self.ledger = self.ledger.begin(set).end();
                Decided::Fires(std::mem::take(&mut self.saved))
            }
            // Sequences only grow here, so no event was dealt with before.
            Step::Save | Step::Done => Decided::Waits,
        }
    }
}

struct Occasion<'o> {
    sensor: &'o CheckedSensor,
    trigger: &'o CheckedTrigger,
    now: Timestamp,
}

/// Adds the outcome to a line. False when the action fails.
fn describe(line: &mut Value, decided: Decided, occasion: &Occasion<'_>) -> bool {
    let Occasion {
        sensor,
        trigger,
        now,
    } = *occasion;
    let events = match decided {
        Decided::Waits => {
            line["outcome"] = json!("saved");
            line["reason"] = json!(format!("waits for {}", trigger.condition.text()));
            return true;
        }
        Decided::Fires(events) => events,
    };
    let sequences: BTreeMap<&String, u64> = events
        .iter()
        .map(|(name, (sequence, _))| (name, *sequence))
        .collect();
    line["outcome"] = json!("fired");
    line["events"] = json!(sequences);
    let firing = Firing {
        id: String::new(),
        sensor: sensor.key.clone(),
        trigger: trigger.name.clone(),
        service_account: sensor.service_account.clone(),
        events: events
            .into_iter()
            .map(|(name, (_, event))| (name, event))
            .collect::<Events>(),
        now,
    };
    match preview(&trigger.task, &firing) {
        Ok(action) => {
            line["action"] = action;
            true
        }
        Err(error) => {
            line["error"] = json!(error.to_string());
            false
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SENSOR: &str = r"
apiVersion: argoproj.io/v1alpha1
kind: Sensor
metadata: {name: shop}
spec:
  dependencies:
    - name: order
      eventSourceName: hook
      eventName: order
      filters: {data: [{path: body.amount, type: number, comparator: '>', value: ['10']}]}
    - {name: paid, eventSourceName: hook, eventName: paid}
  triggers:
    - template:
        name: both
        k8s:
          source: {resource: {apiVersion: v1, kind: ConfigMap, metadata: {name: x}, data: {}}}
          parameters: [{src: {dependencyName: order, dataKey: body.id}, dest: data.id}]
    - template:
        name: each
        conditions: paid
        http:
          url: http://shop/
          payload: [{src: {dependencyName: paid, dataKey: body.id}, dest: id}]
";

    #[test]
    fn each_event_and_trigger_is_a_line() {
        let home = tempfile::tempdir().expect("a directory");
        let file = |name: &str, text: &str| {
            let path = home.path().join(name);
            fs::write(&path, text).expect("written");
            path
        };
        let event = |dependency: &str, name: &str, text: &str| EventFile {
            dependency: dependency.to_owned(),
            file: file(name, text),
        };
        let args = SimulateArgs {
            file: file("sensor.yaml", SENSOR),
            events: vec![
                event("order", "small.json", r#"{"body":{"id":"a","amount":5}}"#),
                event("order", "large.json", r#"{"body":{"id":"b","amount":50}}"#),
                event("paid", "paid.json", r#"{"body":{"id":"c"}}"#),
            ],
        };
        let now = "2026-01-02T03:04:05Z".parse().expect("a time");
        let mut out = Vec::new();
        assert!(run(&args, now, &mut out).expect("an answer"));
        let lines: Vec<Value> = String::from_utf8(out)
            .expect("text")
            .lines()
            .map(|line| serde_json::from_str(line).expect("JSON"))
            .collect();
        let outcomes: Vec<(&str, &str)> = lines
            .iter()
            .map(|line| {
                let text = |key: &str| line[key].as_str().unwrap_or_default();
                (text("trigger"), text("outcome"))
            })
            .collect();
        assert_eq!(
            outcomes,
            [
                ("both", "discarded"),
                ("both", "saved"),
                ("both", "fired"),
                ("each", "fired")
            ]
        );
        assert_eq!(lines[2]["events"], json!({"order": 2, "paid": 3}));
        assert_eq!(
            lines[2]["action"],
            json!({"k8s": {"operation": "create", "object": {
                "apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "x"}, "data": {"id": "b"},
            }}})
        );
        assert_eq!(
            lines[3]["action"],
            json!({"http": {"method": "POST", "url": "http://shop/", "headers": {}, "body": {"id": "c"}}})
        );
    }

    #[test]
    fn an_event_that_nobody_waits_for_is_an_error() {
        assert!("order".parse::<EventFile>().is_err());
        let home = tempfile::tempdir().expect("a directory");
        let sensor = home.path().join("sensor.yaml");
        fs::write(&sensor, SENSOR).expect("written");
        let args = SimulateArgs {
            events: vec!["refund=x.json".parse().expect("an event")],
            file: sensor,
        };
        let error = run(&args, Timestamp::UNIX_EPOCH, &mut Vec::new()).expect_err("refused");
        assert!(error.to_string().starts_with("--event refund: "), "{error}");
    }
}
