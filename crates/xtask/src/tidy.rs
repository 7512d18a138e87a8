//! `cargo xtask tidy`.

use std::path::Path;

use anyhow::Result;

/// Complaints about the tree.
pub fn run(_root: &Path) -> Result<Vec<String>> {
    Ok(Vec::new())
}
