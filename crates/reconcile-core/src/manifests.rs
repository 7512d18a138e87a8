//! Manifests from files, directories and standard input.

use std::{
    fmt, fs,
    io::Read,
    path::{Path, PathBuf},
};

use serde_json::Value;
use thiserror::Error;

use crate::yaml;

/// Largest file that is read.
const LARGEST_FILE: u64 = 16 * 1024 * 1024;
/// Directories that are followed into one another.
const DEEPEST: usize = 32;
/// Endings of files that a directory is searched for.
const ENDINGS: &[&str] = &["yaml", "yml", "json"];

/// A manifest and where it came from.
#[derive(Clone, Debug, PartialEq)]
pub struct Manifest {
    /// The file.
    pub file: String,
    /// The object. Members of a `List` are manifests of their own.
    pub object: Value,
}

/// A file that cannot be read.
#[derive(Debug, Error)]
#[error("{file}: {reason}")]
pub struct FileError {
    /// The file.
    pub file: String,
    /// Why.
    pub reason: String,
}

impl FileError {
    fn new(path: &Path, reason: &dyn fmt::Display) -> Self {
        Self {
            file: path.display().to_string(),
            reason: reason.to_string(),
        }
    }
}

/// Reads all manifests. A directory stands for its YAML and JSON files, in the order of their names, and
/// those of its directories; `-` is standard input.
pub fn read(paths: &[PathBuf]) -> Result<Vec<Manifest>, FileError> {
    let mut manifests = Vec::new();
    for path in paths {
        for file in files_of(path, Some(DEEPEST))? {
            read_file(&file, &mut manifests)?;
        }
    }
    Ok(manifests)
}

/// As [`read`], without the directories of a directory.
pub fn read_flat(paths: &[PathBuf]) -> Result<Vec<Manifest>, FileError> {
    let mut manifests = Vec::new();
    for path in paths {
        for file in files_of(path, None)? {
            read_file(&file, &mut manifests)?;
        }
    }
    Ok(manifests)
}

/// `depth`: how many directories are followed into one another; `None` follows none.
fn files_of(path: &Path, depth: Option<usize>) -> Result<Vec<PathBuf>, FileError> {
    if path.as_os_str() == "-" || !path.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let failed = |error: std::io::Error| FileError::new(path, &error);
    let mut entries = fs::read_dir(path)
        .map_err(failed)?
        .collect::<Result<Vec<_>, _>>()
        .map_err(failed)?;
    entries.sort_by_key(fs::DirEntry::file_name);
    let mut files = Vec::new();
    for entry in entries {
        let below = entry.path();
        // Links are not followed: they may lead in a circle.
        let kind = entry.file_type().map_err(failed)?;
        if kind.is_dir() {
            let Some(depth) = depth else { continue };
            let Some(depth) = depth.checked_sub(1) else {
                return Err(FileError::new(
                    &below,
                    &"too many directories in one another",
                ));
            };
            files.extend(files_of(&below, Some(depth))?);
        } else if below
            .extension()
            .and_then(|ending| ending.to_str())
            .is_some_and(|ending| ENDINGS.contains(&ending))
        {
            files.push(below);
        }
    }
    Ok(files)
}

fn read_file(path: &Path, manifests: &mut Vec<Manifest>) -> Result<(), FileError> {
    let failed = |error: std::io::Error| FileError::new(path, &error);
    let mut text = String::new();
    let is_stdin = path.as_os_str() == "-";
    let mut reader: Box<dyn Read> = if is_stdin {
        Box::new(std::io::stdin())
    } else {
        Box::new(fs::File::open(path).map_err(failed)?)
    };
    let read = reader
        .by_ref()
        .take(LARGEST_FILE + 1)
        .read_to_string(&mut text)
        .map_err(failed)?;
    if read as u64 > LARGEST_FILE {
        let reason = format!("is larger than {LARGEST_FILE} bytes");
        return Err(FileError::new(path, &reason));
    }
    let file = if is_stdin {
        "standard input".to_owned()
    } else {
        path.display().to_string()
    };
    let values = yaml::values(&text).map_err(|error| FileError::new(path, &error))?;
    let mut open: Vec<Value> = values.into_iter().rev().collect();
    while let Some(value) = open.pop() {
        match value.get("items").and_then(Value::as_array) {
            Some(items) => open.extend(items.iter().rev().cloned()),
            None if value.is_object() => manifests.push(Manifest {
                file: file.clone(),
                object: value,
            }),
            // An empty document between separators.
            None => {}
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_means_its_manifests_in_order() {
        let home = tempfile::tempdir().expect("a directory");
        let write = |name: &str, text: &str| {
            let path = home.path().join(name);
            fs::create_dir_all(path.parent().expect("a parent")).expect("a directory");
            fs::write(path, text).expect("a file");
        };
        write(
            "b.yaml",
            "kind: B\n---\n\n---\nkind: List\nitems: [{kind: C}, {kind: D}]\n",
        );
        write("a/deep.json", "{\"kind\": \"A\"}");
        write("notes.txt", "kind: no");
        std::os::unix::fs::symlink(home.path(), home.path().join("circle")).expect("a link");
        let found = read(&[home.path().to_owned()]).expect("manifests");
        let kinds: Vec<&str> = found
            .iter()
            .filter_map(|manifest| manifest.object["kind"].as_str())
            .collect();
        assert_eq!(kinds, ["A", "B", "C", "D"]);
        assert!(found[0].file.ends_with("a/deep.json"), "{}", found[0].file);
        let flat = read_flat(&[home.path().to_owned()]).expect("manifests");
        assert_eq!(flat, found[1..]);
    }

    #[test]
    fn what_cannot_be_read_is_named() {
        let home = tempfile::tempdir().expect("a directory");
        let missing = home.path().join("missing.yaml");
        let error = read(std::slice::from_ref(&missing))
            .expect_err("no file")
            .to_string();
        assert!(error.starts_with(&missing.display().to_string()), "{error}");
        let broken = home.path().join("broken.yaml");
        fs::write(&broken, "a: [").expect("a file");
        let error = read(&[broken]).expect_err("no YAML").to_string();
        assert!(error.contains("broken.yaml: "), "{error}");
    }
}
