//! `events lint`: what the controller would refuse, with file and field.

use std::{io::Write, path::PathBuf};

use clap::Args;
use reconcile_core::{
    fields,
    manifests::{self, Manifest},
    object::{Kind, ObjectKey},
};
use serde_json::Value;

use crate::{
    api::{EventBus, EventSource, Sensor, findings::sensor_findings},
    controller::{
        eventbus::{self, BusDefaults},
        eventsource,
    },
    sensor::{
        self,
        annotations::{FILTER_ERRORS, annotation},
    },
};

/// Flags of `events lint`.
#[derive(Args, Clone, Debug)]
pub struct LintArgs {
    /// Read the directories of directories too.
    #[arg(long, short = 'R')]
    pub recursive: bool,
    /// Files and directories with `EventBuses`, EventSources and Sensors; `-` reads standard input.
    #[arg(required = true, value_name = "PATH")]
    pub paths: Vec<PathBuf>,
}

/// What is wrong with a manifest.
struct Finding {
    text: String,
    /// The object works without it.
    is_warning: bool,
}

/// Checks the files and writes what is wrong to `out`. True when nothing is refused.
pub fn run(args: &LintArgs, out: &mut impl Write) -> anyhow::Result<bool> {
    let found = if args.recursive {
        manifests::read(&args.paths)?
    } else {
        manifests::read_flat(&args.paths)?
    };
    let (mut checked, mut refused) = (0, 0);
    for Manifest { file, object } in &found {
        let Some(findings) = findings(object) else {
            continue;
        };
        checked += 1;
        refused += usize::from(findings.iter().any(|finding| !finding.is_warning));
        let (kind, name) = (text(object, "/kind"), text(object, "/metadata/name"));
        for Finding { text, is_warning } in findings {
            let mark = if is_warning { "warning: " } else { "" };
            writeln!(out, "{file}: {kind} {name}: {mark}{text}")?;
        }
    }
    writeln!(out, "{checked} objects checked, {refused} refused")?;
    Ok(refused == 0)
}

fn text<'v>(object: &'v Value, pointer: &str) -> &'v str {
    let text = object.pointer(pointer).and_then(Value::as_str);
    text.unwrap_or_default()
}

/// What is wrong with an object; `None` for kinds that this program does not serve.
fn findings(object: &Value) -> Option<Vec<Finding>> {
    let (kind, name) = (text(object, "/kind"), text(object, "/metadata/name"));
    if text(object, "/apiVersion") != "argoproj.io/v1alpha1" {
        return None;
    }
    let spec = &object["spec"];
    let (problems, unserved, ignored) = match kind {
        EventBus::KIND => {
            let key = ObjectKey::new(text(object, "/metadata/namespace"), name);
            let asked = text(spec, "/jetstream/version");
            let defaults = BusDefaults::with_version(asked);
            let problem = eventbus::validate::check(&key, spec, &defaults).err();
            let problems = problem.map(|problem| problem.to_string());
            (
                problems.into_iter().collect(),
                Vec::new(),
                eventbus::validate::findings(spec),
            )
        }
        EventSource::KIND => {
            let (problems, unserved) = match eventsource::validate::check(name, spec) {
                Ok(checked) => (checked.problems, checked.unsupported),
                Err(problem) => (vec![problem.to_string()], Vec::new()),
            };
            (problems, unserved, eventsource::validate::findings(spec))
        }
        Sensor::KIND => {
            let key = ObjectKey::new(text(object, "/metadata/namespace"), name);
            let problems = match sensor::checked::check(&key, "", spec) {
                Ok((mut sensor, mut problems)) => {
                    let errors = annotation(object, FILTER_ERRORS);
                    sensor.heed_filter_errors(errors, &mut problems);
                    [problems.dependencies, problems.triggers].concat()
                }
                Err(problem) => vec![problem.to_string()],
            };
            (problems, Vec::new(), sensor_findings(spec))
        }
        _ => return None,
    };
    let unserved = unserved
        .into_iter()
        .map(|path| format!("{path}: not supported yet"));
    let ignored = Some(fields::message(&ignored)).filter(|message| !message.is_empty());
    let problems: Vec<String> = problems;
    let mut all: Vec<Finding> = problems
        .into_iter()
        .chain(unserved)
        .map(|text| Finding {
            // Upstream takes it.
            is_warning: text.contains("not supported") || text.contains("which has a problem"),
            text,
        })
        .collect();
    all.extend(ignored.map(|text| Finding {
        text: format!("spec: {text}"),
        is_warning: true,
    }));
    Some(all)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn what_is_refused_has_file_and_field_and_what_is_ignored_is_a_warning() {
        let home = tempfile::tempdir().expect("a directory");
        let file = |name: &str, text: &str| {
            let path = home.path().join(name);
            fs::create_dir_all(path.parent().expect("a parent")).expect("a directory");
            fs::write(path, text).expect("written");
        };
        file(
            "good.yaml",
            "{apiVersion: argoproj.io/v1alpha1, kind: EventSource, metadata: {name: a}, spec: {calendar: {t: {interval: 1h}}, \
             unheardOf: 1}}\n---\n{apiVersion: v1, kind: ConfigMap, metadata: {name: x}}",
        );
        file(
            "deep/bad.yaml",
            "{apiVersion: argoproj.io/v1alpha1, kind: Sensor, metadata: {name: b}, spec: {dependencies: \
             [{name: d, eventSourceName: a, eventName: t}], triggers: [{template: {name: t, http: {url: 'ftp://x'}}}]}}\n---\n\
             {apiVersion: argoproj.io/v1alpha1, kind: EventSource, metadata: {name: c}, spec: {calendar: {t: {interval: soon}}}}",
        );
        let lint = |recursive| {
            let args = LintArgs {
                recursive,
                paths: vec![home.path().to_owned()],
            };
            let mut out = Vec::new();
            let good = run(&args, &mut out).expect("an answer");
            let out = String::from_utf8(out).expect("text");
            (good, out.replace(&home.path().display().to_string(), "DIR"))
        };
        let warning = "DIR/good.yaml: EventSource a: warning: spec: not supported yet and ignored: spec.unheardOf (unknown field)\n";
        let flat = format!("{warning}1 objects checked, 0 refused\n");
        assert_eq!(lint(false), (true, flat));
        let (good, all) = lint(true);
        assert!(!good && all.contains(warning), "{all}");
        for line in [
            "DIR/deep/bad.yaml: Sensor b: spec.triggers[0].template.http.url: must be http or https\n",
            "DIR/deep/bad.yaml: EventSource c: spec.calendar.t.interval: ",
            "\n3 objects checked, 2 refused\n",
        ] {
            assert!(all.contains(line), "{all}");
        }
    }
}
