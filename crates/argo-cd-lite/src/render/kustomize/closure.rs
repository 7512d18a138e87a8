//! The files that a kustomization reads: its folder, and what its fields name outside of it.
//!
//! Whatever the program could fetch from elsewhere is refused here: it would fetch by itself, from any address.

use std::collections::BTreeSet;

use reconcile_core::yaml;
use serde_json::Value;

use super::super::{RenderError, renderer::Job, sandbox::Sandbox};
use crate::{
    api::KustomizeSource,
    repo::{Found, SourceTree, clean, join},
};

/// Names of the file that makes a folder a kustomization.
pub(super) const FILES: &[&str] = &["kustomization.yaml", "kustomization.yml", "Kustomization"];
/// Bytes of a kustomization.
const MAX_BYTES: u64 = 1024 * 1024;
/// Kustomizations of one source, those of its bases included.
const MAX_KUSTOMIZATIONS: usize = 500;

/// The kustomization of the source.
pub(super) struct Root {
    /// Its folder below the root of the repository.
    pub(super) folder: String,
    /// Name of its file.
    pub(super) file: String,
}

/// Fields whose items are files, folders or addresses.
const PLACES: &[&str] = &[
    "resources",
    "bases",
    "components",
    "crds",
    "configurations",
    "generators",
    "transformers",
    "validators",
    "patchesStrategicMerge",
];
/// Those of them whose items may be manifests in place of names of files.
const INLINE: &[&str] = &[
    "generators",
    "transformers",
    "validators",
    "patchesStrategicMerge",
];
/// Fields whose items have a file under `path`.
const WITH_PATH: &[&str] = &["patches", "patchesJson6902", "replacements"];
/// Fields whose items have lists of files.
const GENERATORS: &[&str] = &["configMapGenerator", "secretGenerator"];

/// Writes everything to the sandbox that the kustomization of the source reads.
pub(super) fn copy(
    job: &Job<'_>,
    sandbox: &Sandbox,
    options: &KustomizeSource,
) -> Result<Root, RenderError> {
    let tree = job.tree;
    let start = tree.folder(&job.source.path)?;
    let file = file_of(tree, &start)?.ok_or_else(|| {
        RenderError::field(
            "path",
            format!("there is no {} in {:?}", FILES[0], job.source.path),
        )
    })?;
    let root = Root {
        folder: start.path.clone(),
        file,
    };
    let mut closure = Closure {
        tree,
        sandbox,
        copied: BTreeSet::new(),
        seen: BTreeSet::new(),
        pending: vec![start.clone()],
    };
    for component in &options.components {
        closure.add(&start, component)?;
    }
    for patch in options
        .patches
        .iter()
        .filter(|patch| !patch.path.is_empty())
    {
        closure.add(&start, &patch.path)?;
    }
    while let Some(folder) = closure.pending.pop() {
        closure.read(&folder)?;
    }
    Ok(root)
}

/// The name of the kustomization of a folder.
fn file_of(tree: &SourceTree, folder: &Found) -> Result<Option<String>, RenderError> {
    let entries = tree.entries(folder)?;
    let name = FILES
        .iter()
        .find(|name| entries.iter().any(|(entry, _)| entry == *name));
    Ok(name.map(|name| (*name).to_owned()))
}

struct Closure<'a> {
    tree: &'a SourceTree,
    sandbox: &'a Sandbox,
    /// Folders in the sandbox, and files beside them.
    copied: BTreeSet<String>,
    /// Folders of kustomizations.
    seen: BTreeSet<String>,
    pending: Vec<Found>,
}

