//! `cargo xtask crds`: the CustomResourceDefinitions, in the charts and as plain manifests.

use std::{collections::BTreeMap, path::Path};

use anyhow::Result;
use reconcile_core::yaml;
use serde_json::json;

use crate::{
    kinds::{self, Kind},
    output::{self, Mode},
};

/// The values of a chart that decide about its definitions, as users of upstream's charts know them.
struct Switches {
    install: &'static str,
    keep: &'static str,
    annotations: &'static str,
    /// Additional labels.
    labels: Option<&'static str>,
}

fn switches(chart: &str) -> Switches {
    if chart == "rollouts" {
        return Switches {
            install: "installCRDs",
            keep: "keepCRDs",
            annotations: "crdAnnotations",
            labels: None,
        };
    }
    Switches {
        install: "crds.install",
        keep: "crds.keep",
        annotations: "crds.annotations",
        labels: (chart == "argo-cd-lite").then_some("crds.additionalLabels"),
    }
}

/// Writes or checks `charts/*/templates/crds/*.yaml` and `manifests/crds/*.yaml`.
pub fn run(root: &Path, mode: Mode) -> Result<Vec<String>> {
    let mut files = BTreeMap::new();
    for kind in kinds::all()? {
        let name = format!("charts/{}/templates/crds/{}", kind.chart, kind.file_name());
        files.insert(name, template(&kind)?);
        let name = format!("manifests/crds/{}", kind.file_name());
        files.insert(name, manifest(&kind)?);
    }
    output::write(root, &files, mode)
}

/// The definition for `kubectl apply`.
fn manifest(kind: &Kind) -> Result<String> {
    let text = yaml::to_string(&kind.definition()?.to_value(&json!({})));
    Ok(format!(
        "# Written by `cargo xtask crds` from crates/xtask/schemas.\n{text}"
    ))
}

/// The definition inside of the chart's switches; one that another release or kubectl made is left alone.
fn template(kind: &Kind) -> Result<String> {
    let Switches {
        install,
        keep,
        annotations,
        labels,
    } = switches(kind.chart);
    let object = kind.definition()?.to_value(&json!({}));
    let name = object["metadata"]["name"].as_str().unwrap_or_default();
    // Descriptions may show `{{args.name}}`, which is no template of the chart.
    let text = yaml::to_string(&object).replace("{{", "{{ \"{{\" }}");
    let metadata = format!(
        "metadata:\n  {{{{- if or .Values.{keep} .Values.{annotations} }}}}\n  annotations:\n    \
         {{{{- if .Values.{keep} }}}}\n    helm.sh/resource-policy: keep\n    {{{{- end }}}}\n{}  {{{{- end }}}}\n",
        texts(kind.chart, annotations)
    );
    let mut text = text.replacen("metadata:\n", &metadata, 1);
    if let Some(labels) = labels {
        let labels = format!("  labels:\n{}", texts(kind.chart, labels));
        text = text.replacen("  labels:\n", &labels, 1);
    }
    Ok(format!(
        "# Written by `cargo xtask crds` from crates/xtask/schemas.\n{{{{- if and .Values.{install} (include \"values.isOurs\" \
         (dict \"root\" . \"apiVersion\" \"apiextensions.k8s.io/v1\" \"kind\" \"CustomResourceDefinition\" \"namespace\" \"\" \
         \"name\" \"{name}\")) }}}}\n{text}{{{{- end }}}}\n"
    ))
}

/// The lines that add the texts of a value to annotations or labels.
fn texts(chart: &str, value: &str) -> String {
    format!(
        "    {{{{- with include \"{chart}.strings\" (list .Values.{value}) }}}}\n    {{{{- . | nindent 4 }}}}\n    {{{{- end }}}}\n"
    )
}
