//! Helm charts, by `helm template`.

mod arguments;
mod dependencies;
mod secrets;
mod values;

use reconcile_core::yaml;

use super::{
    RenderError, SourceType, ToolError,
    facts::CLUSTER_FACT,
    process::Run,
    renderer::{Job, ManifestFile, Renderer},
    sandbox::Sandbox,
};
use crate::{
    api::{ApplicationSource, HelmSource},
    repo::{SourceFile, join},
};
use arguments::{Chart, arguments};
use dependencies::is_archive;
use values::ValueFile;

/// Longest name of a release.
const MAX_RELEASE: usize = 53;

/// Renders Helm charts.
pub(super) struct Helm;

impl Renderer for Helm {
    fn source_type(&self) -> SourceType {
        SourceType::Helm
    }

    fn chosen(&self, source: &ApplicationSource) -> bool {
        source.helm.is_some() || !source.chart.is_empty()
    }

    fn owns(&self, file_name: &str) -> bool {
        file_name.ends_with("Chart.yaml")
    }

    fn runs_tool(&self) -> bool {
        true
    }

    fn render(&self, job: &Job<'_>) -> Result<Vec<ManifestFile>, RenderError> {
        let helm = job.source.helm.clone().unwrap_or_default();
        check(&helm)?;
        let tool = job.tools.helm();
        job.note_tool(tool);
        let sandbox = Sandbox::new(tool.name, job.tools.sandboxes())?;
        let folder = job.tree.folder(&job.source.path)?;
        let files = sandbox.copy(job.tree, &folder, &join("tree", &folder.path))?;
        if !files.iter().any(|file| file.path == "Chart.yaml") {
            return Err(RenderError::field(
                "path",
                format!("there is no Chart.yaml in {:?}", job.source.path),
            ));
        }
        let mut value_files = values::write(job, &helm, &folder.path, &sandbox)?;
        if let Some(text) = inline_values(&helm) {
            let path = sandbox.write("values/inline.yaml", text.as_bytes())?;
            value_files.push(ValueFile {
                path,
                shown: "spec.source.helm.values".to_owned(),
                content: text.into_bytes(),
            });
        }
        let files_of_parameters = values::parameter_files(job, &helm, &folder.path, &sandbox)?;
        let release = release_name(job, &helm)?;
        let chart = |sees_cluster: bool| Chart {
            helm: &helm,
            environment: &job.environment,
            release: &release,
            namespace: &job.app.namespace,
            cluster: sees_cluster.then(|| {
                job.uses.note(CLUSTER_FACT, job.cluster.digest());
                job.cluster
            }),
            value_files: &value_files,
            parameter_files: &files_of_parameters,
        };
        let secrets = secrets::of(&helm, &value_files);
        let chart_folder = sandbox.path(&join("tree", &folder.path));
        let run = |sees_cluster: bool| {
            let run = Run {
                tool,
                arguments: arguments(&chart(sees_cluster)),
                sandbox: &sandbox,
                folder: &chart_folder,
                limits: job.tools.limits(),
                secrets: &secrets,
                reach: None,
                interrupt: job.interrupt,
            };
            run.output()
        };
        let output = match run(sees_cluster(&files)) {
            Err(ToolError::Failed { message, .. }) if dependencies::are_missing(&message) => {
                dependencies::add(job, &sandbox, &folder.path)?;
                // The dependencies are not looked into.
                run(true)
            }
            other => other,
        };
        let output = output.map_err(|error| name_files(error, &value_files))?;
        if uses_lookup(&files) {
            job.remarks.borrow_mut().push(
                "the chart uses the function lookup, which finds nothing while manifests are rendered".to_owned(),
            );
        }
        Ok(vec![ManifestFile {
            path: "helm template".to_owned(),
            strict: true,
            content: output,
        }])
    }
}

fn check(helm: &HelmSource) -> Result<(), RenderError> {
    match helm.version.as_str() {
        "" | "v3" | "v4" | "3" | "4" => Ok(()),
        other => Err(RenderError::field(
            "helm.version",
            format!("{other:?} is not available; leave it empty"),
        )),
    }
}

/// The values of the source itself: the object counts instead of the text.
fn inline_values(helm: &HelmSource) -> Option<String> {
    match &helm.values_object {
        Some(values) if values.as_object().is_some_and(|map| !map.is_empty()) => {
            Some(yaml::to_string(values))
        }
        _ => (!helm.values.is_empty()).then(|| helm.values.clone()),
    }
}

fn release_name(job: &Job<'_>, helm: &HelmSource) -> Result<String, RenderError> {
    let name = if helm.release_name.is_empty() {
        &job.app.name
    } else {
        &helm.release_name
    };
    if name.len() > MAX_RELEASE {
        return Err(RenderError::field(
            "helm.releaseName",
            format!("{name:?} has more than {MAX_RELEASE} characters; give a shorter one"),
        ));
    }
    Ok(name.clone())
}

/// False when it is certain that versions of the cluster have no influence. Archives are not looked into.
fn sees_cluster(files: &[SourceFile]) -> bool {
    files.iter().any(|file| {
        is_archive(&file.path)
            || contains(&file.content, b"Capabilities")
            || (file.path.ends_with("Chart.yaml") && contains(&file.content, b"kubeVersion"))
            // A template that is made of values may name anything.
            || contains(&file.content, b"tpl ")
    })
}

fn uses_lookup(files: &[SourceFile]) -> bool {
    files.iter().any(|file| {
        file.path.contains("templates/")
            && ["{{ lookup ", "(lookup ", ":= lookup ", "{{- lookup "]
                .iter()
                .any(|words| contains(&file.content, words.as_bytes()))
    })
}

fn contains(content: &[u8], words: &[u8]) -> bool {
    content.windows(words.len()).any(|part| part == words)
}

/// The error with files of values under the names that the source gives them.
fn name_files(error: ToolError, files: &[ValueFile]) -> ToolError {
    match error {
        ToolError::Failed { tool, mut message } => {
            for (index, file) in files.iter().enumerate() {
                message = message.replace(&values::name(index), &file.shown);
            }
            ToolError::Failed { tool, message }
        }
        other => other,
    }
}
