//! Charts as Helm packages them, and the index of a chart repository.

use std::{fmt::Write as _, fs, path::Path};

use anyhow::{Context, Result};
use reconcile_core::yaml;

use super::{archive::Archive, digest};
use crate::files;

/// A packaged chart.
pub(super) struct Package {
    name: String,
    version: String,
    app_version: String,
    description: String,
    file: String,
    digest: String,
}

/// Writes `NAME-VERSION.tgz` into `out`.
pub(super) fn package(root: &Path, chart: &str, out: &Path) -> Result<Package> {
    let folder = root.join("charts").join(chart);
    let text = fs::read_to_string(folder.join("Chart.yaml"))
        .with_context(|| format!("reading charts/{chart}/Chart.yaml"))?;
    let about = yaml::value(&text).with_context(|| format!("charts/{chart}/Chart.yaml"))?;
    let text_of = |key: &str| about[key].as_str().unwrap_or_default().to_owned();
    let ignored = fs::read_to_string(folder.join(".helmignore")).unwrap_or_default();
    let mut tar = Archive::default();
    for path in files::below(&folder)? {
        let below = path.strip_prefix(&folder).unwrap_or(&path);
        let name = below.display().to_string();
        let is_ignored = ignored.lines().any(|line| match line.strip_suffix('/') {
            Some(folder) => name.starts_with(&format!("{folder}/")),
            None => line
                .strip_prefix('*')
                .is_some_and(|end| !end.is_empty() && name.ends_with(end)),
        });
        if !is_ignored {
            tar.file(&path, &format!("{chart}/{name}"), 0o644)?;
        }
    }
    let (version, bytes) = (text_of("version"), tar.gzip()?);
    let file = format!("{chart}-{version}.tgz");
    fs::write(out.join(&file), &bytes).with_context(|| format!("writing {file}"))?;
    Ok(Package {
        name: chart.to_owned(),
        version,
        app_version: text_of("appVersion"),
        description: text_of("description"),
        file,
        digest: digest(&bytes),
    })
}

/// `index.yaml` of a chart repository with these packages.
pub(super) fn index(packages: &[Package]) -> String {
    let mut text = String::from("apiVersion: v1\nentries:\n");
    for package in packages {
        let quoted = |text: &str| serde_json::Value::from(text).to_string();
        let _ = writeln!(
            text,
            "  {}:\n    - apiVersion: v2\n      name: {}\n      version: {}\n      appVersion: {}\n      description: {}\n      \
             digest: {}\n      urls: [{}]",
            package.name,
            package.name,
            quoted(&package.version),
            quoted(&package.app_version),
            quoted(&package.description),
            package.digest,
            quoted(&package.file),
        );
    }
    text
}
