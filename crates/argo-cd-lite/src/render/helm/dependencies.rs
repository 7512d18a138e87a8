//! Charts that a chart depends on and that are not in its `charts` folder.

use std::ffi::OsString;

use reconcile_core::yaml;
use serde_json::Value;

use super::super::{RenderError, process::Run, renderer::Job, sandbox::Sandbox};
use crate::repo::{Found, clean, join};

/// Bytes of a file that describes a chart.
const MAX_BYTES: u64 = 1024 * 1024;

/// True for the error of a chart whose dependencies are not there.
pub(super) fn are_missing(message: &str) -> bool {
    message.contains("missing in charts/ directory")
}

/// Packs those dependencies that are folders of the same repository. Others are refused: nothing is downloaded, and
/// helm would also download what the `charts` folder already has.
pub(super) fn add_local(job: &Job<'_>, sandbox: &Sandbox, chart: &str) -> Result<(), RenderError> {
    for dependency in dependencies(job, chart)? {
        let text = |field: &str| dependency[field].as_str().unwrap_or_default();
        let (name, repository) = (text("name"), text("repository"));
        if let Some(path) = repository.strip_prefix("file://") {
            let folder = local(job, chart, name, path)?;
            sandbox.copy(job.tree, &folder)?;
        } else if !(repository.is_empty() && vendored(job, chart, name)?) {
            return Err(RenderError::field(
                "helm",
                format!(
                    "the chart depends on {name:?} of {:?}: charts are not downloaded, so commit what `helm dependency build` puts into its charts folder",
                    reconcile_core::credentials::redact_url(repository)
                ),
            ));
        }
    }
    let run = Run {
        tool: job.tools.helm(),
        arguments: ["dependency", "build", ".", "--skip-refresh"]
            .map(OsString::from)
            .to_vec(),
        sandbox,
        folder: &sandbox.path(&join("tree", chart)),
        limits: job.tools.limits(),
        secrets: &[],
        interrupt: job.interrupt,
    };
    run.output()?;
    Ok(())
}

/// The folder of a dependency. Helm reads an absolute path from the machine, and takes `..` away without a look at links.
fn local(job: &Job<'_>, chart: &str, name: &str, path: &str) -> Result<Found, RenderError> {
    if path.starts_with('/') {
        return Err(RenderError::field(
            "helm",
            format!(
                "the dependency {name:?} has the repository file://{path}: it must be relative to the chart"
            ),
        ));
    }
    let path = clean(&join(chart, path))?;
    let found = job.tree.look(&path)?.filter(Found::is_folder);
    let found = found.ok_or_else(|| {
        RenderError::field(
            "helm",
            format!("the dependency {name:?} is not in the repository: {path:?}"),
        )
    })?;
    // A link keeps its name: helm finds the folder where the chart says.
    Ok(Found {
        path,
        node: found.node,
    })
}

fn dependencies(job: &Job<'_>, chart: &str) -> Result<Vec<Value>, RenderError> {
    let mut all = Vec::new();
    for name in ["Chart.yaml", "requirements.yaml"] {
        let Some(content) = job.tree.file(&join(chart, name), MAX_BYTES)? else {
            continue;
        };
        let text = String::from_utf8_lossy(&content);
        let value = yaml::value(&text).map_err(|error| RenderError::File {
            path: name.to_owned(),
            reason: error.to_string(),
        })?;
        let listed = value["dependencies"].as_array();
        all.extend(listed.into_iter().flatten().cloned());
    }
    Ok(all)
}

/// True when a chart of this name is in the `charts` folder.
fn vendored(job: &Job<'_>, chart: &str, name: &str) -> Result<bool, RenderError> {
    let folder = job.tree.look(&join(chart, "charts"))?;
    let Some(folder) = folder.filter(Found::is_folder) else {
        return Ok(false);
    };
    let archive = format!("{name}-");
    let entries = job.tree.entries(&folder)?;
    Ok(entries.iter().any(|(entry, _)| {
        entry == name || (entry.starts_with(&archive) && super::is_archive(entry))
    }))
}
