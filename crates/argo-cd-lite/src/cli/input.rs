//! Objects from files, folders and standard input.

use std::{
    fs,
    io::{self, Read},
    path::{Path, PathBuf},
};

use reconcile_core::yaml;
use serde_json::Value;

use super::CliError;
use crate::settings::{ArgoSettings, SETTINGS_MAP};

/// Most bytes of one file.
const MAX_BYTES: u64 = 64 << 20;
/// Deepest folder.
const MAX_DEPTH: usize = 32;
/// Extensions of files that count in a folder.
const EXTENSIONS: &[&str] = &["yaml", "yml", "json"];

/// An object and the file that contains it.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct FileObject {
    /// Name of the file for messages.
    pub(super) file: String,
    /// The object; it has `apiVersion`, `kind` and a name.
    pub(super) object: Value,
}

/// All objects of a file, of a folder with its sub-folders, or of standard input (`-`). Lists are taken apart.
pub(super) fn objects(path: &Path) -> Result<Vec<FileObject>, CliError> {
    let mut objects = Vec::new();
    for (file, text) in texts(path)? {
        let documents = yaml::documents(&text).map_err(|error| CliError::Input {
            file: file.clone(),
            reason: error.to_string(),
        })?;
        for document in documents {
            let line = document.line;
            let items = match document.value {
                Value::Object(mut fields) if fields.get("items").is_some_and(Value::is_array) => {
                    match fields.remove("items") {
                        Some(Value::Array(items)) => items,
                        _ => Vec::new(),
                    }
                }
                object => vec![object],
            };
            for object in items {
                complete(&object).map_err(|field| CliError::Input {
                    file: file.clone(),
                    reason: format!(
                        "the document at line {line} has no {field}; expected Kubernetes objects"
                    ),
                })?;
                objects.push(FileObject {
                    file: file.clone(),
                    object,
                });
            }
        }
    }
    Ok(objects)
}

fn complete(object: &Value) -> Result<(), &'static str> {
    let has = |value: &Value| value.as_str().is_some_and(|text| !text.is_empty());
    if !has(&object["apiVersion"]) {
        return Err("apiVersion");
    }
    if !has(&object["kind"]) {
        return Err("kind");
    }
    if !has(&object["metadata"]["name"]) && !has(&object["metadata"]["generateName"]) {
        return Err("metadata.name");
    }
    Ok(())
}

/// The settings in a file that holds the ConfigMap `argocd-cm`; the defaults without a file. What cannot be used is
/// an error, because the answer would not be what the controller says.
pub(super) fn settings(path: Option<&Path>) -> Result<ArgoSettings, CliError> {
    let Some(path) = path else {
        return Ok(ArgoSettings::default());
    };
    let all = objects(path)?;
    let map = all.iter().find(|read| {
        read.object["kind"] == "ConfigMap" && read.object["metadata"]["name"] == SETTINGS_MAP
    });
    let Some(map) = map else {
        return Err(CliError::Input {
            file: path.display().to_string(),
            reason: format!("there is no ConfigMap {SETTINGS_MAP} in it"),
        });
    };
    let data = map.object["data"].as_object().into_iter().flatten();
    let data = data
        .filter_map(|(key, value)| Some((key.clone(), value.as_str()?.to_owned())))
        .collect();
    let (settings, problems) = ArgoSettings::parse(&data);
    match problems.into_iter().next() {
        None => Ok(settings),
        Some(problem) => Err(CliError::Input {
            file: map.file.clone(),
            reason: problem.to_string(),
        }),
    }
}

/// Texts of the files, in the order of their names.
fn texts(path: &Path) -> Result<Vec<(String, String)>, CliError> {
    if path.as_os_str() == "-" {
        let text = read(io::stdin().lock()).map_err(|error| failed("standard input", &error))?;
        return Ok(vec![("standard input".to_owned(), text)]);
    }
    let mut files = Vec::new();
    collect(path, 0, &mut files)?;
    let mut texts = Vec::with_capacity(files.len());
    for file in files {
        let name = file.display().to_string();
        let text = fs::File::open(&file).and_then(read);
        texts.push((name.clone(), text.map_err(|error| failed(&name, &error))?));
    }
    Ok(texts)
}

/// A path that is given is read whatever its extension is; in folders only manifests count.
fn collect(path: &Path, depth: usize, files: &mut Vec<PathBuf>) -> Result<(), CliError> {
    let name = path.display().to_string();
    let about = fs::metadata(path).map_err(|error| failed(&name, &error))?;
    if !about.is_dir() {
        files.push(path.to_owned());
        return Ok(());
    }
    if depth > MAX_DEPTH {
        return Err(CliError::Input {
            file: name,
            reason: format!("folders are nested deeper than {MAX_DEPTH}"),
        });
    }
    let entries = fs::read_dir(path).and_then(Iterator::collect::<io::Result<Vec<_>>>);
    let mut entries = entries.map_err(|error| failed(&name, &error))?;
    entries.sort_by_key(fs::DirEntry::file_name);
    for entry in entries {
        let path = entry.path();
        let hidden = entry.file_name().to_string_lossy().starts_with('.');
        let counts = path
            .extension()
            .is_some_and(|extension| EXTENSIONS.iter().any(|known| extension == *known));
        let kind = entry.file_type().map_err(|error| failed(&name, &error))?;
        if !hidden && (kind.is_dir() || (counts && !kind.is_dir())) {
            collect(&path, depth + 1, files)?;
        }
    }
    Ok(())
}

fn read(from: impl Read) -> io::Result<String> {
    let mut text = String::new();
    let read = from.take(MAX_BYTES + 1).read_to_string(&mut text)?;
    if read as u64 > MAX_BYTES {
        return Err(io::Error::other(format!(
            "it has more than {MAX_BYTES} bytes"
        )));
    }
    Ok(text)
}

fn failed(file: &str, error: &io::Error) -> CliError {
    CliError::Input {
        file: file.to_owned(),
        reason: error.to_string(),
    }
}
