//! A folder of plain manifests: which files count, and what they hold.

use std::sync::atomic::{AtomicBool, Ordering};

use expressions::glob::{Answer, Glob, GlobError};
use serde_json::Value;
use thiserror::Error;

use super::{Placement, Scope, TargetSet, document, target::TargetBuilder};
use crate::{api::DirectorySource, repo::SourceFile};

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
    /// A pattern of the source is malformed or too costly. Taking it for a mismatch would leave out
    /// files, and what leaves the targets is pruned.
    #[error("spec.source.directory.{field}: {error}")]
    Pattern {
        /// `include` or `exclude`.
        field: &'static str,
        /// What is wrong with it.
        error: GlobError,
    },
    /// The source is of a type that is not rendered yet.
    #[error("the source folder holds {0}: this source type is not supported yet")]
    Tool(String),
    /// The result is no longer needed.
    #[error("rendering was interrupted")]
    Interrupted,
}

/// Which files of a folder are manifests.
#[derive(Clone, Debug)]
pub struct DirectoryFilter {
    directory: DirectorySource,
    /// The patterns, compiled; none where the field is empty.
    include: Option<Result<Glob, GlobError>>,
    exclude: Option<Result<Glob, GlobError>>,
}

/// Extensions of manifests.
const EXTENSIONS: &[&str] = &["yaml", "yml", "json"];
/// Files that make a folder the source of another tool when they stand at its root.
const TOOLS: &[&str] = &["kustomization.yaml", "kustomization.yml", "Kustomization"];

impl DirectoryFilter {
    /// The filter of a source.
    pub fn new(directory: Option<&DirectorySource>) -> Self {
        let directory = directory.cloned().unwrap_or_default();
        let compile = |pattern: &str| (!pattern.is_empty()).then(|| Glob::new(pattern, &[]));
        Self {
            include: compile(&directory.include),
            exclude: compile(&directory.exclude),
            directory,
        }
    }

    /// True when sub-folders are read too.
    pub fn recurse(&self) -> bool {
        self.directory.recurse
    }

    /// True for files whose content is needed, and for those that make the folder the source of another tool.
    pub fn wants(&self, path: &str) -> bool {
        is_tool(path) || is_jsonnet(path) || self.is_manifest(path)
    }

    fn is_manifest(&self, path: &str) -> bool {
        let name = path.rsplit('/').next().unwrap_or(path);
        let extension = name.rsplit_once('.').map_or("", |(_, extension)| extension);
        if !self.directory.disable_extension_filter && !EXTENSIONS.contains(&extension) {
            return false;
        }
        // A file about which a pattern is undecided stays, so that `render` refuses the source.
        !self.is_excluded(path)
            && !matches!(answer(self.include.as_ref(), path), Some(Answer::NoMatch))
    }

    fn is_excluded(&self, path: &str) -> bool {
        answer(self.exclude.as_ref(), path).is_some_and(|answer| answer.allows())
    }

    /// Fails when a pattern has no answer for a file.
    fn check(&self, path: &str) -> Result<(), RenderError> {
        for (field, pattern) in [("include", &self.include), ("exclude", &self.exclude)] {
            if let Some(Answer::Undecided(error)) = answer(pattern.as_ref(), path) {
                return Err(RenderError::Pattern { field, error });
            }
        }
        Ok(())
    }
}

/// What a pattern says about a path; `None` without a pattern.
fn answer(pattern: Option<&Result<Glob, GlobError>>, path: &str) -> Option<Answer> {
    Some(match pattern? {
        Ok(glob) => glob.answer(path),
        Err(error) => Answer::Undecided(error.clone()),
    })
}

fn is_tool(path: &str) -> bool {
    path.ends_with("Chart.yaml") && !path.contains('/') || TOOLS.contains(&path)
}

fn is_jsonnet(path: &str) -> bool {
    path.rsplit_once('.')
        .is_some_and(|(_, extension)| extension == "jsonnet")
}

/// A folder to render.
pub struct RenderRequest<'a> {
    /// Its files, in the order of their paths.
    pub files: Vec<SourceFile>,
    /// Which of them are manifests.
    pub filter: &'a DirectoryFilter,
    /// The source says `directory: {...}`, which settles the type of the source.
    pub explicit: bool,
    /// Where the objects go.
    pub placement: &'a Placement,
    /// Set when the result is no longer needed.
    pub interrupt: &'a AtomicBool,
}

/// The targets of a folder's files; `scope` says whether a kind is namespaced. Files and objects are dropped one after another:
/// as trees, the objects of a large application take many times the memory of their text.
pub fn render(
    request: RenderRequest<'_>,
    scope: impl Fn(&str, &str) -> Scope,
) -> Result<TargetSet, RenderError> {
    let RenderRequest {
        files,
        filter,
        explicit,
        placement,
        interrupt,
    } = request;
    files.iter().try_for_each(|file| filter.check(&file.path))?;
    refuse_tools(&files, filter, explicit)?;
    let mut builder = TargetBuilder::new(placement, scope);
    let manifests = || files.iter().filter(|file| filter.is_manifest(&file.path));
    for file in
        manifests().filter(|file| may_define_kinds(&file.content) && !is_jsonnet(&file.path))
    {
        objects(file)?
            .iter()
            .for_each(|object| builder.define(object));
    }
    for file in files {
        if interrupt.load(Ordering::Relaxed) {
            return Err(RenderError::Interrupted);
        }
        if filter.is_manifest(&file.path) && !is_jsonnet(&file.path) {
            for object in objects(&file)? {
                builder.add(object);
            }
        }
    }
    Ok(builder.finish())
}

fn refuse_tools(
    files: &[SourceFile],
    filter: &DirectoryFilter,
    explicit: bool,
) -> Result<(), RenderError> {
    let refused = files.iter().map(|file| &file.path).find(|path| {
        (!explicit && is_tool(path)) || (is_jsonnet(path) && !filter.is_excluded(path))
    });
    match refused {
        Some(path) => Err(RenderError::Tool(path.clone())),
        None => Ok(()),
    }
}

/// False when it is certain that the file holds no definition of a kind. UTF-16 is not looked into.
fn may_define_kinds(content: &[u8]) -> bool {
    const WORD: &[u8] = b"CustomResourceDefinition";
    content.starts_with(&[0xff])
        || content.starts_with(&[0xfe])
        || content.windows(WORD.len()).any(|part| part == WORD)
}

fn objects(file: &SourceFile) -> Result<Vec<Value>, RenderError> {
    let objects =
        document::parse(&file.path, &file.content).map_err(|reason| RenderError::File {
            path: file.path.clone(),
            reason,
        })?;
    for object in &objects {
        require(&file.path, object)?;
    }
    Ok(objects)
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
    if let Some(name) = metadata
        .get("name")
        .filter(|name| !name.is_null() && !name.is_string())
    {
        return Err(RenderError::File {
            path: path.to_owned(),
            reason: format!(
                "metadata.name is {}, not text: put it in quotes",
                kind_of_value(name)
            ),
        });
    }
    if !text(metadata.get("name")) && !text(metadata.get("generateName")) {
        return Err(missing("metadata.name"));
    }
    Ok(())
}

fn kind_of_value(value: &Value) -> &'static str {
    match value {
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::Array(_) => "a list",
        _ => "a map",
    }
}
