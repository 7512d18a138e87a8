//! What a kustomization names: files, folders and addresses.

use serde_json::Value;

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
pub(super) const INLINE: &[&str] = &[
    "generators",
    "transformers",
    "validators",
    "patchesStrategicMerge",
];
/// Fields whose items have a file under `path`.
const WITH_PATH: &[&str] = &["patches", "patchesJson6902", "replacements"];
/// Fields whose items have lists of files.
const GENERATORS: &[&str] = &["configMapGenerator", "secretGenerator"];

/// All places that a kustomization names, with their fields.
pub(super) fn places(kustomization: &Value) -> Vec<(&'static str, &str)> {
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
pub(super) fn is_remote(place: &str) -> bool {
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
