//! Writing generated files, or only checking that they are what they should be.

use std::{collections::BTreeMap, fs, path::Path};

use anyhow::{Context, Result};

/// What to do with generated files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Write those that differ.
    Write,
    /// Write nothing; complain about each one that differs.
    Check,
}

impl Mode {
    /// From `--check`.
    pub fn of_flag(check: bool) -> Self {
        if check { Self::Check } else { Self::Write }
    }
}

/// Writes or checks `files`: paths from the root with their text.
pub fn write(root: &Path, files: &BTreeMap<String, String>, mode: Mode) -> Result<Vec<String>> {
    let mut complaints = Vec::new();
    for (name, text) in files {
        let path = root.join(name);
        let current = fs::read_to_string(&path).ok();
        if current.as_ref() == Some(text) {
            continue;
        }
        if mode == Mode::Check {
            complaints.push(format!("{name} is not up to date: run `make generate`"));
            continue;
        }
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent).with_context(|| format!("making {}", parent.display()))?;
        }
        fs::write(&path, text).with_context(|| format!("writing {name}"))?;
    }
    Ok(complaints)
}
