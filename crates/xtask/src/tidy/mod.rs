//! `cargo xtask tidy`: what compilers and lints do not see.
//!
//! - planners are pure: no client, no clock, no await, no environment, no randomness;
//! - only argument parsing reads the environment, and nothing measures with a clock that tests
//!   cannot stop;
//! - nothing watches but through the one constructor;
//! - files are short, named by their domain, and say at the top what they are for;
//! - the core names no kind of an operator, and operators do not depend on each other.

mod rules;
mod source;

#[cfg(test)]
mod tests;

use std::{fs, path::Path};

use anyhow::{Context, Result};

use source::Source;

/// Folders with Rust code.
const CODE: [&str; 2] = ["crates", "e2e"];

/// Complaints about the tree, one line each, sorted.
pub fn run(root: &Path) -> Result<Vec<String>> {
    let mut complaints = Vec::new();
    for folder in CODE {
        visit(root, &root.join(folder), &mut complaints)?;
    }
    for manifest in [
        "argo-cd-lite",
        "events",
        "rollouts",
        "reconcile-core",
        "expressions",
    ] {
        let name = format!("crates/{manifest}/Cargo.toml");
        let text =
            fs::read_to_string(root.join(&name)).with_context(|| format!("reading {name}"))?;
        complaints.extend(rules::manifest(&name, manifest, &text));
    }
    complaints.sort();
    Ok(complaints)
}

fn visit(root: &Path, folder: &Path, complaints: &mut Vec<String>) -> Result<()> {
    let entries = fs::read_dir(folder).with_context(|| format!("reading {}", folder.display()))?;
    for entry in entries {
        let path = entry?.path();
        let name = path
            .file_name()
            .and_then(|name| name.to_str())
            .unwrap_or_default();
        if path.is_dir() {
            // Generators of recorded answers are Go; `target` is cargo's.
            if !matches!(name, "target" | "generate" | "tools") {
                visit(root, &path, complaints)?;
            }
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text =
                fs::read_to_string(&path).with_context(|| format!("reading {}", path.display()))?;
            let place = path
                .strip_prefix(root)
                .unwrap_or(&path)
                .to_string_lossy()
                .into_owned();
            complaints.extend(rules::file(&Source::new(&place, &text)));
        }
    }
    Ok(())
}
