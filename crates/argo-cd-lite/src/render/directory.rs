//! A folder of plain manifests: which files count, and what they hold.

use serde_json::Value;
use thiserror::Error;

use super::document;
use crate::{api::DirectorySource, glob, repo::SourceFile};

/// Manifests that cannot be turned into objects.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum RenderError {
    /// A file cannot be read as manifests.
    #[error("failed to read manifests from {path:?}: {reason}")]
    File {
        /// Path below the source folder.
        path: String,
        /// What is wrong.
        reason: String,
    },
    /// An object lacks what every object has.
    #[error("an object in {path:?} has no {field}")]
    Incomplete {
        /// Path below the source folder.
        path: String,
        /// The field that is missing.
        field: &'static str,
    },
    /// The source is of a type that is not rendered yet.
    #[error("the source folder holds {0}: this source type is not supported yet")]
    Tool(String),
}

/// Which files of a folder are manifests.
#[derive(Clone, Debug)]
pub struct DirectoryFilter {
    directory: DirectorySource,
}

/// Extensions of manifests.
const EXTENSIONS: &[&str] = &["yaml", "yml", "json"];
/// Files that make a folder the source of another tool when they stand at its root.
const TOOLS: &[&str] = &["kustomization.yaml", "kustomization.yml", "Kustomization"];

impl DirectoryFilter {
    /// The filter of a source.
    pub fn new(directory: Option<&DirectorySource>) -> Self {
        Self {
            directory: directory.cloned().unwrap_or_default(),
        }
    }

    /// True when sub-folders are read too.
    pub fn recurse(&self) -> bool {
        self.directory.recurse
    }

    /// True for files whose content is needed. `explicit` tells that the source says `directory`, so
    /// that files of other tools have no meaning.
    pub fn wants(&self, path: &str) -> bool {
        is_tool(path) || is_jsonnet(path) || self.is_manifest(path)
    }

    fn is_manifest(&self, path: &str) -> bool {
        let name = path.rsplit('/').next().unwrap_or(path);
        let extension = name.rsplit_once('.').map_or("", |(_, extension)| extension);
        if !self.directory.disable_extension_filter && !EXTENSIONS.contains(&extension) {
            return false;
        }
        let DirectorySource {
            include, exclude, ..
        } = &self.directory;
        if !exclude.is_empty() && glob::matches(exclude, path, &[]) {
            return false;
        }
        include.is_empty() || glob::matches(include, path, &[])
    }
}

fn is_tool(path: &str) -> bool {
    path.ends_with("Chart.yaml") && !path.contains('/') || TOOLS.contains(&path)
}

fn is_jsonnet(path: &str) -> bool {
    path.rsplit_once('.')
        .is_some_and(|(_, extension)| extension == "jsonnet")
}

/// The objects of a folder's files, each with the path of its file. `explicit` tells that the source
/// says `directory: {...}`, which settles the type of the source.
pub fn objects(
    files: &[SourceFile],
    filter: &DirectoryFilter,
    explicit: bool,
) -> Result<Vec<(String, Value)>, RenderError> {
    if !explicit && let Some(tool) = files.iter().find(|file| is_tool(&file.path)) {
        return Err(RenderError::Tool(tool.path.clone()));
    }
    let mut found = Vec::new();
    for file in files {
        if is_jsonnet(&file.path) {
            if filter.directory.exclude.is_empty()
                || !glob::matches(&filter.directory.exclude, &file.path, &[])
            {
                return Err(RenderError::Tool(file.path.clone()));
            }
            continue;
        }
        if !filter.is_manifest(&file.path) {
            continue;
        }
        let objects =
            document::parse(&file.path, &file.content).map_err(|reason| RenderError::File {
                path: file.path.clone(),
                reason,
            })?;
        for object in objects {
            require(&file.path, &object)?;
            found.push((file.path.clone(), object));
        }
    }
    Ok(found)
}

fn require(path: &str, object: &Value) -> Result<(), RenderError> {
    let missing = |field| RenderError::Incomplete {
        path: path.to_owned(),
        field,
    };
    let text = |value: Option<&Value>| {
        value
            .and_then(Value::as_str)
            .is_some_and(|text| !text.is_empty())
    };
    if !text(object.get("apiVersion")) {
        return Err(missing("apiVersion"));
    }
    if !text(object.get("kind")) {
        return Err(missing("kind"));
    }
    let metadata = object.get("metadata").ok_or_else(|| missing("metadata"))?;
    if !text(metadata.get("name")) && !text(metadata.get("generateName")) {
        return Err(missing("metadata.name"));
    }
    Ok(())
}
