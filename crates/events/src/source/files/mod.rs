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
struct WatchPathConfig {
    directory: String,
    path: String,
    path_regexp: String,
}

/// Which changes of which files are events.
#[derive(Debug)]
struct Watched {
    /// As the manifest has it.
    directory: String,
    names: Names,
    op: Op,
}

/// Names of files in the folder.
#[derive(Debug)]
enum Names {
    One(String),
    Like(Regex),
}

/// What happened to a file; the numbers are upstream's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Op {
    Create = 1,
    Write = 2,
    Remove = 4,
    Rename = 8,
    Chmod = 16,
}

impl Op {
    const ALL: [(&'static str, Self); 5] = [
        ("CREATE", Self::Create),
        ("WRITE", Self::Write),
        ("REMOVE", Self::Remove),
        ("RENAME", Self::Rename),
        ("CHMOD", Self::Chmod),
    ];
}

#[derive(Serialize)]
struct Payload<'p> {
    name: &'p str,
    op: u8,
    metadata: Option<&'p BTreeMap<String, String>>,
}

impl Watched {
    /// Checks `eventType` and `watchPathConfig` of an event.
    fn check(
        input: &Input<'_>,
        event_type: &str,
        config: WatchPathConfig,
    ) -> Result<Self, FieldError> {
        let wrong = |field: &str, message: &str| {
            Err(input.wrong(&format!("watchPathConfig.{field}"), message))
        };
        let op = Op::ALL.iter().find(|(name, _)| *name == event_type);
        let Some((_, op)) = op else {
            let message = format!("{event_type:?} is not CREATE, WRITE, REMOVE, RENAME or CHMOD");
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
        match &self.names {
            Names::One(path) => path == name,
            // Upstream matches with the slash behind a directory that is written without one.
            Names::Like(pattern) => {
                pattern.is_match(name)
                    || !self.directory.ends_with('/') && pattern.is_match(&format!("/{name}"))
            }
        }
    }

    /// Publishes a change under this name, however long that takes.
    async fn pass_on(&self, context: &SourceContext, name: &str) {
        let metadata = context.metadata();
        let payload = Payload {
            name,
            op: self.op as u8,
            metadata: (!metadata.is_empty()).then_some(metadata),
        };
        let id = uuid::Uuid::new_v4().simple().to_string();
        context.emit_for_sure(id, &payload).await;
    }
}

fn has_parents(path: &Path) -> bool {
    path.components()
        .any(|part| part == std::path::Component::ParentDir)
}
