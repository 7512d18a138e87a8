//! Our definitions accept what upstream's accept, and are well formed.
//!
//! Upstream's definitions are not part of this repository: `make fidelity UPSTREAM_CRDS=FOLDER` compares with the YAML
//! files of a folder. Without one that comparison is counted as skipped.

use std::{collections::BTreeMap, fs, path::Path};

use reconcile_core::{testkit::skip_where, yaml};
use serde_json::{Value, json};
use xtask::crd::compare;
use xtask::kinds;

fn ours() -> BTreeMap<String, Value> {
    let kinds = kinds::all().expect("the tables are good");
    let definition = |kind: &kinds::Kind| {
        kind.definition()
            .expect("a definition")
            .to_value(&json!({}))
    };
    kinds
        .iter()
        .map(|kind| (kind.name.clone(), definition(kind)))
        .collect()
}

#[test]
fn there_are_eleven_kinds_with_upstreams_names() {
    let ours = ours();
    assert_eq!(ours.len(), 11);
    let names: Vec<&str> = ours
        .values()
        .filter_map(|crd| crd["metadata"]["name"].as_str())
        .collect();
    assert!(names.contains(&"eventbus.argoproj.io") && names.contains(&"rollouts.argoproj.io"));
}

#[test]
fn no_definition_is_too_large_for_the_api_server() {
    /// `kubectl apply` keeps the object in an annotation, and annotations may have 256 KiB together.
    const LIMIT: usize = 250_000;
    for (kind, definition) in ours() {
        let size = definition.to_string().len();
        assert!(size < LIMIT, "{kind} has {size} bytes");
    }
}

#[test]
fn nothing_that_upstream_accepts_is_lost() {
    let Some(folder) = std::env::var_os("UPSTREAM_CRDS") else {
        skip_where(
            &["ALLOW_SKIPS", "SKIP_FIDELITY"],
            "no folder with upstream's CRDs: make fidelity UPSTREAM_CRDS=FOLDER",
        );
        return;
    };
    let ours = ours();
    let mut compared = 0;
    let mut complaints = Vec::new();
    for entry in fs::read_dir(Path::new(&folder)).expect("the folder can be read") {
        let path = entry.expect("an entry").path();
        if path.extension().is_none_or(|extension| extension != "yaml") {
            continue;
        }
        let text = fs::read_to_string(&path).expect("a text file");
        let theirs = yaml::value(&text).expect("YAML");
        let kind = theirs["spec"]["names"]["kind"]
            .as_str()
            .expect("a definition")
            .to_owned();
        let mine = ours.get(&kind).expect("a kind of ours");
        compared += 1;
        complaints.extend(
            compare(mine, &theirs)
                .into_iter()
                .map(|found| format!("{kind} {found}")),
        );
    }
    assert_eq!(compared, ours.len(), "all kinds are compared");
    let list = complaints.join("\n");
    assert!(
        complaints.is_empty(),
        "{} differences:\n{list}",
        complaints.len()
    );
}
