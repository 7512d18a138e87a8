//! `cargo xtask tidy`: what compilers and lints do not see.
//!
//! - planners are pure: no client, no clock, no await, no environment, no randomness;
//! - only argument parsing reads the environment, and nothing measures with a clock that tests
//!   cannot stop;
//! - nothing watches but through the one constructor;
//! - files have at most 400 lines (clippy bounds functions);
//! - files are named by their domain, and say at the top what they are for;
//! - texts and comments are plain English: no word of a short list;
//! - the core names no kind of an operator, and operators do not depend on each other.

mod rules;
mod source;
mod words;

#[cfg(test)]
mod tests;

use std::{fs, path::Path};

use anyhow::{Context, Result};

use source::Source;
use words::Words;

/// Folders with code and texts.
const FOLDERS: [&str; 4] = ["charts", "crates", "docs", "e2e"];

/// Texts at the root.
const PAGES: [&str; 3] = ["README.md", "CONTRIBUTING.md", "SECURITY.md"];

/// Complaints about the tree, one line each, sorted.
pub fn run(root: &Path) -> Result<Vec<String>> {
    let mut complaints = Vec::new();
    let mut words = Words::default();
    for folder in FOLDERS {
        visit(root, &root.join(folder), &mut complaints, &mut words)?;
    }
    for page in PAGES {
        let text =
            fs::read_to_string(root.join(page)).with_context(|| format!("reading {page}"))?;
        words.read(page, &text);
    }
    complaints.extend(words.complaints(words::LEFT));
    for manifest in [
        "argo-cd-lite",
        "events",
        "rollouts",
        "reconcile-core",
        "expressions",
        "git-fetch",
    ] {
        let name = format!("crates/{manifest}/Cargo.toml");
        let text =
            fs::read_to_string(root.join(&name)).with_context(|| format!("reading {name}"))?;
        complaints.extend(rules::manifest(&name, manifest, &text));
    }
    complaints.sort();
    Ok(complaints)
}

fn visit(
    root: &Path,
    folder: &Path,
    complaints: &mut Vec<String>,
    words: &mut Words,
) -> Result<()> {
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
                visit(root, &path, complaints, words)?;
            }
            continue;
        }
        let extension = path.extension().and_then(|text| text.to_str());
        if matches!(extension, Some("rs" | "md" | "yaml" | "tpl" | "txt")) {
            let text =
                fs::read_to_string(&path).with_context(|| format!("reading {}", path.display()))?;
            let place = path
                .strip_prefix(root)
                .unwrap_or(&path)
                .to_string_lossy()
                .into_owned();
            words.read(&place, &text);
            if extension == Some("rs") {
                complaints.extend(rules::file(&Source::new(&place, &text)));
            }
        }
    }
    Ok(())
}
