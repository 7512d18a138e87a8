//! `rollouts lint`: what the controller would refuse, with file, field and fix.

use std::{io::Write, path::PathBuf};

use clap::Args;
use reconcile_core::{
    fields,
    object::{FieldError, Root},
};
use serde_json::Value;

use super::{
    files::{self, Manifest},
    placed,
};
use crate::{
    analysis,
    api::{
        analysis::{AnalysisRun, AnalysisTemplate, AnalysisTemplateSpec, ClusterAnalysisTemplate},
        experiment::{Experiment, ExperimentKind},
        fields as rollout_fields,
        rollout::RolloutKind,
    },
    experiment,
    rollout::offline::Snapshot,
};
use reconcile_core::object::Kind;

/// Flags of `rollouts lint`.
#[derive(Args, Clone, Debug)]
pub struct LintArgs {
    /// Files and directories with Rollouts, Experiments, templates and AnalysisRuns; `-` reads standard input. Services
    /// and templates that the files do not have are taken as given.
    #[arg(long = "filename", short = 'f', required = true, value_name = "FILE")]
    pub files: Vec<PathBuf>,
}

/// What is wrong with a manifest.
#[derive(Debug, PartialEq, Eq)]
struct Finding {
    error: FieldError,
    /// The controller ignores the field.
    is_warning: bool,
}

/// Checks the files and writes what is wrong to `out`. True when nothing is refused.
pub fn run(args: &LintArgs, out: &mut impl Write) -> anyhow::Result<bool> {
    let manifests: Vec<Manifest> = files::read(&args.files)?
        .into_iter()
        .map(|manifest| Manifest {
            object: placed(manifest.object),
            ..manifest
        })
        .collect();
    let mut snapshot = Snapshot::default();
    let (mut checked, mut refused) = (0, 0);
    let mut unreadable = Vec::new();
    for manifest in &manifests {
        // What cannot be added is reported where it is checked.
        unreadable.push(snapshot.add(&manifest.object).err());
    }
    for (manifest, unreadable) in manifests.iter().zip(unreadable) {
        let object = &manifest.object;
        let Some(findings) = findings(object, &snapshot) else {
            continue;
        };
        checked += 1;
        let at = format!(
            "{}: {} {}",
            manifest.file,
            text(object, "/kind"),
            name(object)
        );
        if let Some(error) = unreadable {
            refused += 1;
            writeln!(out, "{at}: {error:#}")?;
            continue;
        }
        refused += usize::from(findings.iter().any(|finding| !finding.is_warning));
        for finding in findings {
            let mark = if finding.is_warning { "warning: " } else { "" };
            writeln!(out, "{at}: {mark}{}", finding.error)?;
        }
    }
    writeln!(out, "{checked} objects checked, {refused} refused")?;
    Ok(refused == 0)
}

fn text<'v>(object: &'v Value, pointer: &str) -> &'v str {
    object
        .pointer(pointer)
        .and_then(Value::as_str)
        .unwrap_or_default()
}

fn name(object: &Value) -> String {
    match (
        text(object, "/metadata/namespace"),
        text(object, "/metadata/name"),
    ) {
        ("", name) => name.to_owned(),
        (namespace, name) => format!("{namespace}/{name}"),
    }
}

/// What is wrong with an object; `None` for kinds that this program does not serve.
fn findings(object: &Value, snapshot: &Snapshot) -> Option<Vec<Finding>> {
    let kind = text(object, "/kind");
    let parse = |spec: Result<AnalysisTemplateSpec, FieldError>| match spec {
        Ok(spec) => analysis::lint(&spec),
        Err(error) => vec![error],
    };
    let (errors, ledger) = match kind {
        RolloutKind::KIND => {
            let refused = match Root::from_value(object) {
                Ok(root) => snapshot
                    .refusal(&root)
                    .map(|error| field_error(&error.to_string())),
                Err(error) => Some(field_error(&error.to_string())),
            };
            let ignored = rollout_fields::unsupported(&object["spec"]);
            let warning = (!ignored.is_empty()).then(|| Finding {
                error: FieldError::new("spec", ignored),
                is_warning: true,
            });
            let refused = refused.map(refusal);
            return Some(refused.into_iter().chain(warning).collect());
        }
        ExperimentKind::KIND => {
            let refused = match Experiment::from_value(object) {
                Ok(root) => experiment::refusal(&root),
                Err(error) => Some(field_error(&error.to_string())),
            };
            (refused.into_iter().collect(), kind)
        }
        AnalysisTemplate::KIND => (parse(spec::<AnalysisTemplate>(object)), kind),
        ClusterAnalysisTemplate::KIND => (parse(spec::<ClusterAnalysisTemplate>(object)), kind),
        AnalysisRun::KIND => {
            let errors = match Root::<AnalysisRun>::from_value(object) {
                Ok(root) => match root.parse_spec() {
                    Ok(spec) => analysis::lint(&AnalysisTemplateSpec {
                        metrics: spec.metrics,
                        args: spec.args,
                        dry_run: spec.dry_run,
                        measurement_retention: spec.measurement_retention,
                        templates: Vec::new(),
                    }),
                    Err(error) => vec![error],
                },
                Err(error) => vec![field_error(&error.to_string())],
            };
            (errors, kind)
        }
        _ => return None,
    };
    let ignored = rollout_fields::LEDGERS
        .iter()
        .find(|table| table.kind == ledger)
        .map(|table| fields::message(&table.findings(&object["spec"], "spec")))
        .filter(|ignored| !ignored.is_empty());
    let warning = ignored.map(|ignored| Finding {
        error: FieldError::new("spec", ignored),
        is_warning: true,
    });
    Some(errors.into_iter().map(refusal).chain(warning).collect())
}

