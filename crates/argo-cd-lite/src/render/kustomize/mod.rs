//! Kustomizations, by `kustomize build`.

mod address;
mod charts;
mod closure;
mod edits;
mod options;
mod places;
mod remote;

use std::ffi::OsString;

use super::{
    RenderError, SourceType, ToolError,
    confinement::Reach,
    process::Run,
    renderer::{Job, ManifestFile, Renderer},
    sandbox::Sandbox,
};
use crate::{
    api::{ApplicationSource, KustomizeSource},
    repo::join,
};
use closure::FILES;
use options::Build;

/// Renders kustomizations.
pub(super) struct Kustomize;

impl Renderer for Kustomize {
    fn source_type(&self) -> SourceType {
        SourceType::Kustomize
    }

    fn chosen(&self, source: &ApplicationSource) -> bool {
        source.kustomize.is_some()
    }

    fn owns(&self, file_name: &str) -> bool {
        FILES.contains(&file_name)
    }

    fn runs_tool(&self) -> bool {
        true
    }

    fn render(&self, job: &Job<'_>) -> Result<Vec<ManifestFile>, RenderError> {
        let options = job.source.kustomize.clone().unwrap_or_default();
        check(&options)?;
        let build = Build::of(job, &options)?;
        let tool = &*build.tool;
        let sandbox = Sandbox::new(tool.name, job.tools.sandboxes())?;
        let root = closure::copy(job, &sandbox, &build, &options)?;
        let folder = sandbox.path(&join("tree", &root.folder));
        let mut programs = vec![tool.path()?];
        if build.helm {
            programs.push(job.tools.helm().path()?);
        }
        let whole = sandbox.path("");
        let reach = Reach {
            programs: &programs,
            folder: &whole,
        };
        let run = |arguments: Vec<OsString>| {
            let run = Run {
                tool,
                arguments,
                sandbox: &sandbox,
                folder: &folder,
                limits: job.tools.limits(),
                secrets: &[],
                reach: build.is_open().then_some(reach),
                interrupt: job.interrupt,
            };
            run.output().map_err(without_usage)
        };
        for edit in edits::commands(job, &options, &root)? {
            run(edit)?;
        }
        if !options.patches.is_empty() {
            edits::add_patches(&options, &root, &sandbox)?;
        }
        let output = run(build.arguments(job, &options)?)?;
        Ok(vec![ManifestFile {
            path: "kustomize build".to_owned(),
            strict: true,
            content: output,
        }])
    }
}

fn check(options: &KustomizeSource) -> Result<(), RenderError> {
    if options.label_include_templates && !options.label_without_selector {
        return Err(RenderError::field(
            "kustomize.labelIncludeTemplates",
            "it needs labelWithoutSelector",
        ));
    }
    Ok(())
}

/// The error without the manual page that the program prints after it.
fn without_usage(error: ToolError) -> RenderError {
    match error {
        ToolError::Failed { tool, message } => {
            let message = message.split("\nUsage:").next().unwrap_or_default();
            ToolError::Failed {
                tool,
                message: message.trim().to_owned(),
            }
            .into()
        }
        other => other.into(),
    }
}
