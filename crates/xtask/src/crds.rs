//! `cargo xtask crds`: the charts' CustomResourceDefinitions.

use std::{collections::BTreeMap, fmt::Write as _, path::Path};

use anyhow::Result;
use reconcile_core::yaml;
use serde_json::json;

use crate::{
    kinds::{self, Kind},
    output,
};

/// The values of a chart that decide about its definitions, as users of upstream's charts know them.
struct Switches {
    install: &'static str,
    keep: &'static str,
    annotations: Option<&'static str>,
}

fn switches(chart: &str) -> Switches {
    if chart == "rollouts" {
        Switches {
            install: "installCRDs",
            keep: "keepCRDs",
            annotations: None,
        }
    } else {
        let annotations = Some("crds.annotations");
        Switches {
            install: "crds.install",
            keep: "crds.keep",
            annotations,
        }
    }
}

/// Writes or checks `charts/*/templates/crds/*.yaml`.
pub fn run(root: &Path, check: bool) -> Result<Vec<String>> {
    let mut files = BTreeMap::new();
    for kind in kinds::all()? {
        let name = format!("charts/{}/templates/crds/{}", kind.chart, kind.file_name());
        files.insert(name, template(&kind)?);
    }
    output::write(root, &files, check)
}

/// The definition inside of the chart's switches.
fn template(kind: &Kind) -> Result<String> {
    let switches = switches(kind.chart);
    let object = kind.definition()?.to_value(&json!({}));
    let text = yaml::to_string(&object);
    let mut annotations = format!(
        "  annotations:\n    {{{{- if .Values.{} }}}}\n    helm.sh/resource-policy: keep\n    {{{{- end }}}}\n",
        switches.keep
    );
    let mut wanted = format!(".Values.{}", switches.keep);
    if let Some(more) = switches.annotations {
        // Writing to a text cannot fail.
        let _ = write!(
            annotations,
            "    {{{{- with .Values.{more} }}}}\n    {{{{- toYaml . | nindent 4 }}}}\n    {{{{- end }}}}\n"
        );
        wanted = format!("or {wanted} .Values.{more}");
    }
    let metadata = format!("metadata:\n  {{{{- if {wanted} }}}}\n{annotations}  {{{{- end }}}}\n");
    let text = text.replacen("metadata:\n", &metadata, 1);
    Ok(format!(
        "# Written by `cargo xtask crds` from crates/xtask/schemas.\n{{{{- if .Values.{} }}}}\n{text}{{{{- end }}}}\n",
        switches.install
    ))
}
