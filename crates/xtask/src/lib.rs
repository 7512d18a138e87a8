//! Chores of this repository, as `cargo xtask COMMAND`.
//!
//! ```text
//!   crds        schemas/*.yaml ─► charts/*/templates/crds/*.yaml, manifests/crds/*.yaml
//!   dashboards  dashboards/*.yaml ─► charts/*/dashboards/*.json
//!   docs        schemas/*.yaml + the operators' support ledgers ─► docs/compatibility.md
//!               command lines ─► docs/flags.md; values.yaml ─► charts/*/README.md
//!   release     binaries ─► archives, bills of materials, images, charts, checksums
//!   tidy        what compilers and lints do not see: pure plans, sizes, names
//! ```
//!
//! With `--check`, `crds`, `dashboards` and `docs` write nothing and fail when a file is not up to date.

use std::{
    io::Write as _,
    path::{Path, PathBuf},
    process::ExitCode,
};

use clap::{Parser, Subcommand};

use output::Mode;

pub mod crd;
pub mod crds;
pub mod dashboards;
pub mod docs;
pub mod files;
pub mod kinds;
pub mod output;
pub mod release;
pub mod tidy;

/// Chores of this repository.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask")]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Write the CustomResourceDefinitions from the tables of the kinds: in the charts and in `manifests/crds`.
    Crds {
        /// Only say whether the files are up to date.
        #[arg(long)]
        check: bool,
    },
    /// Write the Grafana dashboards of the charts.
    Dashboards {
        /// Only say whether the files are up to date.
        #[arg(long)]
        check: bool,
    },
    /// Write the generated pages.
    Docs {
        /// Only say whether the files are up to date.
        #[arg(long)]
        check: bool,
    },
    /// Check what compilers and lints do not see.
    Tidy,
    /// Write the files of a release from binaries that are built already.
    Release(release::ReleaseArgs),
}

/// Runs one command, and prints problems to standard error, one per line.
pub fn run(cli: &Cli) -> ExitCode {
    let result = match &cli.command {
        Command::Crds { check } => crds::run(&root(), Mode::of_flag(*check)),
        Command::Dashboards { check } => dashboards::run(&root(), Mode::of_flag(*check)),
        Command::Docs { .. } if !cfg!(feature = "operators") => Ok(vec![
            "docs need the operators: leave out --no-default-features".to_owned(),
        ]),
        Command::Docs { check } => docs::run(&root(), Mode::of_flag(*check)),
        Command::Tidy => tidy::run(&root()),
        Command::Release(args) => release::run(&root(), args).map(|()| Vec::new()),
    };
    let complaints = match result {
        Ok(complaints) => complaints,
        Err(error) => vec![format!("{error:#}")],
    };
    let mut out = std::io::stderr().lock();
    for complaint in &complaints {
        // There is no place to report a failure of standard error.
        let _ = writeln!(out, "{complaint}");
    }
    if complaints.is_empty() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

/// The root of the repository.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}
