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
    kinds::{self, OPERATORS},
    output::{self, Mode},
};

/// Templates that every chart has: checks of values and of what is in the cluster already, and the pod of `helm test`.
const TEMPLATES: &str = include_str!("values.tpl");

/// Writes or checks `docs/compatibility.md`, `docs/flags.md` and the tables of values in the charts' READMEs,
/// and the charts' lists of the values that they read.
pub fn run(root: &Path, mode: Mode) -> Result<Vec<String>> {
    let kinds = kinds::all()?;
    let mut files = BTreeMap::new();
    files.insert(
        "docs/compatibility.md".to_owned(),
        compatibility::page(&kinds),
    );
    files.insert("docs/flags.md".to_owned(), flags::page());
    for chart in OPERATORS {
        let name = format!("charts/{chart}/README.md");
        files.insert(name, values::readme(root, chart)?);
        let paths = values::paths(root, chart)?;
        files.insert(format!("charts/{chart}/values.paths"), paths);
        let name = format!("charts/{chart}/templates/_values.tpl");
        files.insert(name, TEMPLATES.to_owned());
    }
    output::write(root, &files, mode)
}