impl Closure<'_> {
    /// Copies a folder and follows what its kustomization names.
    fn read(&mut self, folder: &Found) -> Result<(), RenderError> {
        if !self.seen.insert(folder.path.clone()) {
            return Ok(());
        }
        if self.seen.len() > MAX_KUSTOMIZATIONS {
            return Err(RenderError::field(
                "path",
                format!("it leads to more than {MAX_KUSTOMIZATIONS} kustomizations"),
            ));
        }
        self.copy_folder(folder)?;
        let Some(name) = file_of(self.tree, folder)? else {
            return Ok(());
        };
        let path = join(&folder.path, &name);
        let broken = |reason: String| RenderError::File {
            path: path.clone(),
            reason,
        };
        let content = self.tree.file(&path, MAX_BYTES)?.unwrap_or_default();
        let text = String::from_utf8(content).map_err(|_| broken("it is not UTF-8 text".into()))?;
        let kustomization = yaml::value(&text).map_err(|error| broken(error.to_string()))?;
        if kustomization.get("helmCharts").is_some()
            || kustomization.get("helmChartInflationGenerator").is_some()
        {
            return Err(broken(
                "helmCharts is not supported: the chart would be downloaded; make it a source of its own".into(),
            ));
        }
        for (field, place) in places(&kustomization) {
            self.follow(folder, &path, field, place)?;
        }
        Ok(())
    }

    /// Follows one item of a field.
    fn follow(
        &mut self,
        folder: &Found,
        file: &str,
        field: &str,
        place: &str,
    ) -> Result<(), RenderError> {
        if INLINE.contains(&field) && place.contains('\n') {
            return Ok(());
        }
        let broken = |reason: String| RenderError::File {
            path: file.to_owned(),
            reason,
        };
        if place.starts_with('/') {
            return Err(broken(format!("{field}: {place:?} must be relative")));
        }
        if self.add(folder, place)? {
            return Ok(());
        }
        let reason = if is_remote(place) {
            format!(
                "{field}: {:?} is remote, and remote files are not fetched: put them into the repository",
                reconcile_core::credentials::redact_url(place)
            )
        } else {
            format!("{field}: {place:?} does not exist in the repository")
        };
        Err(broken(reason))
    }

    /// Adds what `place` names, relative to `folder`. False when there is nothing.
    fn add(&mut self, folder: &Found, place: &str) -> Result<bool, RenderError> {
        if place.contains("://") {
            return Ok(false);
        }
        let path = clean(&join(&folder.path, place))?;
        let Some(found) = self.tree.look(&path)? else {
            return Ok(false);
        };
        if found.is_folder() {
            // A link keeps its name: the program finds the folder where the kustomization says.
            self.pending.push(Found {
                path,
                node: found.node,
            });
        } else if !self.is_copied(&path) {
            if let Some(content) = self.tree.file(&path, MAX_BYTES)? {
                self.sandbox.write(&join("tree", &path), &content)?;
            }
            self.copied.insert(path);
        }
        Ok(true)
    }

    fn copy_folder(&mut self, folder: &Found) -> Result<(), RenderError> {
        if !self.is_copied(&folder.path) {
            self.sandbox.copy(self.tree, folder)?;
            self.copied.insert(folder.path.clone());
        }
        Ok(())
    }

    /// True when the path or a folder above it is in the sandbox.
    fn is_copied(&self, path: &str) -> bool {
        self.copied.contains("")
            || self.copied.contains(path)
            || path
                .match_indices('/')
                .any(|(end, _)| self.copied.contains(&path[..end]))
    }
}

/// All places that a kustomization names, with their fields.
fn places(kustomization: &Value) -> Vec<(&'static str, &str)> {
    let mut found = Vec::new();
    for field in PLACES {
        let items = kustomization[*field].as_array();
        found.extend(
            items
                .into_iter()
                .flatten()
                .filter_map(|item| Some((*field, item.as_str()?))),
        );
    }
    for field in WITH_PATH {
        let items = kustomization[*field].as_array();
        found.extend(
            items
                .into_iter()
                .flatten()
                .filter_map(|item| Some((*field, item["path"].as_str()?))),
        );
    }
    found.extend(
        kustomization["openapi"]["path"]
            .as_str()
            .map(|path| ("openapi", path)),
    );
    for field in GENERATORS {
        let generators = kustomization[*field].as_array();
        for generator in generators.into_iter().flatten() {
            let listed = ["files", "envs"]
                .iter()
                .filter_map(|list| generator[*list].as_array())
                .flatten();
            let files = listed
                .filter_map(Value::as_str)
                .chain(generator["env"].as_str());
            // A file may have a key before it.
            found.extend(
                files.map(|file| (*field, file.split_once('=').map_or(file, |(_, file)| file))),
            );
        }
    }
    found.retain(|(_, place)| !place.is_empty());
    found
}

/// True for what the program would take for an address.
fn is_remote(place: &str) -> bool {
    place.contains("://")
        || place.contains("?ref=")
        || place.starts_with("git@")
        || place.starts_with("github.com")
        || place.contains(".git")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn all_fields_that_name_files_are_found() {
        let kustomization = json!({
            "resources": ["a.yaml", "../base"],
            "components": ["../c"],
            "patches": [{"path": "p.yaml"}, {"patch": "inline"}],
            "replacements": [{"path": "r.yaml"}, {"source": {}}],
            "patchesStrategicMerge": ["s.yaml"],
            "openapi": {"path": "o.json"},
            "configMapGenerator": [{"files": ["x.txt", "key=../y.txt"], "envs": ["e.env"]}],
            "secretGenerator": [{"env": "old.env"}],
            "namespace": "x",
        });
        let found: Vec<&str> = places(&kustomization)
            .into_iter()
            .map(|(_, place)| place)
            .collect();
        assert_eq!(
            found,
            [
                "a.yaml", "../base", "../c", "s.yaml", "p.yaml", "r.yaml", "o.json", "x.txt",
                "../y.txt", "e.env", "old.env"
            ]
        );
    }
}
