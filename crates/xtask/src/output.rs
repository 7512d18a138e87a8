//! Writing generated files, or only checking that they are what they should be.

use std::{collections::BTreeMap, fs, path::Path};

use anyhow::{Context, Result};

/// Writes `files` (paths from the root with their text); with `check` nothing is written and every
/// file that differs is a complaint.
pub fn write(root: &Path, files: &BTreeMap<String, String>, check: bool) -> Result<Vec<String>> {
    let mut complaints = Vec::new();
    for (name, text) in files {
        let path = root.join(name);
        let current = fs::read_to_string(&path).ok();
        if current.as_ref() == Some(text) {
            continue;
        }
        if check {
            complaints.push(format!("{name} is not up to date: run `make crds docs`"));
            continue;
        }
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent).with_context(|| format!("making {}", parent.display()))?;
        }
        fs::write(&path, text).with_context(|| format!("writing {name}"))?;
    }
    Ok(complaints)
}