fn refusal(error: FieldError) -> Finding {
    Finding {
        error,
        is_warning: false,
    }
}

fn spec<K: Kind<Spec = AnalysisTemplateSpec>>(
    object: &Value,
) -> Result<AnalysisTemplateSpec, FieldError> {
    let root = Root::<K>::from_value(object).map_err(|error| field_error(&error.to_string()))?;
    root.parse_spec()
}

/// Errors of a whole object have their path in front already.
fn field_error(text: &str) -> FieldError {
    match text.split_once(": ") {
        Some((path, message)) if !path.contains(' ') => FieldError::new(path, message),
        _ => FieldError::new("spec", text),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn lint(text: &str) -> (bool, String) {
        let home = tempfile::tempdir().expect("a directory");
        fs::write(home.path().join("x.yaml"), text).expect("a file");
        let args = LintArgs {
            files: vec![home.path().to_owned()],
        };
        let mut out = Vec::new();
        let good = run(&args, &mut out).expect("an answer");
        let text = String::from_utf8(out).expect("text");
        (
            good,
            text.replace(&home.path().display().to_string(), "DIR"),
        )
    }

    const TEMPLATE: &str =
        "{apiVersion: argoproj.io/v1alpha1, kind: AnalysisTemplate, metadata: {name: t}, spec: ";

    #[test]
    fn good_manifests_are_counted() {
        let spec = "{args: [{name: host}, {name: every}], metrics: [{name: m, interval: '{{args.every}}', \
            successCondition: 'result[0] > 0.9', provider: {prometheus: {address: '{{args.host}}', query: up}}}]}}";
        let (good, text) = lint(&format!(
            "{TEMPLATE}{spec}\n---\nkind: ConfigMap\nmetadata: {{name: x}}\n"
        ));
        assert_eq!(
            (good, text.as_str()),
            (true, "1 objects checked, 0 refused\n")
        );
    }

    #[test]
    fn what_is_refused_has_file_field_and_fix() {
        for (spec, expected) in [
            (
                "{metrics: [{name: m, provider: {web: {url: x}}}]}}",
                "spec.metrics[0].provider.web.url: \"x\" is not a URL: relative URL without a base; use for example http://host:9090",
            ),
            (
                "{metrics: [{name: m, successCondition: 'result >', provider: {web: {url: 'http://x'}}}]}}",
                "spec.metrics[0].successCondition: ",
            ),
            (
                "{metrics: {}}}",
                "spec.metrics: invalid type: map, expected a sequence",
            ),
            (
                "{metrics: [{name: m, count: 2, provider: {web: {url: 'http://x'}}}]}}",
                "spec.metrics[0]: interval must be specified when count > 1",
            ),
        ] {
            let (good, text) = lint(&format!("{TEMPLATE}{spec}"));
            assert!(!good);
            let expected = format!("DIR/x.yaml: AnalysisTemplate default/t: {expected}");
            assert!(text.starts_with(&expected), "{text}");
        }
    }

    #[test]
    fn experiments_are_checked() {
        let experiment = |selector: &str| {
            format!(
                "{{apiVersion: argoproj.io/v1alpha1, kind: Experiment, metadata: {{name: ab}}, spec: {{duration: 5m, typo: 1, \
                 templates: [{{name: a, selector: {{matchLabels: {{app: {selector}}}}}, template: {{metadata: {{labels: {{app: x}}}}, \
                 spec: {{containers: [{{name: c, image: i}}]}}}}}}]}}}}"
            )
        };
        let (good, text) = lint(&experiment("x"));
        assert!(
            good && text.contains("Experiment default/ab: warning: ") && text.contains("spec.typo"),
            "{text}"
        );
        let (good, text) = lint(&experiment("other"));
        assert!(
            !good
                && text.contains(
                    "Experiment default/ab: spec.templates[0].template.metadata.labels: "
                ),
            "{text}"
        );
    }

    #[test]
    fn a_rollout_is_refused_as_the_controller_would() {
        let rollout = "{apiVersion: argoproj.io/v1alpha1, kind: Rollout, metadata: {name: web}, spec: {selector: {matchLabels: {a: b}}, \
            template: {metadata: {labels: {a: b}}, spec: {containers: [{name: c, image: x}]}}, strategy: {canary: {steps: [{setWeight: 101}]}}}}";
        let (good, text) = lint(rollout);
        assert!(!good);
        assert!(
            text.contains("Rollout default/web: spec.strategy.canary.steps[0].setWeight: "),
            "{text}"
        );
    }
}
