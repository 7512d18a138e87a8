//! Options of the source as edits of the kustomization; the repository does not see them.

use std::ffi::OsString;

use reconcile_core::yaml;
use serde_json::{Value, json};

use super::{
    super::{RenderError, renderer::Job, sandbox::Sandbox},
    closure::Root,
};
use crate::{
    api::KustomizeSource,
    repo::{Found, join},
};

/// The edits that the program makes itself, in the order of upstream.
pub(super) fn commands(
    job: &Job<'_>,
    options: &KustomizeSource,
    root: &Root,
) -> Result<Vec<Vec<OsString>>, RenderError> {
    let mut commands: Vec<Vec<OsString>> = Vec::new();
    let mut edit = |words: &[&str], flags: &[(bool, &str)], values: Vec<String>| {
        if values.is_empty() {
            return;
        }
        let flags = flags.iter().filter(|(on, _)| *on).map(|(_, flag)| *flag);
        let words = ["edit"]
            .into_iter()
            .chain(words.iter().copied())
            .chain(flags);
        // After two dashes nothing is a flag.
        let mut command: Vec<OsString> = words.chain(["--"]).map(OsString::from).collect();
        command.extend(values.into_iter().map(OsString::from));
        commands.push(command);
    };
    let text = |text: &str| -> Vec<String> {
        if text.is_empty() {
            Vec::new()
        } else {
            vec![text.to_owned()]
        }
    };
    let environment = &job.environment;
    edit(&["set", "nameprefix"], &[], text(&options.name_prefix));
    edit(&["set", "namesuffix"], &[], text(&options.name_suffix));
    let images = options.images.iter();
    edit(
        &["set", "image"],
        &[],
        images.map(|image| environment.substitute(image)).collect(),
    );
    edit(&["set", "replicas"], &[], replicas(options)?);
    let labels = options.common_labels.iter();
    edit(
        &["add", "label"],
        &[
            (options.force_common_labels, "--force"),
            (options.label_without_selector, "--without-selector"),
            (options.label_include_templates, "--include-templates"),
        ],
        labels
            .map(|(key, value)| format!("{key}:{}", environment.substitute(value)))
            .collect(),
    );
    let annotations = options.common_annotations.iter();
    edit(
        &["add", "annotation"],
        &[(options.force_common_annotations, "--force")],
        annotations
            .map(|(key, value)| {
                if options.common_annotations_envsubst {
                    format!("{key}:{}", environment.substitute(value))
                } else {
                    format!("{key}:{value}")
                }
            })
            .collect(),
    );
    edit(&["set", "namespace"], &[], text(&options.namespace));
    edit(&["add", "component"], &[], components(job, options, root)?);
    Ok(commands)
}

fn replicas(options: &KustomizeSource) -> Result<Vec<String>, RenderError> {
    let counts = options.replicas.iter().map(|replica| {
        let count = match &replica.count {
            Value::Number(number) => number.as_u64(),
            Value::String(text) => text.trim().parse().ok(),
            _ => None,
        };
        let count = count.ok_or_else(|| {
            RenderError::field(
                "kustomize.replicas",
                format!("the count of {:?} is not a number", replica.name),
            )
        })?;
        Ok(format!("{}={count}", replica.name))
    });
    counts.collect()
}

/// The components that are there, or all of them: one that is missing is then an error.
fn components(
    job: &Job<'_>,
    options: &KustomizeSource,
    root: &Root,
) -> Result<Vec<String>, RenderError> {
    let mut components = Vec::new();
    for component in &options.components {
        let path = join(&root.folder, component);
        let exists = job
            .tree
            .look(&path)?
            .is_some_and(|found| Found::is_folder(&found));
        if exists {
            components.push(component.clone());
        } else if !options.ignore_missing_components {
            return Err(RenderError::field(
                "kustomize.components",
                format!("{component:?} is not a folder of the repository"),
            ));
        }
    }
    Ok(components)
}

/// Appends the patches of the source to the kustomization.
pub(super) fn add_patches(
    options: &KustomizeSource,
    root: &Root,
    sandbox: &Sandbox,
) -> Result<(), RenderError> {
    let path = join(&join("tree", &root.folder), &root.file);
    let broken = |reason: String| RenderError::File {
        path: root.file.clone(),
        reason,
    };
    // The edits before may have changed it.
    let text =
        std::fs::read_to_string(sandbox.path(&path)).map_err(|error| broken(error.to_string()))?;
    let mut kustomization = yaml::value(&text).map_err(|error| broken(error.to_string()))?;
    if kustomization.is_null() {
        kustomization = json!({});
    }
    let patches = kustomization
        .as_object_mut()
        .map(|fields| fields.entry("patches").or_insert_with(|| json!([])))
        .and_then(|patches| {
            if patches.is_null() {
                *patches = json!([]);
            }
            patches.as_array_mut()
        })
        .ok_or_else(|| broken("patches is not a list".to_owned()))?;
    for patch in &options.patches {
        let patch = serde_json::to_value(patch).map_err(|error| broken(error.to_string()))?;
        patches.push(patch);
    }
    sandbox.write(&path, yaml::to_string(&kustomization).as_bytes())?;
    Ok(())
}
