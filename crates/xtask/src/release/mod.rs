//! `cargo xtask release`: the files of a release, made of binaries that are built already and without any connection.
//!
//! ```text
//!   NAME-VERSION-TARGET.tar.gz   binary and licence        charts/NAME-VERSION.tgz, charts/index.yaml
//!   NAME-VERSION.cdx.json        its dependencies (SBOM)   manifests-VERSION.tar.gz
//!   images/NAME/                 OCI image layout          CHANGES.md, SHA256SUMS
//! ```
//!
//! The same input gives the same bytes: no file has a time of its own.

mod archive;
mod charts;
mod image;
mod sbom;

use std::{
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, ensure};
use clap::Args;
use sha2::{Digest as _, Sha256};

use crate::kinds::OPERATORS;
use archive::Archive;

/// What to release.
#[derive(Args, Debug)]
pub struct ReleaseArgs {
    /// Folder with the binaries.
    #[arg(long, value_name = "FOLDER")]
    pub binaries: PathBuf,
    /// Target that they were built for.
    #[arg(
        long,
        default_value = "x86_64-unknown-linux-gnu",
        value_name = "TRIPLE"
    )]
    pub target: String,
    /// Folder with further programs for the image of argo-cd-lite: helm and kustomize.
    #[arg(long, value_name = "FOLDER")]
    pub programs: Option<PathBuf>,
    /// Where the files go; what is there already is removed.
    #[arg(long, default_value = "target/release-files", value_name = "FOLDER")]
    pub out: PathBuf,
}

/// Writes the files of a release.
pub fn run(root: &Path, args: &ReleaseArgs) -> Result<()> {
    let version = env!("CARGO_PKG_VERSION");
    let out = &args.out;
    if out.exists() {
        fs::remove_dir_all(out).with_context(|| format!("removing {}", out.display()))?;
    }
    fs::create_dir_all(out.join("charts")).with_context(|| format!("making {}", out.display()))?;
    let metadata = sbom::Metadata::read(root, &args.target)?;
    let mut packages = Vec::new();
    for name in OPERATORS {
        let binary = args.binaries.join(name);
        ensure!(
            binary.is_file(),
            "{} is missing: build it first",
            binary.display()
        );
        let mut archive = Archive::default();
        archive.file(&binary, &format!("{name}/{name}"), 0o755)?;
        archive.file(&root.join("LICENSE"), &format!("{name}/LICENSE"), 0o644)?;
        let file = format!("{name}-{version}-{}.tar.gz", args.target);
        fs::write(out.join(&file), archive.gzip()?).with_context(|| format!("writing {file}"))?;
        let bill = serde_json::to_vec_pretty(&metadata.bill_of(name)?)?;
        fs::write(out.join(format!("{name}-{version}.cdx.json")), bill)?;
        let programs = args.programs.as_deref().filter(|_| name == "argo-cd-lite");
        image::write(
            &out.join("images").join(name),
            &binary,
            programs,
            &args.target,
        )
        .with_context(|| format!("the image of {name}"))?;
        packages.push(charts::package(root, name, &out.join("charts"))?);
    }
    fs::write(out.join("charts/index.yaml"), charts::index(&packages))?;
    let mut manifests = Archive::default();
    manifests.folder(&root.join("manifests"), "manifests")?;
    fs::write(
        out.join(format!("manifests-{version}.tar.gz")),
        manifests.gzip()?,
    )?;
    let changes = fs::read_to_string(root.join("CHANGELOG.md")).context("reading CHANGELOG.md")?;
    fs::write(out.join("CHANGES.md"), changes_of(&changes, version))?;
    fs::write(out.join("SHA256SUMS"), checksums(out)?)?;
    Ok(())
}

/// The section of a version, or what is not released yet.
fn changes_of(changelog: &str, version: &str) -> String {
    let sections = || changelog.split("\n## ").skip(1);
    let of = |title: &str| sections().find(|section| section.starts_with(&format!("[{title}]")));
    let section = of(version).or_else(|| of("Unreleased")).unwrap_or_default();
    format!("## {}\n", section.trim())
}

/// Lines as `sha256sum` writes them, for every file of the release outside of the images, whose names are digests.
fn checksums(out: &Path) -> Result<String> {
    let mut text = String::new();
    let mut names = Vec::new();
    for folder in ["", "charts"] {
        for entry in fs::read_dir(out.join(folder))? {
            let path = entry?.path();
            if path.is_file() {
                names.push(path);
            }
        }
    }
    names.sort();
    for path in names {
        let name = path.strip_prefix(out).unwrap_or(&path).display();
        let _ = writeln!(text, "{}  {name}", digest(&fs::read(&path)?));
    }
    Ok(text)
}

/// SHA-256 in hexadecimal.
fn digest(bytes: &[u8]) -> String {
    hex::encode(Sha256::digest(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_section_of_the_version_is_taken_and_that_of_the_next_one_before_it_exists() {
        let changelog = "# Changelog\n\n## [Unreleased]\n\n- next\n\n## [0.2.0] - 2026-01-01\n\n- second\n\n## [0.1.0]\n\n- first\n";
        assert_eq!(
            changes_of(changelog, "0.2.0"),
            "## [0.2.0] - 2026-01-01\n\n- second\n"
        );
        assert_eq!(
            changes_of(changelog, "0.3.0"),
            "## [Unreleased]\n\n- next\n"
        );
    }
}
