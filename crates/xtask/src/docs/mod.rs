//! `cargo xtask docs`: the generated pages.

mod compatibility;
mod flags;
mod levels;
mod status;
mod values;

#[cfg(all(test, feature = "operators"))]
mod tests;

use std::{collections::BTreeMap, path::Path};

use anyhow::Result;

use crate::{
    kinds,
    output::{self, Mode},
};

/// Charts with a table of values in their README.
const CHARTS: [&str; 3] = ["argo-cd-lite", "events", "rollouts"];

/// Writes or checks `docs/compatibility.md`, `docs/flags.md` and the tables of values in the charts' READMEs.
pub fn run(root: &Path, mode: Mode) -> Result<Vec<String>> {
    let kinds = kinds::all()?;
    let mut files = BTreeMap::new();
    files.insert(
        "docs/compatibility.md".to_owned(),
        compatibility::page(&kinds),
    );
    files.insert("docs/flags.md".to_owned(), flags::page());
    for chart in CHARTS {
        let name = format!("charts/{chart}/README.md");
        files.insert(name, values::readme(root, chart)?);
    }
    output::write(root, &files, mode)
}
