//! `cargo xtask docs`.

use std::path::Path;

use anyhow::Result;

/// Writes or checks the generated pages.
pub fn run(_root: &Path, _check: bool) -> Result<Vec<String>> {
    Ok(Vec::new())
}
