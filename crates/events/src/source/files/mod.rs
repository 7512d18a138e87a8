//! Changes of files in a folder: `file`.

mod folders;
mod listing;
mod local;
mod notifications;

use std::{collections::BTreeMap, path::Path};

use expressions::pattern::compile_pattern;
use reconcile_core::object::FieldError;
use regex::Regex;
use serde::{Deserialize, Serialize};

use super::kind::{Input, SourceContext};

pub use folders::{WatchedFolder, WatchedFolderError, WatchedFolders};
pub(super) use local::KIND as LOCAL;

/// Which files are watched, as a manifest says it.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct WatchPathConfig {
    directory: String,
    pub(super) path: String,
    pub(super) path_regexp: String,
}

/// Which changes of which files are events.
#[derive(Debug)]
pub(super) struct Watched {
    /// As the manifest has it.
    pub(super) directory: String,
    pub(super) names: Names,
    pub(super) op: Op,
}

/// Names of files in the folder.
#[derive(Debug)]
pub(super) enum Names {
    One(String),
    Like(Regex),
}

impl Names {
    /// Whether the name of a file in the folder is one of them.
    pub(super) fn has(&self, name: &str) -> bool {
        match self {
            Self::One(path) => path == name,
            Self::Like(pattern) => pattern.is_match(name),
        }
    }
}

/// What happened to a file; the numbers are upstream's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Op {
    Create = 1,
    Write = 2,
    Remove = 4,
    Rename = 8,
    Chmod = 16,
}

impl Op {
    const ALL: [Self; 5] = [
        Self::Create,
        Self::Write,
        Self::Remove,
        Self::Rename,
        Self::Chmod,
    ];

    /// As manifests have it.
    fn name(self) -> &'static str {
        match self {
            Self::Create => "CREATE",
            Self::Write => "WRITE",
            Self::Remove => "REMOVE",
            Self::Rename => "RENAME",
            Self::Chmod => "CHMOD",
        }
    }
}

#[derive(Serialize)]
struct Payload<'p> {
    name: &'p str,
    op: u8,
    metadata: Option<&'p BTreeMap<String, String>>,
}

impl Watched {
    /// Checks `eventType`, which is one of `ops`, and `watchPathConfig` of an event.
    pub(super) fn check(
        input: &Input<'_>,
        ops: &[Op],
        event_type: &str,
        config: WatchPathConfig,
    ) -> Result<Self, FieldError> {
        let wrong = |field: &str, message: &str| {
            Err(input.wrong(&format!("watchPathConfig.{field}"), message))
        };
        let op = ops.iter().find(|op| op.name() == event_type);
        let Some(op) = op else {
            let names: Vec<&str> = ops.iter().map(|op| op.name()).collect();
            let message = format!("{event_type:?} is none of {}", names.join(", "));
            return Err(input.wrong("eventType", message));
        };
        let directory = Path::new(&config.directory);
        if !directory.is_absolute() || has_parents(directory) {
            return wrong("directory", "must be an absolute path without ..");
        }
        let names = match (config.path.as_str(), config.path_regexp.as_str()) {
            ("", "") => return wrong("path", "path or pathRegexp must be set"),
            (path, "") if path.starts_with('/') => {
                return wrong("path", "must be relative to the directory");
            }
            (path, "") => Names::One(path.to_owned()),
            ("", pattern) => match compile_pattern(pattern) {
                Ok(pattern) => Names::Like(pattern),
                Err(error) => return wrong("pathRegexp", &error.to_string()),
            },
            _ => return wrong("path", "path and pathRegexp cannot both be set"),
        };
        Ok(Self {
            directory: config.directory,
            names,
            op: *op,
        })
    }

    /// Whether a change is one of those that are events.
    fn wants(&self, op: Op, name: &str) -> bool {
        op == self.op && self.has(name)
    }

    /// Whether a file of the folder is one of those that are watched.
    fn has(&self, name: &str) -> bool {
        if self.names.has(name) {
            return true;
        }
        match &self.names {
            Names::One(_) => false,
            // Upstream matches with the slash behind a directory that is written without one.
            Names::Like(pattern) => {
                !self.directory.ends_with('/') && pattern.is_match(&format!("/{name}"))
            }
        }
    }

    fn payload<'p>(&self, context: &'p SourceContext, name: &'p str) -> Payload<'p> {
        let metadata = context.metadata();
        Payload {
            name,
            op: self.op as u8,
            metadata: (!metadata.is_empty()).then_some(metadata),
        }
    }

    /// Publishes a change under this name, however long that takes.
    async fn pass_on(&self, context: &SourceContext, name: &str) {
        let id = uuid::Uuid::new_v4().simple().to_string();
        let payload = self.payload(context, name);
        context.emit_for_sure(id, &payload).await;
    }

    /// Publishes a change under this name; two of the same position are one.
    #[cfg(feature = "sftp")]
    pub(super) async fn emit(
        &self,
        context: &SourceContext,
        position: &str,
        name: &str,
    ) -> Result<super::Emitted, super::EmitError> {
        let payload = self.payload(context, name);
        context.emit(context.id(position), &payload).await
    }
}

fn has_parents(path: &Path) -> bool {
    path.components()
        .any(|part| part == std::path::Component::ParentDir)
}
