//! Charts that a chart depends on and that are not in its `charts` folder.
//!
//! `helm dependency build` would download whatever the chart names. Here the controller does, within the rules for
//! charts as sources: only what the lock says, and only from repositories that the project permits.

use std::ffi::OsString;

use reconcile_core::{credentials::redact_url, yaml};
use serde_json::Value;

use super::super::{RenderError, process::Run, renderer::Job, sandbox::Sandbox};
use crate::repo::{ChartRef, Found, clean, join};

/// Bytes of a file that describes a chart.
const MAX_BYTES: u64 = 1024 * 1024;
/// Remotes of a chart.
const MOST: usize = 100;

/// True for the error of a chart whose dependencies are not there.
pub(super) fn are_missing(message: &str) -> bool {
    message.contains("missing in charts/ directory")
}

/// A chart that another one names.
struct Dependency {
    name: String,
    version: String,
    repository: String,
}

impl Dependency {
    fn path(&self) -> Option<&str> {
        self.repository.strip_prefix("file://")
    }
}

/// Brings the dependencies that are missing: folders of the same repository, and charts of others by the lock.
pub(super) fn add(job: &Job<'_>, sandbox: &Sandbox, chart: &str) -> Result<(), RenderError> {
    let dependencies = listed(job, chart, &["Chart.yaml", "requirements.yaml"])?;
    if dependencies.len() > MOST {
        let reason = format!("the chart has more than {MOST} dependencies");
        return Err(RenderError::field("helm", reason));
    }
    let mut missing = Vec::new();
    for dependency in &dependencies {
        if dependency.path().is_some() || !vendored(job, chart, &dependency.name)? {
            missing.push(dependency);
        }
    }
    let all_local = dependencies
        .iter()
        .all(|one| one.path().is_some() || one.repository.is_empty());
    for dependency in missing {
        match dependency.path() {
            Some(path) => {
                let folder = local(job, chart, &dependency.name, path)?;
                if all_local {
                    sandbox.copy(job.tree, &folder, &join("tree", &folder.path))?;
                } else {
                    let target = clean(&format!("{chart}/charts/{}", dependency.name))?;
                    sandbox.copy(job.tree, &folder, &join("tree", &target))?;
                }
            }
            None => download(job, sandbox, chart, dependency)?,
        }
    }
    if !all_local {
        // Helm would download what is there already.
        return Ok(());
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
        reach: None,
        interrupt: job.interrupt,
    };
    run.output()?;
    Ok(())
}

/// Downloads the version of the lock into the `charts` folder.
fn download(
    job: &Job<'_>,
    sandbox: &Sandbox,
    chart: &str,
    wanted: &Dependency,
) -> Result<(), RenderError> {
    let (name, shown) = (&wanted.name, redact_url(&wanted.repository));
    let refused = |reason: &str| {
        let text = format!("the chart depends on {name:?} of {shown:?}: {reason}");
        Err(RenderError::field("helm", text))
    };
    let is_remote = ["http://", "https://", "oci://"]
        .iter()
        .any(|scheme| wanted.repository.starts_with(scheme));
    if !is_remote {
        return refused("the repository must be a URL with https, http, oci or file");
    }
    let Some(sources) = job.remotes else {
        return refused(
            "charts are not downloaded here, so commit what `helm dependency build` puts into its charts folder",
        );
    };
    if let Some(refusal) = job.refusal(sources, &wanted.repository) {
        return refused(&refusal.to_string());
    }
    let same = |one: &Dependency| one.name == *name && one.repository == wanted.repository;
    let locked = listed(job, chart, &["Chart.lock", "requirements.lock"])?;
    let Some(locked) = locked.iter().find(|one| same(one)) else {
        return refused(
            "it is not in Chart.lock; run `helm dependency update` and commit the lock",
        );
    };
    let of = |revision| ChartRef {
        url: &wanted.repository,
        chart: name,
        revision,
    };
    let content =
        sources
            .download(&of(&locked.version))
            .map_err(|error| RenderError::Download {
                what: format!("the dependency {name:?}"),
                url: shown.clone(),
                error: Box::new(error),
            })?;
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    if !name.chars().all(plain) || name.starts_with('.') {
        return refused("the name is none of a chart");
    }
    let path = format!("charts/{name}.tgz");
    sandbox.write(&join("tree", &join(chart, &path)), &content)?;
    Ok(())
}

/// The folder of a dependency. Helm reads an absolute path from the machine, and resolves `..` without following links.
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

/// The dependencies in files of a chart.
fn listed(job: &Job<'_>, chart: &str, files: &[&str]) -> Result<Vec<Dependency>, RenderError> {
    let mut all = Vec::new();
    for name in files {
        let Some(content) = job.tree.file(&join(chart, name), MAX_BYTES)? else {
            continue;
        };
        let text = String::from_utf8_lossy(&content);
        let value = yaml::value(&text).map_err(|error| RenderError::File {
            path: (*name).to_owned(),
            reason: error.to_string(),
        })?;
        let listed = value["dependencies"].as_array().into_iter().flatten();
        all.extend(listed.map(|one| {
            let text = |field: &str| match &one[field] {
                Value::String(text) => text.clone(),
                Value::Null => String::new(),
                other => other.to_string(),
            };
            Dependency {
                name: text("name"),
                version: text("version"),
                repository: text("repository"),
            }
        }));
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
    Ok(entries
        .iter()
        .any(|(entry, _)| entry == name || (entry.starts_with(&archive) && is_archive(entry))))
}

/// True for the name of a packed chart.
pub(super) fn is_archive(path: &str) -> bool {
    path.rsplit_once('.')
        .is_some_and(|(_, extension)| extension == "tgz")
}
